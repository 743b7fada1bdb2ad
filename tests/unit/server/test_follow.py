"""What tells one state of files from another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxy.server.follow import Follower, look

if TYPE_CHECKING:
    from pathlib import Path


def test_every_way_to_change_a_file_shows(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    seen = [look([path])]
    path.write_text("one")
    seen.append(look([path]))
    os.utime(path, ns=(1, 1))
    seen.append(look([path]))
    path.write_text("longer")
    os.utime(path, ns=(1, 1))
    seen.append(look([path]))
    other = tmp_path / "other"
    other.write_text("longer")
    os.utime(other, ns=(1, 1))
    other.rename(path)
    seen.append(look([path]))
    assert len(set(seen)) == len(seen)
    assert look([path]) == seen[-1]


def test_a_signal_is_believed_without_a_look(tmp_path: Path) -> None:
    calls: list[int] = []
    path = tmp_path / "policy.yaml"
    follower = Follower([path], lambda: calls.append(1), known=look([path]))
    follower.now()
    assert calls == [1]
