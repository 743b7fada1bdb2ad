"""asyncpg: introspection of types, prepared statements, cursors, COPY, a pool."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os

import asyncpg


async def main() -> None:
    url = os.environ["DATABASE_URL"]
    connection = await asyncpg.connect(url)
    await read(connection)
    await types(connection)
    await transactions(connection)
    await copy(connection)
    await connection.reload_schema_state()
    await connection.reset()
    await connection.close()
    async with asyncpg.create_pool(
        url, min_size=1, max_size=2, server_settings={"application_name": "report"}
    ) as pool:
        await pool.fetchval("SELECT count(*) FROM orders")
        async with pool.acquire() as one:
            await one.fetch("SELECT 1")
    pgbouncer = await asyncpg.connect(url, statement_cache_size=0)
    await pgbouncer.fetchrow("SELECT * FROM customers WHERE id = $1", 1)
    await pgbouncer.close()


async def read(connection: asyncpg.Connection) -> None:
    await connection.execute("SET TIME ZONE 'UTC'")
    await connection.execute("SELECT 1; SELECT 2")
    await connection.fetch("SELECT * FROM customers WHERE country = $1", "DE")
    await connection.fetchrow("SELECT id, name FROM products WHERE id = $1", 7)
    await connection.fetchval("SELECT count(*) FROM orders WHERE note IS NOT NULL")
    await connection.fetch(
        "SELECT id FROM orders WHERE id = ANY($1::bigint[])", [1, 2, 3]
    )
    statement = await connection.prepare("SELECT name FROM customers WHERE id = $1")
    statement.get_parameters()
    await statement.fetchval(7)
    await statement.explain(7)
    await statement.explain(7, analyze=True)
    await connection.executemany("SELECT $1::int", [(1,), (2,)])


async def types(connection: asyncpg.Connection) -> None:
    await connection.fetch("SELECT status, placed_at FROM orders LIMIT 2")
    await connection.fetch("SELECT place, spans, picture FROM warehouse.shelves")
    await connection.fetch("SELECT $1::order_status[]", ["new"])
    await connection.fetch("SELECT $1::price_range", None)
    await connection.fetch("SELECT $1::address", ("street", "city", "12345"))
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
    await connection.set_type_codec("order_status", encoder=str, decoder=str)
    await connection.fetch("SELECT preferences FROM customers LIMIT 2")


async def transactions(connection: asyncpg.Connection) -> None:
    for isolation in (None, "repeatable_read", "serializable", "read_committed"):
        async with connection.transaction(isolation=isolation):
            await connection.fetchval("SELECT count(*) FROM orders")
    async with connection.transaction(
        isolation="serializable", readonly=True, deferrable=True
    ):
        async for _ in connection.cursor("SELECT id FROM orders", prefetch=2000):
            pass
        cursor = await connection.cursor("SELECT id FROM orders WHERE id > $1", 7)
        await cursor.fetch(5)
        await cursor.forward(5)
        async with connection.transaction():
            await connection.fetchval("SELECT 1")
        try:
            async with connection.transaction():
                await connection.fetchval("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            pass


async def copy(connection: asyncpg.Connection) -> None:
    await connection.copy_from_table("customers", output=os.devnull)
    await connection.copy_from_table(
        "shelves", schema_name="warehouse", columns=["label"], output=os.devnull
    )
    await connection.copy_from_query(
        "SELECT * FROM orders WHERE id > $1", 10, output=os.devnull, format="csv"
    )


print("version", importlib.metadata.version("asyncpg"))
asyncio.run(main())
