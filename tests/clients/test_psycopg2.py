"""psycopg2, the driver of many older tools: simple protocol only."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extras import execute_values

from tests.clients.refusals import Refusal, check_refusal
from tests.clients.tools import LONG_QUERY, wait_until_over, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("psycopg2")]


@pytest.fixture
def developer(guard: Proxy, shop: Database) -> Iterator[Connection]:
    connection = psycopg2.connect(guard.dsn("developer", shop.name))
    yield connection
    connection.close()


def scalar(connection: Connection, query: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query)
        (row,) = cursor.fetchall()
        return row[0]


def test_reads_and_a_named_cursor(developer: Connection) -> None:
    assert scalar(developer, "SELECT count(*) FROM customers") == 1000
    with developer.cursor("named") as cursor:
        cursor.itersize = 500
        cursor.execute("SELECT id FROM orders WHERE id > %s", (0,))
        assert sum(1 for _ in cursor) == 5000


def test_a_read_only_session(developer: Connection) -> None:
    developer.set_session(readonly=True, isolation_level="REPEATABLE READ")
    assert scalar(developer, "SELECT count(*) FROM orders") == 5000


def test_a_read_write_session_is_refused(developer: Connection, guard: Proxy) -> None:
    developer.set_session(readonly=False)
    with pytest.raises(errors.InsufficientPrivilege) as caught:
        scalar(developer, "SELECT 1")
    assert "rule developer.read-write" in str(caught.value.diag.message_detail)


def test_copy_out_and_in(developer: Connection, guard: Proxy) -> None:
    target = io.StringIO()
    with developer.cursor() as cursor:
        cursor.copy_expert("COPY customers TO STDOUT (FORMAT csv)", target)
        assert len(target.getvalue().splitlines()) == 1000
        with pytest.raises(errors.InsufficientPrivilege) as caught:
            cursor.copy_expert("COPY customers FROM STDIN", io.StringIO("x"))
    check_refusal(guard, refusal_of(caught.value), "developer.write")
    developer.rollback()
    assert scalar(developer, "SELECT count(*) FROM customers") == 1000


def test_cancel(developer: Connection, shop: Database) -> None:
    caught: list[Exception] = []

    def count() -> None:
        try:
            scalar(developer, LONG_QUERY)
        except psycopg2.Error as error:
            caught.append(error)

    thread = threading.Thread(target=count)
    thread.start()
    wait_until_running(shop, LONG_QUERY)
    developer.cancel()
    thread.join(10)
    assert isinstance(caught[0], errors.QueryCanceled)
    wait_until_over(shop, LONG_QUERY)
    developer.rollback()
    assert scalar(developer, "SELECT 1") == 1


def test_a_large_row(developer: Connection) -> None:
    assert scalar(developer, "SELECT repeat('x', 8000000)") == "x" * 8_000_000


def refusal_of(error: psycopg2.Error) -> Refusal:
    diag = error.diag
    return Refusal(
        diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint
    )


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE orders SET note = 'x'", "developer.write"),
        ("DROP SCHEMA public CASCADE", "developer.schema"),
        ("SELECT 1; DELETE FROM orders; SELECT 2", "developer.write"),
    ],
)
def test_refused_and_still_usable(
    developer: Connection, guard: Proxy, statement: str, rule: str
) -> None:
    with developer.cursor() as cursor:
        with pytest.raises(errors.InsufficientPrivilege) as caught:
            cursor.execute(statement)
        check_refusal(guard, refusal_of(caught.value), rule)
        with pytest.raises(errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
    developer.rollback()
    assert scalar(developer, "SELECT count(*) FROM orders") == 5000


def test_many_rows_in_one_insert(
    developer: Connection, guard: Proxy, shop: Database
) -> None:
    rows = [(f"X-{n}", "x", "office", 1) for n in range(300)]
    insert = "INSERT INTO products (sku, name, category, price) VALUES %s"
    with (
        developer.cursor() as cursor,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        execute_values(cursor, insert, rows)
    migrator = psycopg2.connect(guard.dsn("migrator", shop.name))
    with migrator, migrator.cursor() as cursor:
        execute_values(cursor, insert, rows)
    migrator.close()
    assert shop.fetch("SELECT count(*) FROM products") == [(420,)]
