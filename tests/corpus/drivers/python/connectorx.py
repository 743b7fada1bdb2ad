"""ConnectorX, as Polars uses it: its protocols, partitioned reads, metadata."""

from __future__ import annotations

import importlib.metadata
import os

import connectorx

print("version", importlib.metadata.version("connectorx"))
url = os.environ["DATABASE_URL"] + "?sslmode=disable"
for protocol in ("binary", "csv", "cursor", "simple"):
    connectorx.read_sql(
        url, "SELECT id, name FROM customers", protocol=protocol, return_type="arrow"
    )
connectorx.read_sql(
    url,
    "SELECT id, customer_id FROM orders",
    partition_on="id",
    partition_num=3,
    return_type="arrow",
)
connectorx.read_sql(
    url,
    ["SELECT id FROM orders WHERE id < 9", "SELECT id FROM orders WHERE id > 4990"],
    return_type="arrow",
)
connectorx.get_meta(url, "SELECT id, name FROM customers", "binary")
