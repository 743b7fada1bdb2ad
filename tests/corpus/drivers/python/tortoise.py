"""Tortoise ORM on asyncpg: reads, joins, aggregates."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os

from tortoise import Tortoise, fields, models
from tortoise.functions import Count, Max


class Customer(models.Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.TextField()
    email = fields.TextField()
    country = fields.CharField(2)
    orders: fields.ReverseRelation[Order]

    class Meta:
        table = "customers"


class Order(models.Model):
    id = fields.BigIntField(primary_key=True)
    customer = fields.ForeignKeyField("models.Customer", related_name="orders")
    status = fields.CharField(20)
    placed_at = fields.DatetimeField()

    class Meta:
        table = "orders"


async def main() -> None:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "asyncpg://")
    await Tortoise.init(db_url=url, modules={"models": ["__main__"]})
    await Customer.get(id=1)
    await Customer.filter(country="DE").count()
    await Customer.filter(email__icontains="ada").exists()
    await Customer.all().prefetch_related("orders").limit(3)
    await Order.all().select_related("customer").order_by("-id").offset(3).limit(3)
    await (
        Customer.annotate(n=Count("orders")).filter(n__gt=5).limit(3).values("id", "n")
    )
    await Order.annotate(last=Max("id")).group_by("status").values("status", "last")
    await Order.filter(id__in=[1, 2, 3]).values_list("id", flat=True)
    await Order.filter(id=1).explain()
    await Tortoise.get_connection("default").execute_query("SELECT 1")
    await Tortoise.close_connections()


print("version", importlib.metadata.version("tortoise-orm"))
asyncio.run(main())
