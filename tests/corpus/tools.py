"""The tools that are recorded, and how each is driven.

A driver is a script in `drivers/` that does a developer's reading work with its tool
and prints "version ..." first; it finds the database in the environment (PGHOST ...,
DATABASE_URL). To add a tool: write the driver, name its package in the language's
manifest, add a row here. CONTRIBUTING.md goes through it. Next: `tests.corpus.kits`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.corpus import native, prisma
from tests.corpus.kits import Drive, Run, go, java, node, python, rust, system

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Attributes:
        runs: server and driver; each is recorded as a version of its own.
        no_reading: pattern to reason, for statements that a read-only session can do
            and that are left out all the same.
    """

    runs: tuple[Run, ...]
    no_reading: Mapping[str, str] = field(default_factory=dict)


def at_17(*drives: Drive) -> Tool:
    """A tool that asks every server the same."""
    return Tool(tuple((17, drive) for drive in drives))


TOOLS: Mapping[str, Tool] = {
    "psql": Tool(native.with_servers(native.psql)),
    "pg_dump": Tool(
        native.with_servers(native.pg_dump),
        {
            r"pg_export_snapshot|SET TRANSACTION SNAPSHOT": "pg_dump -j: a snapshot "
            "that others can join holds back VACUUM; policies/README.md permits it"
        },
    ),
    "pg_dumpall": Tool(native.with_servers(native.pg_dumpall)),
    "pgbench": Tool(native.with_servers(native.pgbench)),
    "pgcli": at_17(python("pgcli")),
    "pg_activity": at_17(python("pg_activity")),
    "asyncpg": at_17(python("asyncpg")),
    "psycopg": at_17(python("psycopg")),
    "psycopg2": at_17(python("psycopg2")),
    "pg8000": at_17(python("pg8000")),
    "sqlalchemy": at_17(
        *(
            python("sqlalchemy", driver)
            for driver in ("psycopg", "psycopg2", "asyncpg", "pg8000")
        )
    ),
    "alembic": at_17(python("alembic")),
    "django": at_17(python("django")),
    "pandas": at_17(python("pandas")),
    "peewee": at_17(python("peewee")),
    "adbc": at_17(python("adbc")),
    "connectorx": at_17(python("connectorx")),
    "psqlodbc": at_17(python("psqlodbc")),
    "dbt": at_17(python("dbt")),
    "tortoise": at_17(python("tortoise")),
    "node-postgres": at_17(node("node-postgres")),
    "postgres-js": at_17(node("postgres-js")),
    "pg-promise": at_17(node("pg-promise")),
    "prisma": at_17(prisma.drive),
    "drizzle": at_17(node("drizzle")),
    "typeorm": at_17(node("typeorm")),
    "knex": at_17(node("knex")),
    "sequelize": at_17(node("sequelize")),
    "kysely": at_17(node("kysely")),
    "mikro-orm": at_17(node("mikro-orm")),
    "pg-introspection": at_17(node("pg-introspection")),
    "pgjdbc": at_17(java("Pgjdbc")),
    "hibernate": at_17(java("Hibernate")),
    "jooq": at_17(java("Jooq")),
    "flyway": at_17(java("Flyway")),
    "liquibase": at_17(java("Liquibase")),
    "pgx": at_17(go("pgx")),
    "pq": at_17(go("pq")),
    "gorm": at_17(go("gorm")),
    "goose": at_17(go("goose")),
    "tokio-postgres": at_17(rust("tokio-postgres")),
    "activerecord": at_17(system("ruby", "activerecord.rb")),
    "dbd-pg": at_17(system("perl", "dbd-pg.pl")),
    "pdo": at_17(system("php", "pdo.php")),
    "doctrine": at_17(system("php", "doctrine.php")),
    "sqlx": at_17(rust("sqlx")),
}
