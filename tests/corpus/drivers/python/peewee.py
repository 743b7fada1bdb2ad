"""peewee: models made by its introspection (what pwiz does), and reads with them."""

from __future__ import annotations

import importlib.metadata
import os

import peewee
from playhouse.db_url import connect
from playhouse.postgres_ext import PostgresqlExtDatabase
from playhouse.reflection import Introspector

print("version", importlib.metadata.version("peewee"))
database = connect(os.environ["DATABASE_URL"])
models = Introspector.from_database(database).generate_models()
Introspector.from_database(database, schema="warehouse").generate_models()
for table in database.get_tables():
    database.get_indexes(table)
    database.get_columns(table)
    database.get_primary_keys(table)
    database.get_foreign_keys(table)
database.get_views()
database.table_exists("customers")
database.sequence_exists("invoice_number")
customers, orders = models["customers"], models["orders"]
customers.get(customers.id == 1)
customers.select().where(customers.name.contains("ada")).count()
# a reader sees no foreign keys in information_schema, so the join says its own
joined = orders.select().join(customers, on=orders.customer_id == customers.id)
list(joined.where(customers.country == "DE").limit(3))
list(
    customers.select(customers.country, peewee.fn.COUNT(customers.id))
    .group_by(customers.country)
    .order_by(peewee.fn.COUNT(customers.id).desc())
)
list(orders.select().where(orders.id.in_([1, 2, 3])).dicts())
with database.atomic(), database.atomic():
    orders.select().first()
database.close()
streaming = PostgresqlExtDatabase(
    os.environ["PGDATABASE"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    user=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    server_side_cursors=True,
)
list(orders.bind(streaming) and orders.select().iterator())
streaming.close()
