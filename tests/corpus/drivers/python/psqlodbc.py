"""psqlODBC by pyodbc, as BI tools use it (Debian: odbc-postgresql, libodbc2)."""

from __future__ import annotations

import os
import subprocess

import pyodbc

found = subprocess.run(
    ["dpkg-query", "-W", "-f", "${Version}", "odbc-postgresql"],
    check=True,
    capture_output=True,
    text=True,
)
print("version", found.stdout.removeprefix("1:").split("-")[0])
ADDRESS = (
    "DRIVER=/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so;"
    f"SERVER={os.environ['PGHOST']};PORT={os.environ['PGPORT']};"
    f"DATABASE={os.environ['PGDATABASE']};UID={os.environ['PGUSER']};"
    f"PWD={os.environ['PGPASSWORD']};"
)


def read(cursor: pyodbc.Cursor) -> None:
    cursor.execute("SELECT count(*) FROM customers").fetchall()
    cursor.execute("SELECT name FROM customers WHERE id = ? AND country <> ?", 1, "X")
    cursor.fetchall()
    cursor.execute("SELECT * FROM orders WHERE placed_at > ? LIMIT 5", "2024-01-01")
    cursor.fetchall()
    cursor.execute('SELECT "status", COUNT(1) FROM "public"."orders" GROUP BY 1')
    cursor.fetchall()
    cursor.execute("{call lower(?)}", "X").fetchall()


def look(cursor: pyodbc.Cursor) -> None:
    cursor.tables().fetchall()
    cursor.tables(schema="public", tableType="TABLE,VIEW").fetchall()
    cursor.tables(catalog="%", schema="", table="").fetchall()
    cursor.tables(catalog="", schema="%", table="").fetchall()
    for table in ("orders", "order_items"):
        cursor.columns(table=table, schema="public").fetchall()
        cursor.primaryKeys(table=table, schema="public").fetchall()
        cursor.foreignKeys(table=table, schema="public").fetchall()
        cursor.statistics(table=table, schema="public").fetchall()
        cursor.rowIdColumns(table=table, schema="public").fetchall()
        cursor.rowVerColumns(table=table, schema="public").fetchall()
    cursor.procedures(schema="public").fetchall()
    cursor.procedureColumns(schema="public").fetchall()
    cursor.getTypeInfo().fetchall()


for options in ("", "UseServerSidePrepare=0;ReadOnly=1;"):
    connection = pyodbc.connect(ADDRESS + options)
    read(connection.cursor())
    look(connection.cursor())
    connection.commit()
    connection.rollback()
    connection.autocommit = True
    read(connection.cursor())
    connection.close()
in_parts = pyodbc.connect(ADDRESS + "UseDeclareFetch=1;Fetch=100;", autocommit=True)
in_parts.cursor().execute("SELECT id FROM orders").fetchmany(150)
in_parts.close()
