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
from tests.corpus.kits import Drive, go, java, node, python, rust

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Attributes:
        drives: each does the work, and is recorded as a version of its own.
        majors: servers at which it is recorded.
        no_reading: pattern to reason, for statements that a read-only session can do
            and that are left out all the same.
    """

    drives: tuple[Drive, ...]
    majors: tuple[int, ...] = (17,)
    no_reading: Mapping[str, str] = field(default_factory=dict)


ALL = (15, 17, 18)

TOOLS: Mapping[str, Tool] = {
    "psql": Tool((native.psql,), ALL),
    "pg_dump": Tool(
        (native.pg_dump,),
        ALL,
        {
            r"pg_export_snapshot|SET TRANSACTION SNAPSHOT": "pg_dump -j: a snapshot "
            "that others can join holds back VACUUM; policies/README.md permits it"
        },
    ),
    "pg_dumpall": Tool((native.pg_dumpall,), ALL),
    "pgbench": Tool((native.pgbench,), ALL),
    "pgcli": Tool((python("pgcli"),)),
    "pg_activity": Tool((python("pg_activity"),)),
    "asyncpg": Tool((python("asyncpg"),)),
    "psycopg": Tool((python("psycopg"),)),
    "psycopg2": Tool((python("psycopg2"),)),
    "pg8000": Tool((python("pg8000"),)),
    "sqlalchemy": Tool(
        tuple(
            python("sqlalchemy", driver)
            for driver in ("psycopg", "psycopg2", "asyncpg", "pg8000")
        )
    ),
    "alembic": Tool((python("alembic"),)),
    "django": Tool((python("django"),)),
    "pandas": Tool((python("pandas"),)),
    "peewee": Tool((python("peewee"),)),
    "tortoise": Tool((python("tortoise"),)),
    "node-postgres": Tool((node("node-postgres"),)),
    "postgres-js": Tool((node("postgres-js"),)),
    "pg-promise": Tool((node("pg-promise"),)),
    "prisma": Tool((prisma.drive,)),
    "drizzle": Tool((node("drizzle"),)),
    "typeorm": Tool((node("typeorm"),)),
    "knex": Tool((node("knex"),)),
    "sequelize": Tool((node("sequelize"),)),
    "kysely": Tool((node("kysely"),)),
    "mikro-orm": Tool((node("mikro-orm"),)),
    "pg-introspection": Tool((node("pg-introspection"),)),
    "pgjdbc": Tool((java("Pgjdbc"),)),
    "hibernate": Tool((java("Hibernate"),)),
    "jooq": Tool((java("Jooq"),)),
    "flyway": Tool((java("Flyway"),)),
    "liquibase": Tool((java("Liquibase"),)),
    "pgx": Tool((go("pgx"),)),
    "pq": Tool((go("pq"),)),
    "gorm": Tool((go("gorm"),)),
    "goose": Tool((go("goose"),)),
    "tokio-postgres": Tool((rust("tokio-postgres"),)),
    "sqlx": Tool((rust("sqlx"),)),
}
