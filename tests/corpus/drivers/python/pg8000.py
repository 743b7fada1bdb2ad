"""pg8000: its native interface, the DB-API, and server-side paging of rows."""

from __future__ import annotations

import importlib.metadata
import io
import os

import pg8000.dbapi
import pg8000.native

ADDRESS = {
    "user": os.environ["PGUSER"],
    "password": os.environ["PGPASSWORD"],
    "host": os.environ["PGHOST"],
    "port": int(os.environ["PGPORT"]),
    "database": os.environ["PGDATABASE"],
}
print("version", importlib.metadata.version("pg8000"))
with pg8000.native.Connection(**ADDRESS, application_name="report") as native:
    native.run("SELECT * FROM customers WHERE id = :id", id=1)
    native.run("SELECT id FROM orders WHERE id = ANY(:ids)", ids=[1, 2, 3])
    native.run("START TRANSACTION")
    native.run("SELECT count(*) FROM orders")
    native.run("COMMIT")
    statement = native.prepare("SELECT name FROM customers WHERE id = :id")
    statement.run(id=1)
    statement.close()
    native.run("COPY customers TO STDOUT", stream=io.BytesIO())
    native.run("SELECT 1; SELECT 2")
connection = pg8000.dbapi.connect(**ADDRESS)
cursor = connection.cursor()
cursor.execute("SELECT * FROM products WHERE price > %s ORDER BY id", (9,))
cursor.fetchmany(5)
cursor.execute("COPY (SELECT 1) TO STDOUT", stream=io.BytesIO())
connection.tpc_recover()
connection.commit()
connection.autocommit = True
cursor.execute("SELECT 1")
connection.close()
