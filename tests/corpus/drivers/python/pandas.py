"""pandas: read_sql by SQLAlchemy and by a bare psycopg connection, also in chunks."""

from __future__ import annotations

import importlib.metadata
import os
import warnings

import pandas as pd
import psycopg
import sqlalchemy as sa

print("version", importlib.metadata.version("pandas"))
url = os.environ["DATABASE_URL"]
engine = sa.create_engine(url.replace("://", "+psycopg://"))
pd.read_sql("SELECT * FROM orders", engine)
pd.read_sql("customers", engine, index_col="id", columns=["name", "country"])
pd.read_sql_table("shelves", engine, schema="warehouse")
pd.read_sql_query(
    sa.text("SELECT * FROM orders WHERE placed_at >= :since"),
    engine,
    params={"since": "2024-06-01"},
    parse_dates=["placed_at"],
)
streaming = engine.connect().execution_options(stream_results=True)
for part in pd.read_sql_query("SELECT * FROM order_items", streaming, chunksize=5000):
    len(part)
pd.io.sql.SQLDatabase(engine).has_table("customers")
with psycopg.connect(url) as connection, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pandas would rather have SQLAlchemy
    pd.read_sql("SELECT * FROM products WHERE price > %s", connection, params=(9,))
