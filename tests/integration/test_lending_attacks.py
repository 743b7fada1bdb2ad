"""How one would get more than was lent, or for longer, or without a second person."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest

from tests.integration.lending import PEOPLE, REQUEST, House, house
from tests.integration.rig import eventually, metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(90)]

UPDATE = "UPDATE orders SET note = 'x' WHERE id = 17"


@pytest.fixture
def lent(start_proxy: StartProxy, shop: Database, tmp_path: Path) -> House:
    return house(start_proxy, shop, tmp_path)


def refused(lent: House, name: str, text: str) -> str:
    """The rule that refuses a statement; the session goes on."""
    with lent.connect(name) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(text.encode())
        assert connection.execute("SELECT 1").fetchone() == (1,)
    detail = caught.value.diag.message_detail or ""
    return detail.removeprefix("rule ").partition(",")[0]


def states(lent: House) -> list[tuple[str, str]]:
    with lent.connect("leo") as connection:
        found = connection.execute("SELECT 1").fetchone()
        assert found == (1,)
        rows = connection.execute("SHOW pgwarden.access").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def running(lent: House, length: str = "30m") -> str:
    """A grant of dana's that leo has approved."""
    grant = lent.ask(text=REQUEST.replace("30m", length))
    assert lent.call("leo", "approve", grant)[1] == "active"
    return grant


# --- one person, or the wrong one ---------------------------------------------


def test_nobody_lends_to_themselves(lent: House) -> None:
    grant = lent.ask("lea")
    approve = f"CALL pgwarden.approve('{grant}')"
    assert refused(lent, "lea", approve) == "access.own-request"
    assert refused(lent, "eve", approve) == "access.not-an-approver"
    assert refused(lent, "dana", approve) == "access.not-an-approver"
    assert refused(lent, "dep", REQUEST) == "access.not-a-requester"
    assert states(lent) == [(grant, "pending")]
    assert lent.call("leo", "approve", grant)[1] == "active"
    # With it she is still who she is.
    own = lent.ask("dana")
    with lent.connect("lea") as lea:
        assert lea.execute("SHOW pgwarden.session").fetchall()[0][:4] == (
            *("lea", "writer", "lead", grant),
        )
        lea.execute(f"CALL pgwarden.approve('{own}')".encode())
    assert refused(lent, "lea", f"CALL pgwarden.review('{grant}', 'all was well')") == (
        "access.own-request"
    )


def test_who_is_disabled_approves_nothing(lent: House) -> None:
    grant = lent.ask()
    with lent.connect("lea") as lea:
        lent.people(lea={"disabled": True})
        with pytest.raises(psycopg.OperationalError):
            eventually(lambda: lea.execute("SELECT 1").fetchone() is None)
    with pytest.raises(psycopg.OperationalError):
        lent.connect("lea")
    lent.people(lea={"role": "developer"})
    eventually(lambda: may_come_in(lent, "lea"))
    approve = f"CALL pgwarden.approve('{grant}')"
    assert refused(lent, "lea", approve) == "access.not-an-approver"
    lent.people(dana={"disabled": True})
    eventually(lambda: not may_come_in(lent, "dana"))
    assert refused(lent, "leo", approve) == "access.not-a-requester"


def may_come_in(lent: House, name: str) -> bool:
    try:
        lent.connect(name).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_lent_role_is_nobodys_own(lent: House) -> None:
    lent.people(eve={"role": "writer"})
    eventually(lambda: not may_come_in(lent, "eve"))
    with pytest.raises(psycopg.OperationalError, match="only lent, and nobody's own"):
        lent.connect("eve")


# --- asking for too much ------------------------------------------------------


TOO_MUCH = (
    ("'writer', '2h', 'INC-42: fix order 17'", "access.length"),
    ("'writer', '1s', 'INC-42: fix order 17'", "access.length"),
    ("'writer', '-30m', 'INC-42: fix order 17'", "access.length"),
    ("'migrator', '30m', 'INC-42: fix order 17'", "access.not-lendable"),
    ("'pgwarden_migrator', '30m', 'INC-42: fix'", "access.not-lendable"),
    ("'lead', '30m', 'INC-42: fix order 17'", "access.not-lendable"),
    ("'writer', '30m', ''", "access.reason"),
    ("'writer', '30m', E'INC-42:\\nall fine'", "access.reason"),
    ("'writer', '30m', NULL", "access.malformed"),
    ("'writer', interval '30m', 'INC-42: fix'", "access.malformed"),
    ("'writer', '30m', (SELECT email FROM customers LIMIT 1)", "access.malformed"),
)


def test_requests_that_are_refused(lent: House) -> None:
    for args, rule in TOO_MUCH:
        text = f"CALL pgwarden.request_access({args})"
        assert refused(lent, "dana", text) == rule, args
    assert states(lent) == []


def test_a_flood_of_requests(lent: House) -> None:
    for _ in range(3):
        lent.ask()
    assert refused(lent, "dana", REQUEST) == "access.too-many-requests"
    assert len(states(lent)) == 3
    eventually(lambda: metric(lent.proxy, 'pgwarden_access_grants{state="pending"}'))
    assert metric(lent.proxy, 'pgwarden_access_grants{state="pending"}') == 3
    lent.ask("eve")


def test_forged_ids(lent: House) -> None:
    lent.ask()
    drop = "G-7K3QX2MA'); DROP TABLE orders; --"
    for forged in ("G-00000000", "' OR ''='", "%", "*", drop, ""):
        quoted = forged.replace("'", "''")
        for command in ("approve", "deny", "revoke"):
            text = f"CALL pgwarden.{command}('{quoted}')"
            assert refused(lent, "leo", text) == "access.unknown-request"
    assert [state for _, state in states(lent)] == ["pending"]


def test_what_is_decided_stays_decided(lent: House) -> None:
    grant = lent.ask()
    assert lent.call("lea", "deny", grant, "not today")[1] == "denied"
    for name, command in (("leo", "approve"), ("leo", "deny"), ("dana", "revoke")):
        text = f"CALL pgwarden.{command}('{grant}')"
        assert refused(lent, name, text) == "access.too-late"
    over = running(lent, "5s")
    time.sleep(5.2)
    assert refused(lent, "lea", f"CALL pgwarden.approve('{over}')") == "access.too-late"


# --- what people write --------------------------------------------------------


REASONS = (
    "it's \"order\" 17; fix 'it'",
    "'; DROP TABLE orders; --",
    "\\'; DROP TABLE orders; --",
    "''::pg_catalog.text) AS x; --",
    "$$ $p$ $1 :x %s ${HOME} `id`",
    "back\\slash \\n \\x27 \\",
    "größer 文字 🐘 /* */ -- x",
)


def test_a_reason_is_only_a_reason(lent: House) -> None:
    """Whatever the upstream's role says of backslashes."""
    before = lent.shop.fetch("SELECT count(*) FROM orders")
    user = lent.shop.logins.reader.user
    escape = f"ALTER ROLE {user} IN DATABASE {lent.shop.name} SET backslash_quote"
    for setting in ("on", "off"):
        lent.shop.execute(f"{escape} = {setting}")
        for reason in REASONS:
            quoted = reason.replace("'", "''")
            grant = lent.ask(
                text=f"CALL pgwarden.request_access('writer', '30m', '{quoted}')"
            )
            with lent.connect("lea") as lea:
                row, *_ = lea.execute("SHOW pgwarden.access").fetchall()
            assert row[:6] == (grant, "pending", "dana", "writer", "30m", reason)
            lent.call("dana", "revoke", grant, reason)
    assert lent.shop.fetch("SELECT count(*) FROM orders") == before


def test_one_sees_what_concerns_one(lent: House) -> None:
    lent.ask("dana")
    for name, count in (("dana", 1), ("lea", 1), ("eve", 0), ("dep", 0)):
        with lent.connect(name) as connection:
            rows = connection.execute("SHOW pgwarden.access").fetchall()
        assert len(rows) == count, name


# --- longer than it was lent --------------------------------------------------


def test_a_prepared_statement_and_a_new_login_after_the_end(lent: House) -> None:
    running(lent, "5s")
    dana = lent.connect("dana", prepare_threshold=0)
    dana.execute(UPDATE)
    # Who sends in the moment of the end may be cut before reading why.
    why = "has ended: its time is over|server closed the connection"
    with pytest.raises(psycopg.OperationalError, match=why):
        eventually(lambda: dana.execute(UPDATE).rowcount == 0, 7)
    assert refused(lent, "dana", UPDATE) == "developer.write"
    assert lent.user_of("dana") == lent.shop.logins.reader.user


def test_what_runs_is_stopped_and_what_was_sent_ahead_does_not_run(
    lent: House,
) -> None:
    """Statements pile up behind one that waits for a lock, each of them a COMMIT."""
    grant = running(lent)
    lent.shop.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (0)")
    lent.shop.execute("CREATE TABLE slow (n int)")
    lent.shop.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$;"
        "CREATE TRIGGER wait BEFORE INSERT ON slow EXECUTE FUNCTION wait();"
        f"GRANT INSERT, SELECT ON slow TO {writer_of(lent)}"
    )
    dana = lent.connect("dana")
    pq = dana.pgconn
    pq.enter_pipeline_mode()
    for number in range(40):
        pq.send_query_params(b"INSERT INTO slow VALUES (%d)" % number, None)
        pq.pipeline_sync()
    pq.flush()
    rows = "SELECT count(*) FROM slow"
    eventually(lambda: lent.shop.fetch(rows) > [(0,)])
    lent.call("lea", "revoke", grant)
    (before,) = lent.shop.fetch(rows)[0]
    time.sleep(2)
    (after,) = lent.shop.fetch(rows)[0]
    assert after - before <= 2, "no more than what was under way"
    assert after < 10
    assert not backends_of(lent)
    dana.close()


def writer_of(lent: House) -> str:
    ((found,),) = lent.shop.fetch(
        "SELECT grantee FROM information_schema.role_table_grants "
        "WHERE table_name = 'orders' AND grantee LIKE 'w_%' "
        "AND privilege_type = 'UPDATE'"
    )
    return str(found)


def backends_of(lent: House) -> int:
    ((found,),) = lent.shop.fetch(
        f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{writer_of(lent)}'"
    )
    return int(found)


async def test_no_copy_cursor_or_portal_outlives_a_revocation(lent: House) -> None:
    """What was begun while it was lent is not carried on with."""
    ended = (psycopg.OperationalError, psycopg.errors.AdminShutdown)

    grant = running(lent)
    with lent.connect("dana") as dana:
        with pytest.raises(ended):
            _copy_out(dana, lambda: lent.call("lea", "revoke", grant))
        assert dana.closed
    eventually(lambda: backends_of(lent) == 0)

    grant = running(lent)
    with lent.connect("dana") as dana:
        dana.execute("BEGIN")
        dana.execute("DECLARE c CURSOR FOR SELECT id FROM orders")
        assert dana.execute("FETCH 1 FROM c").fetchone()
        lent.call("lea", "revoke", grant)
        eventually(lambda: backends_of(lent) == 0)
        with pytest.raises(ended):
            dana.execute("FETCH 1 FROM c")

    grant = running(lent)
    connection = await asyncpg.connect(lent.dsn("dana"))
    await connection.transaction().start()
    portal = await connection.cursor("SELECT id FROM orders")
    assert await portal.fetch(1)
    lent.call("lea", "revoke", grant)
    eventually(lambda: backends_of(lent) == 0)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await portal.fetch(1)
    assert connection.is_closed()
    connection.terminate()


def _copy_out(dana: psycopg.Connection[Any], in_between: Callable[[], object]) -> None:
    many = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)"
    with dana.cursor().copy(f"COPY ({many}) TO STDOUT".encode()) as copy:
        assert copy.read()
        in_between()
        while copy.read():
            pass


def test_a_statement_that_waits_for_a_lock_ends_with_the_grant(lent: House) -> None:
    grant = running(lent)
    said: list[str] = []

    def work() -> None:
        with lent.connect("dana") as dana:
            try:
                dana.execute(UPDATE)
            except psycopg.Error as error:
                said.append(str(error))

    with psycopg.connect(lent.shop.dsn) as blocker:
        blocker.execute("SELECT 1 FROM orders WHERE id = 17 FOR UPDATE")
        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: backends_of(lent) == 1)
        time.sleep(0.3)
        started = time.monotonic()
        lent.call("lea", "revoke", grant)
        thread.join(5)
        eventually(lambda: backends_of(lent) == 0)
        assert time.monotonic() - started < 2
    assert "was revoked by lea" in said[0]
    assert lent.shop.fetch("SELECT note FROM orders WHERE id = 17") == [(None,)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("requesters: [developer, lead]", "requesters: lead"),
        ("  writer:\n    description", "  author:\n    description"),
    ],
)
def test_a_policy_that_lends_no_more_ends_it(lent: House, old: str, new: str) -> None:
    running(lent)
    with lent.connect("dana") as dana:
        dana.execute(UPDATE)
        policy = lent.identities.parent / "production.yaml"
        text = policy.read_text()
        assert old in text
        text = text.replace(old, new)
        if "author" in new:
            text = text.replace(
                "    writer:\n      requesters", "    author:\n      requesters"
            )
        policy.write_text(text)
        lent.proxy.reload()
        with pytest.raises(psycopg.OperationalError, match="does not hold any more"):
            eventually(lambda: dana.execute(UPDATE).rowcount == 0, 3)


# --- more than was lent -------------------------------------------------------


MORE = (
    "UPDATE orders SET note = 'x'",
    "TRUNCATE orders",
    "ALTER TABLE orders ADD COLUMN x int",
    "CREATE TABLE x ()",
    "CREATE TEMP TABLE x ()",
    "DROP TABLE orders",
    "SET ROLE pgwarden_migrator",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT ALL ON orders TO PUBLIC",
    "DO $$ BEGIN END $$",
)
BY_POSTGRES = ("TRUNCATE", "ALTER", "CREATE", "DROP", "SET ROLE")
"""What its own role can't do either, without any pgwarden before it."""


def test_the_writer_can_do_no_more_than_change_rows(lent: House) -> None:
    running(lent)
    writer = writer_of(lent)
    for text in MORE:
        assert refused(lent, "dana", text), text
        with psycopg.connect(lent.shop.dsn, autocommit=True) as direct:
            direct.execute(f"SET SESSION AUTHORIZATION {writer}".encode())
            if text.startswith(BY_POSTGRES):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    direct.execute(text.encode())


# --- workers, drivers ---------------------------------------------------------


def test_with_two_workers(
    start_proxy: StartProxy, shop: Database, tmp_path: Path
) -> None:
    lent = house(start_proxy, shop, tmp_path, workers=2)
    grant = running(lent)
    # So many connections in a row that the other worker has had some, too.
    reader = lent.user_of("eve")
    eventually(lambda: all(lent.user_of("dana") != reader for _ in range(20)), 20)
    sessions = [lent.connect("dana") for _ in range(6)]
    for session in sessions:
        session.execute(UPDATE)
    lent.call("lea", "revoke", grant)
    started = time.monotonic()
    for session in sessions:
        with pytest.raises(psycopg.OperationalError, match="was revoked"):
            eventually(lambda one=session: one.execute(UPDATE).rowcount == 0, 2)  # type: ignore[misc]
    assert time.monotonic() - started < 2
    assert (
        len({each["session"] for each in lent.proxy.records() if "grant" in each}) > 6
    )
    told = [
        each
        for each in lent.proxy.records()
        if each["kind"] == "internal" and each["purpose"] == "access.command"
    ]
    assert len(told) == 3


async def test_asyncpg_prepares_a_view_anew(lent: House) -> None:
    connection = await asyncpg.connect(lent.dsn("lea"))
    assert await connection.fetch("SHOW pgwarden.requests") == []
    grant = await asyncpg_ask(lent)
    rows: list[asyncpg.Record] = []
    for _ in range(40):
        try:
            rows = await connection.fetch("SHOW pgwarden.requests")
        except asyncpg.InvalidSQLStatementNameError:
            await connection.reload_schema_state()
            continue
        if rows:
            break
        time.sleep(0.05)  # noqa: ASYNC251 - a test
    assert [row["id"] for row in rows] == [grant]
    with pytest.raises(asyncpg.PostgresError, match="must come as a simple query"):
        await connection.fetch(f"CALL pgwarden.approve('{grant}')")
    assert await connection.fetchval("SELECT 1") == 1
    assert await connection.execute(f"CALL pgwarden.approve('{grant}')") == "SELECT 1"
    await connection.close()


async def asyncpg_ask(lent: House) -> str:
    connection = await asyncpg.connect(lent.dsn("dana"))
    await connection.execute(REQUEST)
    rows = await connection.fetch("SHOW pgwarden.access")
    await connection.close()
    return str(rows[0]["id"])


def test_in_a_transaction_a_command_does_nothing(lent: House) -> None:
    with psycopg.connect(lent.dsn("dana")) as dana:  # not in autocommit
        with pytest.raises(psycopg.Error) as caught:
            dana.execute(REQUEST)
        assert caught.value.sqlstate == "25001"
    assert states(lent) == []
    assert PEOPLE["dana"].kind == "developer"
