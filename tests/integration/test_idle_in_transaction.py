"""A transaction in which nothing happens, however busy its client looks."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.integration.limited import connect, ends, limit_records, policy_file
from tests.integration.rig import Raw, eventually, metric, query
from tests.unit.session.playbook import FLUSH, SYNC, bind, describe, execute, parse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(90)]

HITS = 'pgwarden_limit_hits_total{limit="idle-in-transaction",role="developer"}'
LIMIT_S = 2.0
LATE_S = 5.0
"""A look a second; more, as the machine may be busy with other tests."""

BEGIN = query("begin")
OPENED = {
    "begin": BEGIN,
    "read": BEGIN + query("select * from customers"),
    "cursor": BEGIN + query("declare c cursor for select 1") + query("fetch c"),
    "failed": BEGIN + query("select 1/0"),
    "portal": BEGIN
    + parse("select * from generate_series(1, 9)")
    + bind()
    + execute("", 1)
    + SYNC,
    # without a BEGIN: the implicit transaction lasts up to the Sync
    "parse and flush": parse("select * from customers") + FLUSH,
    "executed, no sync": parse("begin") + bind() + execute() + FLUSH,
}
BUSY = {
    "silent": b"",
    "sync": SYNC,
    "flush": FLUSH,
    "empty": query(";"),
    "comment": query("/* I am here */"),
    "describe": parse("select 1") + describe("S") + SYNC,
    "fails": query("select 1"),  # 25P02 in a transaction that has failed
    "trickles": b"",  # see below
}


@pytest.fixture
def proxy(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> Proxy:
    limits = {"idle_in_transaction_s": LIMIT_S}
    return start_proxy(shop17.cluster, policy=policy_file(tmp_path, developer=limits))


def ended_after(raw: Raw, keep_alive: bytes, every_s: float = 0.15) -> float:
    """How long it took until the session was ended for being idle."""
    started = time.monotonic()
    raw.socket.settimeout(every_s)
    said = b""
    while b"C25P03\0" not in said:
        assert time.monotonic() - started < LIMIT_S + LATE_S, said[-200:]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            raw.send(keep_alive)
        try:
            said += raw.socket.recv(1 << 16)
        except TimeoutError:
            continue
    assert b"Drule limits.idle-in-transaction\0" in said
    assert b"idle in a transaction for more than 2 s, the most for role" in said
    return time.monotonic() - started


@pytest.mark.parametrize("opened", OPENED)
def test_it_ends(proxy: Proxy, shop17: Database, opened: str) -> None:
    with Raw(proxy.dsn("developer", shop17.name)) as raw:
        raw.send(OPENED[opened])
        assert ended_after(raw, b"") >= LIMIT_S
    shop17.execute("begin; lock table customers; rollback")
    eventually(lambda: ends(proxy))
    (end,) = ends(proxy)
    assert end["sqlstate"] == "25P03"
    assert end["reason"] == (
        "limits.idle-in-transaction: idle in a transaction for more than 2 s"
    )
    assert [each["rule"] for each in limit_records(proxy)] == [
        "limits.idle-in-transaction"
    ]
    assert metric(proxy, HITS) == 1


def test_it_ends_on_every_major(
    start_proxy: StartProxy, shop: Database, tmp_path: Path
) -> None:
    """Whatever the client sets: the clock is not Postgres'."""
    limits = {"idle_in_transaction_s": LIMIT_S}
    proxy = start_proxy(shop.cluster, policy=policy_file(tmp_path, developer=limits))
    with connect(proxy, shop) as connection:
        connection.execute("set idle_in_transaction_session_timeout = 0")
        connection.execute("begin")
        connection.execute("select count(*) from customers")
        time.sleep(LIMIT_S + LATE_S)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            connection.execute("select 1")


@pytest.mark.parametrize("busy", BUSY)
def test_looking_busy_is_of_no_use(proxy: Proxy, shop17: Database, busy: str) -> None:
    opened = OPENED["failed" if busy == "fails" else "read"]
    with Raw(proxy.dsn("developer", shop17.name)) as raw:
        raw.send(opened)
        if busy == "trickles":
            raw.send(query("select 1" + " " * 1000)[:20])
        ended_after(raw, b" " if busy == "trickles" else BUSY[busy])


def test_a_large_bind_that_trickles(proxy: Proxy, shop17: Database) -> None:
    """It is with Postgres already, which waits for the rest of it."""
    whole = bind("", "", b"x" * 1_000_000)
    with Raw(proxy.dsn("developer", shop17.name)) as raw:
        raw.send(BEGIN + parse("select length($1)") + SYNC + whole[:200_000])
        time.sleep(0.1)
        started = time.monotonic()
        raw.socket.settimeout(0.1)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < LIMIT_S + LATE_S:
                raw.send(b"x")
                with contextlib.suppress(TimeoutError):
                    if raw.socket.recv(1 << 16) == b"":
                        break
        assert LIMIT_S <= time.monotonic() - started < LIMIT_S + LATE_S
    eventually(lambda: ends(proxy))
    assert ends(proxy)[0]["sqlstate"] == "25P03"


def test_work_counts_and_so_does_being_outside(proxy: Proxy, shop17: Database) -> None:
    with (
        connect(proxy, shop17) as inside,
        connect(proxy, shop17) as outside,
        connect(proxy, shop17) as slow,
        connect(proxy, shop17) as fetching,
    ):
        outside.execute("begin; rollback")
        slow.execute("begin")
        slow.execute("select pg_sleep(1.5 * %s)", (LIMIT_S,))
        inside.execute("begin")
        until = time.monotonic() + 1.5 * LIMIT_S
        fetching.execute("begin; declare c cursor for select generate_series(1, 100)")
        while time.monotonic() < until:
            inside.execute("select 1")
            fetching.execute("fetch c")
            time.sleep(LIMIT_S / 4)
            # a statement that took long, or failed late, starts the time anew
            slow.execute("savepoint s")
            with pytest.raises(psycopg.errors.DivisionByZero):
                slow.execute("select 1/0")
            slow.execute("rollback to s")
        for connection in (inside, outside, slow, fetching):
            assert connection.execute("select 1").fetchone() == (1,)
    assert limit_records(proxy) == []


def test_a_statement_that_fails_late_is_not_idleness(
    proxy: Proxy, shop17: Database
) -> None:
    with connect(proxy, shop17) as connection:
        connection.execute("begin")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("do $$ begin perform pg_sleep(3); perform 1/0; end $$")
        time.sleep(LIMIT_S / 2)
        connection.execute("rollback")
        assert connection.execute("select 1").fetchone() == (1,)
