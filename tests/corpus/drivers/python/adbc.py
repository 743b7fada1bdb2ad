"""ADBC, as pandas and Polars use it: Arrow results and its catalog objects."""

from __future__ import annotations

import importlib.metadata
import os

import adbc_driver_postgresql.dbapi

print("version", importlib.metadata.version("adbc-driver-postgresql"))
with (
    adbc_driver_postgresql.dbapi.connect(os.environ["DATABASE_URL"]) as connection,
    connection.cursor() as cursor,
):
    cursor.execute("SELECT id, name, created_at FROM customers")
    cursor.fetch_arrow_table()
    cursor.execute("SELECT name FROM products WHERE id = $1", (1,))
    cursor.fetchone()
    cursor.adbc_prepare("SELECT id FROM orders WHERE customer_id = $1")
    cursor.adbc_execute_schema("SELECT * FROM warehouse.shelves")
    for depth in ("catalogs", "db_schemas", "tables", "all"):
        connection.adbc_get_objects(depth=depth).read_all()
    connection.adbc_get_objects(
        depth="all", db_schema_filter="public", table_name_filter="o%"
    ).read_all()
    connection.adbc_get_table_schema("orders")
    connection.adbc_get_table_schema("shelves", db_schema_filter="warehouse")
    connection.adbc_get_table_types()
    connection.adbc_get_info()
    connection.rollback()
