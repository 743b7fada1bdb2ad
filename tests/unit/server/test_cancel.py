"""Cancel keys: only the exact pair finds its session, and only while it lives."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.server.cancel import LONG_KEY, SHORT_KEY, CancelKeys, worker_of


@pytest.mark.parametrize(("minor", "size"), [(0, SHORT_KEY), (2, LONG_KEY)])
def test_only_the_exact_pair_is_heard(minor: int, size: int) -> None:
    keys = CancelKeys(worker=5)
    link: Any = object()
    pid, key = keys.issue(link, minor=minor)
    assert len(key) == size
    assert keys.find(pid, key) is link
    for wrong in (b"", key[:-1], key + b"\0", bytes(size), key[::-1] + b"x"):
        assert keys.find(pid, wrong) is None
    assert keys.find(pid + 64, key) is None
    assert keys.find(0, b"") is None
    keys.forget(pid)
    assert keys.find(pid, key) is None
    assert keys.find(pid, b"") is None


def test_a_pid_is_positive_and_names_its_worker() -> None:
    keys = CancelKeys(worker=63)
    pids = {keys.issue(None, minor=0)[0] for _ in range(500)}  # type: ignore[arg-type]
    assert len(pids) == 500
    assert all(0 < pid < 2**31 for pid in pids)
    assert {worker_of(pid) for pid in pids} == {63}
    assert all(keys.are_ours(pid) for pid in pids)
    assert not CancelKeys(worker=1).are_ours(min(pids))
