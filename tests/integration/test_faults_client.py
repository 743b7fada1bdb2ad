"""Clients that vanish: what they sent arrives, what runs is cancelled."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.integration.rig import ENDLESS, TERMINATE, Raw, backends, eventually, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns]

GONE_WITHIN_S = 1.0


def running(shop: Database) -> bool:
    found = shop.fetch(
        "select 1 from pg_stat_activity where state = 'active' and datname = "
        f"'{shop.name}' and query like 'select count(*) from generate_series%'"
    )
    return bool(found)


def half_close(raw: Raw) -> None:
    raw.socket.shutdown(socket.SHUT_WR)


def close(raw: Raw) -> None:
    raw.socket.close()


def terminate(raw: Raw) -> None:
    raw.send(TERMINATE)
    raw.socket.close()


@pytest.mark.parametrize("go", [Raw.reset, close, half_close, terminate])
def test_a_running_statement_is_cancelled(
    guard: Proxy, shop: Database, go: Callable[[Raw], None]
) -> None:
    with Raw(guard.dsn("developer", shop.name)) as raw:
        raw.send(query(ENDLESS))
        eventually(lambda: running(shop))
        go(raw)
        eventually(lambda: not backends(shop), GONE_WITHIN_S, "backend is gone")
    ends = [r for r in guard.records() if r["kind"] == "outcome"]
    assert ends[-1]["status"] == "unknown"


def test_each_statement_of_a_pipeline_is_cancelled(
    guard17: Proxy, shop17: Database
) -> None:
    """Cancelling one lets the next begin, so once is not enough."""
    with Raw(guard17.dsn("developer", shop17.name)) as raw:
        raw.send(query(ENDLESS) * 3)
        eventually(lambda: running(shop17))
        raw.reset()
        eventually(lambda: not backends(shop17), 2.0, "backend is gone")


@pytest.mark.parametrize("goodbye", [TERMINATE, b""], ids=["terminate", "fin"])
def test_what_was_sent_before_going_is_executed(
    guard: Proxy, shop: Database, goodbye: bytes
) -> None:
    shop.execute("create table marks (n int); grant all on marks to public")
    with Raw(guard.dsn("migrator", shop.name)) as raw:
        inserts = [query(f"insert into marks values ({n})") for n in range(50)]
        raw.send(b"".join(inserts) + goodbye)
    eventually(lambda: not backends(shop))
    assert shop.fetch("select count(*), max(n) from marks") == [(50, 49)]


@pytest.mark.parametrize("goodbye", [TERMINATE, b""], ids=["terminate", "fin"])
def test_an_idle_client_takes_its_backend_along(
    guard17: Proxy, shop17: Database, goodbye: bytes
) -> None:
    with Raw(guard17.dsn("developer", shop17.name)) as raw:
        assert backends(shop17) == 1
        raw.send(goodbye)
        raw.socket.close()
        eventually(lambda: not backends(shop17), 0.5)


def test_the_database_can_be_dropped_right_after_closing(
    guard: Proxy, shop: Database
) -> None:
    """DROP DATABASE waits five seconds for others to leave, then fails."""
    for _ in range(3):
        with psycopg.connect(guard.dsn("developer", shop.name)) as connection:
            connection.execute("select 1")
        started = time.monotonic()
        with psycopg.connect(shop.cluster.dsn(), autocommit=True) as admin:
            admin.execute(f"alter database {shop.name} rename to {shop.name}_x")
            admin.execute(f"alter database {shop.name}_x rename to {shop.name}")
        assert time.monotonic() - started < 2.0


def test_going_in_the_middle_of_a_message_executes_nothing_of_it(
    guard17: Proxy, shop17: Database
) -> None:
    shop17.execute("create table marks (n text); grant all on marks to public")
    whole = struct.pack("!i", 4 + 300_000)
    with Raw(guard17.dsn("migrator", shop17.name)) as raw:
        raw.send(query("copy marks from stdin"))
        assert raw.socket.recv(1) == b"G"
        # Five bytes short: a Terminate put behind would complete it.
        raw.send(b"d" + whole + b"1\n" * 149_997 + b"1")
    eventually(lambda: not backends(shop17))
    assert shop17.fetch("select count(*) from marks") == [(0,)]


def test_a_client_that_is_gone_is_noticed_while_nothing_is_read_from_it(
    guard17: Proxy, shop17: Database
) -> None:
    """A COPY into a locked table: buffers are full, so nobody would see the FIN."""
    shop17.execute("create table marks (n text); grant all on marks to public")
    with psycopg.connect(shop17.dsn) as other:
        other.execute("lock table marks")
        raw = Raw(guard17.dsn("migrator", shop17.name))
        raw.socket.settimeout(1.0)
        chunk = b"d" + struct.pack("!i", 4 + 60_000) + b"1\n" * 30_000
        raw.send(query("copy marks from stdin"))
        with pytest.raises(TimeoutError):
            raw.send(chunk * 1_000)
        assert backends(shop17) == 1
        raw.reset()
        eventually(lambda: not backends(shop17), 5.0, "backend is gone")
    assert shop17.fetch("select count(*) from marks") == [(0,)]


def test_a_backend_that_is_terminated_takes_its_client_along(
    guard: Proxy, shop: Database
) -> None:
    with psycopg.connect(guard.dsn("developer", shop.name), autocommit=True) as victim:
        victim.execute("select 1")
        failed: list[BaseException] = []

        def run() -> None:
            try:
                victim.execute(ENDLESS)
            except psycopg.Error as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        eventually(lambda: running(shop))
        shop.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = "
            f"'{shop.name}' and query like 'select count(*) from generate_series%'"
            " and pid <> pg_backend_pid()"
        )
        thread.join(5)
        assert not thread.is_alive()
        assert isinstance(failed[0], psycopg.errors.AdminShutdown)
        assert victim.closed
