"""SQLAlchemy by one of its drivers: the inspector, reflection, Core and ORM reads."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import sys
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.automap import automap_base

DRIVER = sys.argv[1]
DISTRIBUTIONS = {"psycopg2": "psycopg2-binary"}
URL = sa.make_url(os.environ["DATABASE_URL"]).set(drivername=f"postgresql+{DRIVER}")


class Base(orm.DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    email: orm.Mapped[str]
    country: orm.Mapped[str]
    preferences: orm.Mapped[Any] = orm.mapped_column(postgresql.JSONB)
    orders: orm.Mapped[list[Order]] = orm.relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    customer_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("customers.id"))
    status: orm.Mapped[str] = orm.mapped_column(
        postgresql.ENUM(
            *("new", "paid", "shipped", "delivered", "returned"),
            name="order_status",
        )
    )
    placed_at: orm.Mapped[Any] = orm.mapped_column(sa.DateTime(timezone=True))
    note: orm.Mapped[str | None]
    customer: orm.Mapped[Customer] = orm.relationship(back_populates="orders")


def inspect(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    inspector.get_schema_names()
    tables = {None: ("orders", "visits"), "warehouse": ("shelves",)}
    for schema, names in tables.items():
        inspector.get_table_names(schema)
        for name in names:
            inspector.get_columns(name, schema)
            inspector.get_pk_constraint(name, schema)
            inspector.get_foreign_keys(name, schema)
            inspector.get_indexes(name, schema)
            inspector.get_unique_constraints(name, schema)
            inspector.get_check_constraints(name, schema)
            inspector.get_table_comment(name, schema)
            inspector.get_table_options(name, schema)
        inspector.get_view_names(schema)
        inspector.get_materialized_view_names(schema)
        inspector.get_temp_table_names()
        inspector.get_temp_view_names()
        inspector.get_sequence_names(schema)
        inspector.get_enums(schema)
        inspector.get_domains(schema)
        inspector.get_foreign_table_names(schema)
        inspector.get_multi_columns(schema, kind=sa.engine.reflection.ObjectKind.ANY)
        inspector.get_multi_foreign_keys(schema)
        inspector.get_multi_indexes(schema)
    inspector.get_view_definition("open_orders")
    inspector.get_table_oid("customers")
    inspector.has_table("customers")
    inspector.has_schema("warehouse")
    inspector.has_sequence("invoice_number")
    inspector.has_index("orders", "orders_customer_id_idx")
    connection.dialect.has_type(connection, "order_status")
    sa.MetaData().reflect(connection, schema="warehouse", views=True)
    sa.MetaData().reflect(connection, only=["orders", "order_items"])
    automap_base().prepare(connection)


def core(connection: sa.Connection) -> None:
    customers, orders = Customer.__table__, Order.__table__
    read = connection.execute
    read(sa.text("SELECT 1"))
    read(sa.text("SELECT name FROM customers WHERE id = :id"), {"id": 1})
    read(sa.select(customers).where(customers.c.id.in_([1, 2, 3])))
    read(
        sa.select(customers.c.country, sa.func.count().label("n"))
        .join(orders, orders.c.customer_id == customers.c.id)
        .group_by(customers.c.country)
        .having(sa.func.count() > 3)
        .order_by(sa.desc("n"))
        .limit(5)
        .offset(1)
    )
    ranked = sa.select(
        orders.c.id,
        sa.func.row_number()
        .over(partition_by=orders.c.customer_id, order_by=orders.c.placed_at)
        .label("rank"),
    ).cte("ranked")
    read(sa.select(ranked).where(ranked.c.rank == 1).limit(3))
    read(sa.select(sa.exists().where(customers.c.email.ilike("%ada%"))))
    read(
        sa.select(customers.c.preferences["language"].astext)
        .where(customers.c.preferences.contains({"newsletter": True}))
        .distinct()
    )
    read(sa.union_all(sa.select(customers.c.id), sa.select(orders.c.id)).limit(3))
    read(sa.select(sa.case((customers.c.country == "DE", "d"), else_="o")).limit(1))
    read(sa.select(sa.cast(orders.c.placed_at, sa.Date), sa.func.now()).limit(1))
    pair = sa.tuple_(customers.c.id, customers.c.country)
    read(sa.select(customers.c.id).where(pair.in_([(1, "DE")])))


def mapped(session: orm.Session) -> None:
    session.get(Customer, 1)
    select = sa.select
    session.scalars(select(Customer).filter_by(country="DE").limit(3)).all()
    session.scalar(select(sa.func.count()).select_from(Order))
    for load in (orm.joinedload, orm.selectinload, orm.subqueryload):
        query = select(Customer).options(load(Customer.orders)).limit(3)
        session.expunge_all()
        session.scalars(query).unique().all()
    session.expunge_all()
    order = session.scalars(
        select(Order).where(Order.customer.has(country="DE"))
    ).first()
    if order is not None:
        session.refresh(order)
        list(order.customer.orders)
    session.scalars(select(Customer).where(Customer.orders.any(status="new"))).first()
    session.execute(
        select(Order).execution_options(yield_per=1000).order_by(Order.id)
    ).partitions()
    with session.begin_nested():
        session.execute(sa.text("SELECT 1"))
    session.query(Order.status, sa.func.max(Order.id)).group_by(Order.status).all()
    session.rollback()


def work(connection: sa.Connection) -> None:
    inspect(connection)
    core(connection)
    connection.rollback()
    with orm.Session(connection) as session:
        mapped(session)
    streamed = connection.execution_options(stream_results=True, max_row_buffer=50)
    for _ in streamed.execute(sa.select(Order.id).limit(200)):
        pass


def synchronous() -> None:
    engine = sa.create_engine(URL, pool_pre_ping=True)
    with engine.connect() as connection:
        work(connection)
    for level in ("AUTOCOMMIT", "REPEATABLE READ"):
        with engine.connect().execution_options(isolation_level=level) as connection:
            connection.execute(sa.text("SELECT 1"))
    with engine.connect().execution_options(
        postgresql_readonly=True, postgresql_deferrable=True
    ) as connection:
        connection.get_isolation_level()
        connection.execute(sa.text("SELECT 1"))
    engine.dispose()


async def asynchronous() -> None:
    engine = create_async_engine(URL, pool_pre_ping=True)
    async with engine.connect() as connection:
        await connection.run_sync(work)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        await connection.execute(sa.text("SELECT 1"))
        result = await connection.stream(sa.select(Order.id).limit(200))
        async for _ in result:
            pass
    await engine.dispose()


driver = importlib.metadata.version(DISTRIBUTIONS.get(DRIVER, DRIVER))
print("version", importlib.metadata.version("SQLAlchemy"), "on", DRIVER, driver)
if DRIVER == "asyncpg":
    asyncio.run(asynchronous())
else:
    synchronous()
