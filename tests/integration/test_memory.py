"""What passes through is never held: memory stays flat however slow the other side is.

A quarter of a minute with sizes that would show; PGWARDEN_DEEP=1 moves a GiB.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pytest
from typing_extensions import override

from tests.integration.rig import Raw, eventually, query, rss_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024 * 1024
SIZE = (1024 if os.environ.get("PGWARDEN_DEEP") else 96) * MIB
MOST_MIB = 24.0
"""A few socket buffers and what uvloop reads at once; a tenth of it is usual."""


class Watch(threading.Thread):
    """The highest resident memory of a process while a block runs, over the start."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self._ended = threading.Event()
        self._first = rss_mib(pid)
        self.grown = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    @override
    def run(self) -> None:
        while not self._ended.wait(0.01):
            self.grown = max(self.grown, rss_mib(self._pid) - self._first)


@pytest.fixture
def proxy(start_proxy: StartProxy, shop17: Database) -> Iterator[Proxy]:
    proxy = start_proxy(shop17.cluster)
    with psycopg.connect(proxy.dsn("developer", shop17.name)) as connection:
        connection.execute("select repeat('x', 1000000)")
    yield proxy
    assert "Traceback" not in proxy.log_path.read_text()


def drain(raw: Raw, pause_s: float = 0.0) -> int:
    """Read up to the ReadyForQuery; returns how many bytes that was."""
    total, last = 0, b""
    while last[-6:-1] != b"Z\0\0\0\x05":
        data = raw.socket.recv(1 << 20)
        assert data
        total += len(data)
        last = (last + data)[-6:]
        if pause_s and total < 8 * MIB:
            time.sleep(pause_s)
    return total


@pytest.mark.parametrize(
    "text",
    [
        f"select repeat('x', {MIB}) from generate_series(1, {SIZE // MIB})",
        f"copy (select repeat('x', 1000) from generate_series(1, {SIZE // 1000}))"
        " to stdout",
        f"select repeat('x', {min(SIZE, 512 * MIB)})",
    ],
    ids=["rows", "copy", "one-row"],
)
def test_a_client_that_reads_slowly(proxy: Proxy, shop17: Database, text: str) -> None:
    (pid,) = proxy.pids
    with Raw(proxy.dsn("developer", shop17.name)) as raw, Watch(pid) as watch:
        raw.socket.settimeout(60)
        raw.send(query(text))
        time.sleep(1.0)
        total = drain(raw, 0.01)
    assert total > min(SIZE, 512 * MIB) * 0.9
    assert watch.grown < MOST_MIB, f"grew by {watch.grown:.1f} MiB"


def test_a_client_that_reads_nothing_and_goes(proxy: Proxy, shop17: Database) -> None:
    (pid,) = proxy.pids
    with Watch(pid) as watch:
        for _ in range(8):
            raw = Raw(proxy.dsn("developer", shop17.name))
            raw.send(query(f"select repeat('x', {MIB}) from generate_series(1, 10000)"))
            time.sleep(0.2)
            raw.reset()
    eventually(
        lambda: (
            not shop17.fetch(
                "select 1 from pg_stat_activity where state = 'active' "
                f"and datname = '{shop17.name}' and pid <> pg_backend_pid()"
            )
        )
    )
    assert watch.grown < MOST_MIB, f"grew by {watch.grown:.1f} MiB"


def copy_data(size: int) -> bytes:
    return b"d" + struct.pack("!i", size + 4) + (b"x" * 999 + b"\n") * (size // 1000)


@pytest.mark.parametrize("chunk", [60_000, 30_000_000])
def test_a_server_that_takes_nothing(
    proxy: Proxy, shop17: Database, chunk: int
) -> None:
    shop17.execute("create table marks (mark text); grant all on marks to public")
    (pid,) = proxy.pids
    data = copy_data(chunk)
    times = max(1, SIZE // chunk)
    with psycopg.connect(shop17.dsn) as other, Watch(pid) as watch:
        other.execute("lock table marks")
        with Raw(proxy.dsn("migrator", shop17.name)) as raw:
            raw.socket.settimeout(120)
            raw.send(query("copy marks from stdin"))
            release = threading.Timer(1.5, other.rollback)
            release.start()
            for _ in range(times):
                raw.send(data)
            raw.send(b"c\0\0\0\x04")
            drain(raw)
            release.join()
    rows = times * (chunk // 1000)
    assert shop17.fetch("select count(*) from marks") == [(rows,)]
    assert watch.grown < MOST_MIB, f"grew by {watch.grown:.1f} MiB"


def test_a_large_parameter(proxy: Proxy, shop17: Database) -> None:
    size = min(SIZE, 200 * MIB)
    (pid,) = proxy.pids
    with psycopg.connect(
        proxy.dsn("developer", shop17.name), autocommit=True
    ) as connection:
        value: Any = "x" * size
        with Watch(pid) as watch:
            row = connection.execute("select length(%s::text)", (value,)).fetchone()
        assert row == (size,)
        assert connection.execute("select 1").fetchone() == (1,)
    assert watch.grown < MOST_MIB, f"grew by {watch.grown:.1f} MiB"


def test_a_statement_that_is_far_too_large_is_never_held(
    proxy: Proxy, shop17: Database
) -> None:
    (pid,) = proxy.pids
    size = min(SIZE, 512 * MIB)
    with Raw(proxy.dsn("developer", shop17.name)) as raw, Watch(pid) as watch:
        raw.socket.settimeout(60)
        raw.send(b"Q" + struct.pack("!i", size + 5) + b"select '")
        block = b"x" * MIB
        for _ in range(size // MIB - 1):
            raw.send(block)
        raw.send(b"x" * (MIB - 9) + b"'\0")
        said = raw.socket.recv(1000)
        assert b"C54000\0" in said
        raw.send(query("select 1"))
        drain(raw)
    assert watch.grown < MOST_MIB, f"grew by {watch.grown:.1f} MiB"
