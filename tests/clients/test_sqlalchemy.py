"""SQLAlchemy 2 on psycopg and on asyncpg: reflection, ORM, refusals as its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.clients.refusals import Refusal, check_refusal, refused_texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("sqlalchemy")]


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    country: Mapped[str]
    created_at: Mapped[Any] = mapped_column(sa.DateTime(timezone=True))
    orders: Mapped[list[Order]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    note: Mapped[str | None]
    customer: Mapped[Customer] = relationship(back_populates="orders")


def engine_url(proxy: Proxy, database: Database, identity: str, driver: str) -> str:
    return proxy.dsn(identity, database.name).replace(
        "postgresql://", f"postgresql+{driver}://"
    )


@pytest.fixture
def engine(guard: Proxy, shop: Database) -> Iterator[sa.Engine]:
    made = sa.create_engine(engine_url(guard, shop, "developer", "psycopg"))
    yield made
    made.dispose()


@pytest.fixture
async def async_engine(guard: Proxy, shop: Database) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(engine_url(guard, shop, "developer", "asyncpg"))
    yield made
    await made.dispose()


def test_reflects_everything(engine: sa.Engine, guard: Proxy, shop: Database) -> None:
    metadata = sa.MetaData()
    metadata.reflect(engine, views=True)
    assert {"customers", "orders", "order_items", "open_orders"} <= set(metadata.tables)
    orders = metadata.tables["orders"]
    assert {key.target_fullname for key in orders.foreign_keys} == {"customers.id"}
    inspector = sa.inspect(engine)
    assert "public" in inspector.get_schema_names()
    assert inspector.get_materialized_view_names() == ["monthly_revenue"]
    assert inspector.get_sequence_names()
    assert inspector.get_view_definition("open_orders")
    assert len(inspector.get_indexes("orders")) == 3
    assert inspector.get_check_constraints("products")
    assert inspector.get_table_comment("orders")["text"]
    assert inspector.get_unique_constraints("customers")
    assert not refused_texts(guard, shop.name)


def test_the_orm_reads(engine: sa.Engine) -> None:
    with Session(engine) as session:
        query = sa.select(Customer).where(Customer.country == "DE").limit(5)
        found = session.scalars(query.order_by(Customer.id)).all()
        assert [one.country for one in found] == ["DE"] * 5
        assert sum(len(one.orders) for one in found) > 0
        stream = sa.select(Order).execution_options(yield_per=500)
        assert sum(1 for _ in session.scalars(stream)) == 5000


def test_a_server_side_cursor(engine: sa.Engine) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        rows = connection.execute(sa.text("SELECT id FROM orders"))
        assert sum(len(part) for part in rows.partitions(1000)) == 5000


def refusal_of(error: sa.exc.DBAPIError) -> Refusal:
    diag: Any = getattr(error.orig, "diag", None)
    assert diag is not None
    return Refusal(
        diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint
    )


def test_flush_is_refused_and_the_pool_goes_on(
    engine: sa.Engine, guard: Proxy, shop: Database
) -> None:
    with Session(engine) as session:
        customer = session.get_one(Customer, 1)
        customer.name = "changed"
        with pytest.raises(sa.exc.ProgrammingError) as caught:
            session.commit()
        check_refusal(guard, refusal_of(caught.value), "developer.write")
        session.rollback()
        assert session.get_one(Customer, 1).name != "changed"
        assert session.connection().connection.dbapi_connection is not None
    with pytest.raises(sa.exc.ProgrammingError) as dropped:
        Base.metadata.drop_all(engine)
    check_refusal(guard, refusal_of(dropped.value), "developer.schema")
    with engine.connect() as connection:
        count = connection.execute(sa.text("SELECT count(*) FROM orders")).scalar()
    assert count == 5000
    pool: Any = engine.pool
    assert pool.checkedin() == 1  # one connection all along


def test_the_migrator_creates_and_inserts(guard: Proxy, shop: Database) -> None:
    engine = sa.create_engine(engine_url(guard, shop, "migrator", "psycopg"))
    metadata = sa.MetaData()
    wishes = sa.Table(
        "wishes",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.ForeignKey("customers.id")),
        sa.Column("text", sa.Text, index=True),
    )
    sa.Table("customers", metadata, autoload_with=engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [{"text": f"wish {n}"} for n in range(1000)]
        connection.execute(wishes.insert(), rows)
        connection.execute(wishes.update().where(wishes.c.id < 10).values(text="x"))
    with pytest.raises(sa.exc.ProgrammingError) as caught:
        metadata.drop_all(engine)
    check_refusal(guard, refusal_of(caught.value), "migrator.drop", "migrator")
    engine.dispose()
    assert shop.fetch("SELECT count(*) FROM wishes") == [(1000,)]


async def test_async_reads_and_refusals(
    async_engine: AsyncEngine, guard: Proxy, shop: Database
) -> None:
    async with AsyncSession(async_engine) as session:
        query = sa.select(Customer).where(Customer.id < 50)
        assert len((await session.scalars(query)).all()) == 49
        stream = await session.stream(sa.select(Order.id))
        assert len([row async for row in stream]) == 5000
    async with async_engine.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError) as caught:
            await connection.execute(sa.delete(Order))
        original: Any = caught.value.orig
        assert original.sqlstate == "42501"
        assert "developer.write" in str(original.__cause__.detail)
        await connection.rollback()
        count = await connection.scalar(sa.text("SELECT count(*) FROM orders"))
        assert count == 5000
        names = await connection.run_sync(
            lambda sync: sa.inspect(sync).get_table_names()
        )
        assert "customers" in names
    assert len(refused_texts(guard, shop.name)) == 1
