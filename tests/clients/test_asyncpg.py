"""asyncpg: extended protocol only, binary, and a pool that resets its connections."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.clients.refusals import Refusal, check_refusal, refused_texts, statements
from tests.clients.tools import LONG_QUERY, wait_until_over, wait_until_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("asyncpg")]


@pytest.fixture
async def developer(
    guard: Proxy, shop: Database
) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(guard.dsn("developer", shop.name))
    yield connection
    await connection.close()


def refusal_of(error: asyncpg.PostgresError) -> Refusal:
    return Refusal(error.sqlstate, error.message, error.detail, error.hint)


async def test_reads_with_its_own_type_lookups(
    developer: Any, guard: Proxy, shop: Database
) -> None:
    """An enum makes asyncpg ask the catalog about its type first."""
    rows = await developer.fetch(
        "SELECT status, count(*) FROM orders WHERE status = ANY($1::order_status[])"
        " GROUP BY 1 ORDER BY 1",
        ["new", "paid"],
    )
    assert [row["status"] for row in rows] == ["new", "paid"]
    assert not refused_texts(guard, shop.name)


async def test_prepared_statements_are_used_again(
    developer: Any, guard: Proxy, shop: Database
) -> None:
    prepared = await developer.prepare("SELECT name FROM customers WHERE id = $1")
    assert len({await prepared.fetchval(n) for n in range(1, 30)}) > 10
    for wanted in range(1, 30):  # the driver's own cache
        assert await developer.fetchval("SELECT $1::int", wanted) == wanted
    used = [one for one in statements(guard, shop.name) if "customers" in one["text"]]
    assert len(used) == 29


async def test_a_pool_resets_what_it_takes_back(guard: Proxy, shop: Database) -> None:
    url = guard.dsn("developer", shop.name)
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        for _ in range(4):
            async with pool.acquire() as connection:
                await connection.execute("SET statement_timeout = '5s'")
                assert await connection.fetchval("SELECT 1") == 1
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "0"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("DELETE FROM orders")
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM orders") == 5000
    assert refused_texts(guard, shop.name) == ["DELETE FROM orders"]


async def test_cursors_and_transactions(developer: Any) -> None:
    async with developer.transaction(isolation="repeatable_read", readonly=True):
        seen = 0
        async for _ in developer.cursor("SELECT id FROM orders", prefetch=100):
            seen += 1
        assert seen == 5000
        cursor = await developer.cursor("SELECT id FROM customers ORDER BY id")
        assert [row["id"] for row in await cursor.fetch(2)] == [1, 2]
        assert await cursor.forward(10) == 10  # MOVE in SQL, on the protocol's portal
        assert [row["id"] for row in await cursor.fetch(2)] == [13, 14]


@pytest.mark.xfail(
    raises=asyncpg.InsufficientPrivilegeError,
    reason="session.fetch-of-portal: the record of a portal is written by its first"
    " Execute, and this MOVE comes before any",
)
async def test_a_cursor_skips_rows_before_its_first_fetch(developer: Any) -> None:
    async with developer.transaction():
        cursor = await developer.cursor("SELECT id FROM customers ORDER BY id")
        assert await cursor.forward(10) == 10
        assert (await cursor.fetchrow())["id"] == 11


async def test_copy_out(developer: Any) -> None:
    text = io.BytesIO()
    query = "SELECT id, name FROM customers WHERE id <= $1"
    await developer.copy_from_query(query, 10, output=text, format="csv")
    assert len(text.getvalue().splitlines()) == 10
    binary = io.BytesIO()
    await developer.copy_from_table("orders", output=binary, format="binary")
    assert binary.getvalue().startswith(b"PGCOPY\n\xff\r\n\0")


async def test_copy_in(developer: Any, guard: Proxy, shop: Database) -> None:
    columns = ["sku", "name", "category", "price"]
    records = [(f"X-{n}", "x", "office", 1) for n in range(500)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
        await developer.copy_records_to_table(
            "products", records=records, columns=columns
        )
    check_refusal(guard, refusal_of(caught.value), "developer.write")
    assert await developer.fetchval("SELECT count(*) FROM products") == 120
    migrator = await asyncpg.connect(guard.dsn("migrator", shop.name))
    await migrator.copy_records_to_table("products", records=records, columns=columns)
    assert await migrator.fetchval("SELECT count(*) FROM products") == 620
    await migrator.close()


async def test_a_timeout_cancels(developer: Any, shop: Database) -> None:
    with pytest.raises(TimeoutError):
        await developer.fetch(LONG_QUERY, timeout=0.5)
    await asyncio.to_thread(wait_until_over, shop, LONG_QUERY)
    assert await developer.fetchval("SELECT 1") == 1


async def test_a_cancelled_task_cancels(developer: Any, shop: Database) -> None:
    task = asyncio.get_running_loop().create_task(developer.fetch(LONG_QUERY))
    await asyncio.to_thread(wait_until_running, shop, LONG_QUERY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until_over, shop, LONG_QUERY)
    assert await developer.fetchval("SELECT 1") == 1


async def test_a_large_row_both_ways(developer: Any) -> None:
    big = "pgwarden" * 1_000_000
    assert await developer.fetchval("SELECT repeat('pgwarden', 1000000)") == big
    assert await developer.fetchval("SELECT length($1::text)", big) == 8_000_000


@pytest.mark.parametrize(
    ("statement", "arguments", "rule"),
    [
        ("DELETE FROM orders", (), "developer.write"),
        ("UPDATE orders SET note = $1 WHERE id = $2", ("x", 1), "developer.write"),
        ("DROP TABLE orders", (), "developer.schema"),
        ("SELECT * FROM orders WHERE id = $1 FOR SHARE", (1,), "developer.row-lock"),
        ("LISTEN x", (), "developer.notify"),
    ],
)
async def test_refused_and_still_usable(
    developer: Any,
    guard: Proxy,
    statement: str,
    arguments: tuple[object, ...],
    rule: str,
) -> None:
    for _ in range(2):  # the second time past the driver's statement cache
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
            await developer.execute(statement, *arguments)
        check_refusal(guard, refusal_of(caught.value), rule)
        assert await developer.fetchval("SELECT count(*) FROM orders") == 5000


async def test_executemany(developer: Any, guard: Proxy, shop: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await developer.executemany(
            "UPDATE orders SET note = $1 WHERE id = $2", [("x", 1), ("y", 2)]
        )
    assert await developer.fetchval("SELECT 1") == 1
    migrator = await asyncpg.connect(guard.dsn("migrator", shop.name))
    await migrator.executemany(
        "UPDATE orders SET note = $1 WHERE id = $2", [("x", n) for n in range(1, 101)]
    )
    await migrator.close()
    assert shop.fetch("SELECT count(*) FROM orders WHERE note = 'x'") == [(100,)]
