"""psycopg 3, sync and async: the driver that uses every corner of libpq.

Runs on all majors; a session costs little. Next: `test_asyncpg`, `test_sqlalchemy`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.clients.refusals import Refusal, check_refusal, statements
from tests.clients.tools import LONG_QUERY, wait_until_over, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("psycopg")]

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def developer(guard: Proxy, shop: Database) -> Iterator[Connection]:
    url = guard.dsn("developer", shop.name)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def migrator(guard: Proxy, shop: Database) -> Iterator[Connection]:
    url = guard.dsn("migrator", shop.name)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def refusal_of(error: psycopg.Error) -> Refusal:
    diag = error.diag
    return Refusal(
        diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint
    )


def test_reads_with_parameters_of_many_types(developer: Connection) -> None:
    row = developer.execute(
        "SELECT %s::int, %s::text, %s::jsonb, %s::text[], %s::numeric, %s::bytea",
        (7, "ø", "{}", ["a", "b"], 1.5, b"\x00\xff"),
    ).fetchone()
    assert row is not None
    assert row[0:2] == (7, "ø")
    assert row[5] == b"\x00\xff"


def test_binary_results(developer: Connection) -> None:
    cursor = developer.cursor(binary=True)
    cursor.execute("SELECT id, name, created_at FROM customers WHERE id = %s", (1,))
    row = cursor.fetchone()
    assert row is not None
    assert row[0] == 1


def test_prepared_statements_are_used_again(
    developer: Connection, guard: Proxy, shop: Database
) -> None:
    for wanted in range(1, 20):
        row = developer.execute(
            "SELECT id FROM customers WHERE id = %s", (wanted,), prepare=True
        ).fetchone()
        assert row == (wanted,)
    used = [one for one in statements(guard, shop.name) if "$1" in one["text"]]
    assert len(used) == 19  # a record for each Execute


def test_many_prepared_statements_are_dropped_again(developer: Connection) -> None:
    developer.prepare_threshold = 0
    developer.prepared_max = 5
    for serial in range(20):
        query = sql.SQL("SELECT {} + %s").format(sql.Literal(serial))
        assert developer.execute(query, (1,)).fetchone() == (serial + 1,)
    left = developer.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert left is not None
    assert int(str(left[0])) <= 6


def test_a_pipeline(developer: Connection) -> None:
    with developer.pipeline():
        cursors = [developer.execute("SELECT %s::int", (n,)) for n in range(200)]
    assert [one.fetchone() for one in cursors] == [(n,) for n in range(200)]


def test_a_refusal_inside_a_pipeline(developer: Connection, guard: Proxy) -> None:
    first, refused, skipped = (developer.cursor() for _ in range(3))

    def pipelined() -> None:
        with developer.pipeline() as pipeline:
            first.execute("SELECT 1")
            pipeline.sync()
            refused.execute("DELETE FROM orders WHERE id = %s", (1,))
            # psycopg reads what has come by now: this may be told of the refusal.
            skipped.execute("SELECT 2")
            refused.fetchone()

    with pytest.raises(psycopg.Error) as caught:
        pipelined()
    check_refusal(guard, refusal_of(caught.value), "developer.write")
    assert first.fetchone() == (1,)
    with pytest.raises(psycopg.Error):
        skipped.fetchone()
    with developer.pipeline():
        after = developer.execute("SELECT 3")
    assert after.fetchone() == (3,)
    assert developer.execute("SELECT 4").fetchone() == (4,)


@pytest.mark.parametrize("hold", [False, True], ids=["plain", "with-hold"])
def test_server_side_cursors(developer: Connection, hold: bool) -> None:
    with developer.transaction(), developer.cursor("c", withhold=hold) as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT id FROM orders ORDER BY id")
        assert len(cursor.fetchmany(10)) == 10
        cursor.scroll(100)
        assert cursor.fetchone() == (111,)
        assert sum(1 for _ in cursor) == 5000 - 111


@pytest.mark.parametrize("form", ["TEXT", "CSV", "BINARY"])
def test_copy_out(developer: Connection, form: LiteralString) -> None:
    with developer.cursor().copy(
        f"COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT (FORMAT {form})"
    ) as copy:
        data = b"".join(bytes(block) for block in copy)
    if form == "BINARY":
        assert data.startswith(b"PGCOPY\n\xff\r\n\0")
    else:
        assert data.count(b"\n") == 1000


def test_copy_in(migrator: Connection, developer: Connection, guard: Proxy) -> None:
    command: LiteralString = (
        "COPY products (sku, name, category, price) FROM STDIN (FORMAT binary)"
    )
    with migrator.cursor().copy(command) as copy:
        copy.set_types(["text", "text", "text", "numeric"])
        for serial in range(1000):
            copy.write_row((f"X-{serial}", "x", "office", 1))
    assert migrator.execute("SELECT count(*) FROM products").fetchone() == (1120,)
    with (
        pytest.raises(psycopg.Error) as caught,
        developer.cursor().copy(command) as copy,
    ):
        copy.write(b"x")
    check_refusal(guard, refusal_of(caught.value), "developer.write")
    assert developer.execute("SELECT count(*) FROM products").fetchone() == (1120,)


def test_copy_in_that_the_client_gives_up(migrator: Connection) -> None:
    def give_up() -> None:
        with migrator.cursor().copy("COPY products FROM STDIN") as copy:
            copy.write(b"1\t")
            raise KeyError("changed my mind")  # becomes CopyFail

    with pytest.raises(KeyError):
        give_up()
    assert migrator.execute("SELECT count(*) FROM products").fetchone() == (120,)


@pytest.mark.parametrize("safe", [True, False], ids=["cancel_safe", "cancel"])
def test_cancel(developer: Connection, shop: Database, safe: bool) -> None:
    caught: list[Exception] = []

    def count() -> None:
        try:
            developer.execute(LONG_QUERY)
        except psycopg.Error as error:
            caught.append(error)

    thread = threading.Thread(target=count)
    thread.start()
    wait_until_running(shop, LONG_QUERY)
    if safe:
        developer.cancel_safe(timeout=5)
    else:
        developer.cancel()
    thread.join(10)
    assert isinstance(caught[0], psycopg.errors.QueryCanceled)
    wait_until_over(shop, LONG_QUERY)
    assert developer.execute("SELECT 1").fetchone() == (1,)


def test_a_large_row_both_ways(developer: Connection) -> None:
    big = "pgwarden" * 1_000_000
    assert developer.execute("SELECT repeat('pgwarden', 1000000)").fetchone() == (big,)
    row = developer.execute("SELECT length(%s::text)", (big,)).fetchone()
    assert row == (8_000_000,)


WRITES: dict[LiteralString, str] = {
    "INSERT INTO orders (customer_id, placed_at) VALUES (1, now())": "developer.write",
    "UPDATE orders SET note = 'x'": "developer.write",
    "DELETE FROM order_items": "developer.write",
    "TRUNCATE order_items": "developer.write",
    "DROP TABLE order_items": "developer.schema",
    "CREATE TABLE x (id int)": "developer.schema",
    "SELECT * INTO x FROM orders": "developer.schema",
    "SELECT * FROM orders FOR UPDATE": "developer.row-lock",
    "DO $$ BEGIN DELETE FROM orders; END $$": "developer.code",
    "GRANT ALL ON orders TO PUBLIC": "developer.privilege",
}


@pytest.mark.parametrize("prepare", [False, True], ids=["simple", "prepared"])
def test_refused_and_still_usable(
    developer: Connection, guard: Proxy, shop: Database, prepare: bool
) -> None:
    for statement, rule in WRITES.items():
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            developer.execute(statement, prepare=prepare)
        check_refusal(guard, refusal_of(caught.value), rule)
        count = developer.execute("SELECT count(*) FROM orders", prepare=prepare)
        assert count.fetchone() == (5000,)
    assert developer.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert shop.fetch("SELECT count(*) FROM order_items")[0][0] > 0


def test_a_refusal_aborts_the_transaction_and_a_savepoint_saves_it(
    developer: Connection,
) -> None:
    with developer.transaction():
        developer.execute("SELECT 1")
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            developer.transaction(),
        ):
            developer.execute("DELETE FROM orders WHERE id = %s", (1,))
        assert developer.execute("SELECT count(*) FROM orders").fetchone() == (5000,)


def test_executemany_of_reads_and_of_writes(
    developer: Connection, guard: Proxy
) -> None:
    cursor = developer.cursor()
    cursor.executemany("SELECT %s::int", [(1,), (2,), (3,)], returning=True)
    seen = [cursor.fetchone()]
    while cursor.nextset():
        seen.append(cursor.fetchone())
    assert seen == [(1,), (2,), (3,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cursor.executemany("UPDATE orders SET note = %s", [("a",), ("b",)])
    assert developer.execute("SELECT 1").fetchone() == (1,)


async def test_async_pipeline_and_refusal(guard: Proxy, shop: Database) -> None:
    url = guard.dsn("developer", shop.name)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as opened:
        async with opened.pipeline():
            cursors = [await opened.execute("SELECT %s::int", (n,)) for n in range(50)]
            assert [await one.fetchone() for one in cursors] == [
                (n,) for n in range(50)
            ]
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            await opened.execute("DROP TABLE orders")
        check_refusal(guard, refusal_of(caught.value), "developer.schema")
        row = await (await opened.execute("SELECT count(*) FROM orders")).fetchone()
        assert row == (5000,)


def test_notices_arrive_and_notifications_too(
    developer: Connection, migrator: Connection, guard: Proxy
) -> None:
    said: list[str] = []
    migrator.add_notice_handler(lambda diag: said.append(str(diag.message_primary)))
    migrator.execute("CREATE TABLE IF NOT EXISTS orders (id int)")
    assert said == ['relation "orders" already exists, skipping']
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        developer.execute("LISTEN orders")
    check_refusal(guard, refusal_of(caught.value), "developer.notify")


def test_two_phase_commit_is_refused(developer: Connection, guard: Proxy) -> None:
    developer.autocommit = False
    developer.tpc_begin(developer.xid(1, "a", "b"))
    developer.execute("SELECT 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        developer.tpc_prepare()
    check_refusal(guard, refusal_of(caught.value), "developer.server")
    developer.close()  # psycopg believes that it is prepared, and would commit


def test_the_session_tells_its_person(
    developer: Connection, guard: Proxy, shop: Database
) -> None:
    (name,) = developer.execute("SHOW application_name").fetchone() or ("",)
    assert guard.user("developer") in str(name)
    developer.execute("SET application_name = 'report'")
    assert statements(guard, shop.name)[-1]["identity"] == guard.user("developer")
