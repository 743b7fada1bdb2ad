"""What a baseline reads of each tool's history, as the real tool wrote it.

What a tool said when it was recorded is said again to a real server, which then holds
the tool's tables with their rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import psycopg
import pytest

from proxy.cli.asking import ByUrl
from proxy.migrations.history import applied
from proxy.migrations.profile_history import histories
from tests.fix_postgres import run
from tests.transcripts import page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster

pytestmark = pytest.mark.postgres

PRISMA = ["20240101000000_shop", "20240201000000_reviews"]
WROTE = {
    "prisma": ("prisma migrate deploy", PRISMA),
    "alembic": ("alembic upgrade head", ["a2"]),
    "django": ("manage.py migrate", ["shop.0001_initial", "shop.0002_starred"]),
    "rails": ("rails db:migrate", ["1", "2"]),
    "dbmate": ("dbmate migrate", ["20240101000000", "20240102000000"]),
    "flyway": ("flyway migrate", ["1", "2"]),
    "knex": ("knex migrate:latest", ["1_first.js", "2_second.js"]),
    "liquibase": ("liquibase update", ["changes.sql::1::x", "changes.sql::2::x"]),
    "drizzle": ("drizzle-kit migrate", ["1700000000000", "1700000000001"]),
    "golang-migrate": ("migrate up", ["2"]),
    "sqitch": ("sqitch deploy", ["first", "second"]),
}  # fmt: skip
HAS_CHECKSUM = {"prisma", "flyway", "liquibase", "drizzle", "sqitch"}


@pytest.fixture
def database(postgres: Cluster) -> Iterator[str]:
    run(postgres.dsn(), "CREATE DATABASE histories")
    yield postgres.dsn("histories")
    run(postgres.dsn(), "DROP DATABASE histories WITH (FORCE)")


def say(dsn: str, tool: str, command: str) -> None:
    """Each conversation by itself, one after the other."""
    found = next(
        each
        for each in page.read_all()
        if each.tool == tool and each.command == command
    )
    # Sqitch's tables are made by a psql that it runs, while its own connection waits.
    order = -1 if tool == "sqitch" else 1
    for conversation in found.conversations[::order]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for ran in conversation:
                connection.pgconn.exec_params(
                    ran.text.encode(),
                    [value for _, value in ran.binds],
                    param_formats=[form for form, _ in ran.binds],
                )


@pytest.mark.parametrize("tool", WROTE)
async def test_what_a_tool_wrote_is_read(database: str, tool: str) -> None:
    command, names = WROTE[tool]
    say(database, tool, command)
    asker = await asyncpg.connect(database)
    try:
        found = await applied(ByUrl(asker), tool)
    finally:
        await asker.close()
    ours = [each.name for each in found if tool != "django" or "shop" in each.name]
    assert ours == names
    assert all(bool(each.checksum) == (tool in HAS_CHECKSUM) for each in found)


def test_every_history_is_read_here() -> None:
    assert histories().keys() == WROTE.keys()
