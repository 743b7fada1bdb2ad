"""psycopg 3: every kind of cursor, pipeline, prepared statements, COPY, a pool."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os

import psycopg
import psycopg.rows
import psycopg.types.composite
import psycopg.types.enum
import psycopg.types.multirange
import psycopg.types.range
import psycopg_pool

URL = os.environ["DATABASE_URL"]


def main() -> None:
    with psycopg.connect(URL) as connection:
        read(connection)
        types(connection)
        cursors(connection)
        copy(connection)
        prepared(connection)
    with psycopg.connect(URL, autocommit=True) as connection:
        transactions(connection)
        with connection.pipeline():
            for number in range(5):
                connection.execute("SELECT %s::int", (number,))
            connection.execute("SELECT count(*) FROM orders")
        connection.execute("SELECT 1; SELECT 2")
        connection.execute("SELECT count(*) FROM orders", prepare=False)
    with psycopg.connect(
        URL, options="-c statement_timeout=30s -c default_transaction_read_only=on"
    ) as connection:
        connection.execute("SELECT 1")
    with (
        psycopg_pool.ConnectionPool(
            URL, min_size=1, check=psycopg_pool.ConnectionPool.check_connection
        ) as pool,
        pool.connection() as connection,
    ):
        connection.execute("SELECT 1")


def read(connection: psycopg.Connection) -> None:
    connection.execute("SELECT * FROM customers WHERE id = %s", (1,))
    connection.execute(
        "SELECT %(a)s::text, %(b)s::jsonb, %(c)s, %(d)s",
        {"a": "x", "b": "{}", "c": [1, 2], "d": b"\0"},
    )
    connection.execute("SELECT id FROM orders WHERE id = ANY(%s)", ([1, 2, 3],))
    connection.execute("SELECT id FROM orders WHERE status = %s", ("new",))
    with connection.cursor(row_factory=psycopg.rows.dict_row, binary=True) as cursor:
        cursor.execute("SELECT * FROM products ORDER BY id LIMIT %s", (3,))
        cursor.fetchall()
        for _ in cursor.stream("SELECT id FROM orders WHERE id < %s", (50,)):
            pass
    psycopg.ClientCursor(connection).execute(
        "SELECT name FROM customers WHERE email = %s", ("o'brien@example.com",)
    )
    psycopg.RawCursor(connection).execute("SELECT $1::int + $2::int", [1, 2])
    connection.commit()


def types(connection: psycopg.Connection) -> None:
    psycopg.types.TypeInfo.fetch(connection, "postcode")
    psycopg.types.composite.CompositeInfo.fetch(connection, "address")
    psycopg.types.enum.EnumInfo.fetch(connection, "order_status")
    psycopg.types.range.RangeInfo.fetch(connection, "price_range")
    psycopg.types.multirange.MultirangeInfo.fetch(connection, "price_multirange")


def cursors(connection: psycopg.Connection) -> None:
    with connection.cursor("plain") as cursor:
        cursor.execute("SELECT id FROM orders WHERE id > %s ORDER BY id", (7,))
        cursor.fetchmany(10)
        cursor.fetchone()
        cursor.itersize = 2000
        for _ in cursor:
            pass
    with connection.cursor("back", scrollable=True, withhold=True) as cursor:
        cursor.execute("SELECT id FROM orders ORDER BY id")
        cursor.scroll(100)
        cursor.fetchone()
        cursor.scroll(0, mode="absolute")
        connection.commit()
        cursor.fetchall()
    psycopg.RawServerCursor(connection, "raw").execute("SELECT $1::int", [1])
    connection.rollback()


def copy(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY customers TO STDOUT") as copied:
            for _ in copied:
                pass
        with cursor.copy(
            "COPY (SELECT * FROM orders WHERE id < %s) TO STDOUT (FORMAT binary)", (9,)
        ) as copied:
            for _ in copied.rows():
                pass


def prepared(connection: psycopg.Connection) -> None:
    connection.prepared_max = 2
    for query in ("SELECT 1 + %s", "SELECT 2 + %s", "SELECT 3 + %s", "SELECT 4 + %s"):
        connection.execute(query, (1,), prepare=True)
    connection.prepare_threshold = 0
    connection.execute("SELECT count(*) FROM orders WHERE customer_id = %s", (7,))
    connection.commit()


def transactions(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.transaction():
        connection.execute("SELECT 1")
        try:
            with connection.transaction("inner"):
                connection.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.deferrable = True
    with connection.transaction():
        connection.execute("SELECT 1")
    connection.tpc_recover()


async def asynchronous() -> None:
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        await connection.execute("SELECT count(*) FROM orders")
        async with connection.cursor("server") as cursor:
            await cursor.execute("SELECT id FROM orders")
            await cursor.fetchmany(10)


print("version", importlib.metadata.version("psycopg"))
main()
asyncio.run(asynchronous())
