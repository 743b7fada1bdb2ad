"""psycopg2: cursors of each kind, COPY, adapters that look into the catalog."""

from __future__ import annotations

import importlib.metadata
import os

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
import psycopg2.sql

URL = os.environ["DATABASE_URL"]


def main() -> None:
    connection = psycopg2.connect(URL)
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM customers WHERE id = %s", (1,))
    cursor.execute("SELECT %s, %s, %s", ("o'brien", [1, 2], b"\0"))
    cursor.execute("SELECT id FROM orders WHERE id IN %s", ((1, 2, 3),))
    cursor.execute(
        psycopg2.sql.SQL("SELECT count(*) FROM {}").format(
            psycopg2.sql.Identifier("warehouse", "shelves")
        )
    )
    cursor.callproc("lower", ("X",))
    cursor.mogrify("SELECT %s", (1,))
    cursor.execute("SELECT 1; SELECT 2")
    connection.commit()

    with connection.cursor("server") as named:
        named.itersize = 2000
        named.execute("SELECT id FROM orders")
        named.fetchmany(5)
        for _ in named:
            pass
    with connection.cursor("back", scrollable=True, withhold=True) as named:
        named.execute("SELECT id FROM orders ORDER BY id")
        named.scroll(10)
        named.scroll(0, mode="absolute")
        named.fetchone()
    connection.rollback()

    with open(os.devnull, "w") as out:
        cursor.copy_to(out, "customers", columns=("id", "name"))
        cursor.copy_expert("COPY (SELECT * FROM orders) TO STDOUT CSV HEADER", out)
    psycopg2.extras.register_composite("address", connection)
    try:
        psycopg2.extras.register_hstore(connection)
    except psycopg2.ProgrammingError:
        connection.rollback()
    psycopg2.extras.register_range("price_range", "PriceRange", connection)
    for factory in (
        psycopg2.extras.RealDictCursor,
        psycopg2.extras.NamedTupleCursor,
        psycopg2.extras.DictCursor,
    ):
        with connection.cursor(cursor_factory=factory) as other:
            other.execute("SELECT id, name FROM products LIMIT 3")
            other.fetchall()
    with connection.cursor() as many:
        psycopg2.extras.execute_batch(many, "SELECT %s", [(1,), (2,), (3,)])
    connection.commit()

    connection.set_session(
        isolation_level="REPEATABLE READ", readonly=True, deferrable=True
    )
    cursor.execute("SELECT 1")
    connection.commit()
    connection.set_session(autocommit=True)
    cursor.execute("SELECT 1")
    connection.set_client_encoding("UTF8")
    connection.tpc_recover()
    connection.reset()
    connection.close()

    pool = psycopg2.pool.SimpleConnectionPool(1, 2, URL, application_name="report")
    one = pool.getconn()
    one.cursor().execute("SELECT 1")
    pool.putconn(one)
    pool.closeall()


print("version", importlib.metadata.version("psycopg2-binary"))
main()
