"""A statement that runs for longer than its role may, however the client tries."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.integration.limited import (
    connect,
    ends,
    limit_records,
    policy_file,
    policy_text,
)
from tests.integration.rig import ENDLESS, Raw, eventually, metric, query
from tests.unit.session.playbook import SYNC, copy_data, parse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(90)]

HITS = 'pgwarden_limit_hits_total{limit="running-time",role="%s"}'
LIMIT_S = 1.0
LATE_S = 5.0
"""A look a second, and the cancel; more, as the machine may be busy with others."""
GRACE_S = 5.0 + LATE_S

FORMS = {
    "simple": [ENDLESS],
    "sleep": ["select pg_sleep(60)"],
    "no timeout": ["set statement_timeout = 0", "select pg_sleep(60)"],
    "prepared": ["prepare p as select pg_sleep(60)", "execute p"],
    "cursor": ["begin", "declare c cursor for select pg_sleep(60)", "fetch c"],
    "do": ["do $$ begin perform pg_sleep(60); end $$"],
    "caught": [
        "do $$ begin loop begin perform pg_sleep(60); exception when others then null; "
        "end; end loop; end $$"
    ],
    "several": ["select 1; select pg_sleep(60); select 2"],
}


@pytest.fixture
def proxy(start_proxy: StartProxy, shop: Database, tmp_path: Path) -> Proxy:
    limits = {"running_time_s": LIMIT_S}
    return start_proxy(
        shop.cluster, policy=policy_file(tmp_path, developer=limits, migrator=limits)
    )


@pytest.fixture
def proxy17(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> Proxy:
    limits = {"running_time_s": LIMIT_S}
    return start_proxy(
        shop17.cluster, policy=policy_file(tmp_path, developer=limits, migrator=limits)
    )


def working(shop: Database) -> int:
    """Backends of pgwarden's logins that do something."""
    ((count,),) = shop.fetch(
        "select count(*) from pg_stat_activity where state <> 'idle' and "
        f"datname = '{shop.name}' and usename like 'pgwarden%'"
    )
    return int(count)


def cut_off(connection: psycopg.Connection, statement: str) -> psycopg.Error:
    started = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled) as cut:
        connection.execute(statement.encode())
    assert LIMIT_S <= time.monotonic() - started < LIMIT_S + LATE_S
    return cut.value


def test_it_is_cut_off_whatever_the_client_does(proxy: Proxy, shop: Database) -> None:
    for name, (*before, last) in FORMS.items():
        with connect(proxy, shop) as connection:
            for statement in before:
                connection.execute(statement.encode())
            error = cut_off(connection, last)
            said = error.diag
            assert said.message_primary == (
                "canceling statement: it ran for more than 1 s, the most for role "
                "developer"
            ), name
            assert said.message_detail
            assert said.message_detail.startswith("rule limits.running-time, audit id ")
            assert "statement_timeout" in (said.message_hint or "")
            connection.execute("rollback")
            assert connection.execute("select 1").fetchone() == (1,)
            assert working(shop) == 0, name
    told = limit_records(proxy)
    assert [each["rule"] for each in told] == ["limits.running-time"] * len(FORMS)
    outcomes = {
        each["audit_id"]: each
        for each in proxy.records()
        if each["kind"] == "outcome" and each.get("sqlstate") == "57014"
    }
    assert {each["audit_id"] for each in told} == set(outcomes)
    assert metric(proxy, HITS % "developer") == len(FORMS)


def test_extended_protocol_and_pipelines(proxy: Proxy, shop: Database) -> None:
    """What stands behind it in its own segment is skipped; the next segment runs."""
    with connect(proxy, shop) as connection:
        with connection.pipeline() as pipeline:
            first = connection.execute("select 1")
            slow = connection.execute("select pg_sleep(%s)", (60,))
            skipped = connection.execute("select 2")
            with pytest.raises(psycopg.errors.QueryCanceled) as cut:
                pipeline.sync()
            last = connection.execute("select 3")
            assert first.fetchone() == (1,)
            assert last.fetchone() == (3,)
        assert "its pipeline ran without an answer for more than 1 s" in str(cut.value)
        assert slow.pgresult is None
        assert skipped.pgresult is None
        assert connection.execute("select pg_sleep(%s)", (0.1,)).fetchone() == ("",)
        with pytest.raises(psycopg.errors.QueryCanceled, match="it ran for more than"):
            connection.execute("select pg_sleep(%s)", (60,))


def test_many_short_statements_are_no_long_one(
    proxy17: Proxy, shop17: Database
) -> None:
    with connect(proxy17, shop17) as connection:
        until = time.monotonic() + 3 * LIMIT_S
        while time.monotonic() < until:
            connection.execute("select pg_sleep(0.2)")
        with connection.pipeline():
            for _ in range(10):
                connection.execute("select pg_sleep(0.3)")
                connection.execute("select 1").fetchone()
    assert limit_records(proxy17) == []


def test_the_next_statement_is_never_hit(proxy17: Proxy, shop17: Database) -> None:
    """Statements that end just when they are cancelled, and what follows at once."""
    wrong: list[BaseException] = []
    hit = [0, 0]

    def one_after_the_other(seed: int) -> None:
        chance = random.Random(seed)
        with connect(proxy17, shop17) as connection:
            for _ in range(6):
                try:
                    connection.execute(
                        f"select pg_sleep({chance.uniform(0.95, 2.1)})".encode()
                    )
                    hit[0] += 1
                except psycopg.errors.QueryCanceled:
                    hit[1] += 1
                try:
                    connection.execute("select pg_sleep(0.02)")
                except psycopg.Error as error:
                    wrong.append(error)

    threads = [
        threading.Thread(target=one_after_the_other, args=(n,)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(hit) > 3, "some end, some are cancelled, or this test shows nothing"


def test_copy_data_that_does_not_come(proxy: Proxy, shop: Database) -> None:
    """Postgres hears no cancel while it waits for COPY data: the session ends."""
    with Raw(proxy.dsn("migrator", shop.name)) as raw:
        raw.send(query("create table t (id int)"))
        raw.send(query("copy t from stdin"))
        started = time.monotonic()
        said = raw.rest()
    assert time.monotonic() - started < LIMIT_S + GRACE_S
    assert b"C57P01\0" in said
    assert b"did not stop when it was cancelled" in said
    eventually(lambda: working(shop) == 0)
    reason = ends(proxy)[-1]["reason"]
    assert reason.startswith("limits.running-time: a statement ran for more than 1 s")
    shop.execute("drop table t")  # nobody holds a lock on it


def test_copy_data_that_trickles(proxy17: Proxy, shop17: Database) -> None:
    with Raw(proxy17.dsn("migrator", shop17.name)) as raw:
        raw.send(query("create table t (id int)"))
        raw.send(query("copy t from stdin"))
        started = time.monotonic()
        raw.socket.settimeout(0.1)
        said = b""
        while b"C57014\0" not in said:
            assert time.monotonic() - started < LIMIT_S + LATE_S
            raw.send(copy_data())
            try:
                said += raw.socket.recv(1 << 16)
            except TimeoutError:
                continue
    assert b"Mcanceling statement: it ran for more than 1 s" in said


def test_a_client_that_does_not_read(proxy: Proxy, shop: Database) -> None:
    with Raw(proxy.dsn("developer", shop.name)) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.send(query("select repeat('x', 1000) from generate_series(1, 10000000)"))
        eventually(lambda: working(shop) == 1)
        eventually(lambda: working(shop) == 0, LIMIT_S + GRACE_S)


@pytest.mark.parametrize("begins", [b"", query("begin")])
def test_a_pipeline_without_its_end(
    proxy17: Proxy, shop17: Database, begins: bytes
) -> None:
    """A Parse takes locks and holds them up to the Sync, which never comes."""
    with Raw(proxy17.dsn("developer", shop17.name)) as raw:
        raw.send(begins + parse("select * from customers"))
        started = time.monotonic()
        said = raw.rest()
        assert time.monotonic() - started < LIMIT_S + GRACE_S
    assert b"C57P01\0" in said
    shop17.execute("begin; lock table customers; rollback")


def test_syncs_alone_are_no_statement(proxy17: Proxy, shop17: Database) -> None:
    with Raw(proxy17.dsn("developer", shop17.name)) as raw:
        until = time.monotonic() + 3 * LIMIT_S
        while time.monotonic() < until:
            raw.send(SYNC * 50)
            raw.socket.recv(1 << 16)
        raw.send(query("select 'still in'"))
        got = b""
        while b"still in" not in got:
            got += raw.socket.recv(1 << 16)
    assert limit_records(proxy17) == []


def test_a_reload_holds_for_what_runs(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    policy = policy_file(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)

    def limit() -> None:
        policy.write_text(policy_text({"running_time_s": 1}))
        proxy.reload()

    with connect(proxy, shop17) as connection:
        threading.Timer(1.5, limit).start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="more than 1 s"):
            connection.execute("select pg_sleep(60)")
        assert 1.5 < time.monotonic() - started < 1.5 + LATE_S
