"""Django: inspectdb, ORM reads, and the migrate commands that only look."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import sys

import django
import django.core.management
import psycopg
from django.apps import AppConfig
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import functions

print(
    "version", importlib.metadata.version("Django"), "on psycopg", psycopg.__version__
)
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "__main__.Shop",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ["PGPASSWORD"],
            "NAME": os.environ["PGDATABASE"],
            "CONN_HEALTH_CHECKS": True,
        }
    },
    DEBUG=True,
    USE_TZ=True,
    TIME_ZONE="Europe/Oslo",
)


class Shop(AppConfig):
    """This very file is the app with the models below."""

    name, label, path = "__main__", "shop", os.path.dirname(__file__)


django.setup()


class Customer(models.Model):
    name = models.TextField()
    email = models.TextField()
    country = models.CharField(max_length=2)
    preferences = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        app_label, db_table, managed = "shop", "customers", False


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    status = models.CharField(max_length=20)
    placed_at = models.DateTimeField()
    note = models.TextField(null=True)

    class Meta:
        app_label, db_table, managed = "shop", "orders", False


def manage(*command: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        django.core.management.call_command(*command)


def read() -> None:
    Customer.objects.get(pk=1)
    Customer.objects.filter(country="DE").count()
    Customer.objects.filter(email__icontains="ADA").exists()
    Customer.objects.in_bulk([1, 2, 3])
    list(Customer.objects.filter(name__startswith="A", id__in=[1, 2]).values("id"))
    list(Customer.objects.filter(preferences__language="de")[:5])
    list(Customer.objects.filter(preferences__contains={"newsletter": True})[:5])
    list(Customer.objects.prefetch_related("orders").order_by("-id")[10:15])
    list(Customer.objects.annotate(n=models.Count("orders")).filter(n__gt=5)[:5])
    list(Customer.objects.values("country").annotate(n=models.Count("*")))
    list(Customer.objects.values_list("country", flat=True).distinct())
    orders = Order.objects.select_related("customer")
    list(orders.filter(placed_at__year=2024, note__isnull=False)[:5])
    list(orders.filter(customer__name__iregex="^a")[:5])
    Order.objects.aggregate(models.Min("placed_at"), models.Max("id"), models.Avg("id"))
    list(Order.objects.dates("placed_at", "month"))
    list(
        Order.objects.annotate(day=functions.TruncDay("placed_at"))
        .values("day")
        .annotate(n=models.Count("id"))[:5]
    )
    newest = Order.objects.filter(customer=models.OuterRef("pk")).order_by("-id")
    list(Customer.objects.annotate(last=models.Subquery(newest.values("id")[:1]))[:5])
    list(Customer.objects.filter(models.Exists(newest))[:5])
    list(
        Order.objects.annotate(
            rank=models.Window(functions.RowNumber(), partition_by="customer_id")
        )[:5]
    )
    list(Order.objects.filter(models.Q(id=1) | ~models.Q(status="new")).only("id")[:5])
    list(Order.objects.filter(id=1).union(Order.objects.filter(id=2)))
    Order.objects.filter(id=1).explain()
    Order.objects.filter(id=1).explain(analyze=True, format="json")
    Order.objects.earliest("placed_at")
    for _ in Order.objects.iterator(chunk_size=1000):
        pass
    list(Customer.objects.raw("SELECT * FROM customers WHERE id = %s", [1]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT lower(%s)", ["X"])
        cursor.fetchone()
    with transaction.atomic(), transaction.atomic():
        Order.objects.first()
    for chunk in (connection.is_usable(), connection.queries):
        str(chunk)


def introspect() -> None:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor, include_views=True)
        for name in names:
            connection.introspection.get_constraints(cursor, name)
            connection.introspection.get_sequences(cursor, name)
            connection.introspection.get_relations(cursor, name)


manage("inspectdb", "--include-views", "--include-partitions")
manage("showmigrations")
manage("showmigrations", "--plan")
manage("migrate", "--plan")
manage("migrate", "--check")
manage("sqlmigrate", "auth", "0001")
manage("makemigrations", "--check", "--dry-run")
manage("check", "--database", "default")
introspect()
read()
connection.close()
sys.exit(0)
