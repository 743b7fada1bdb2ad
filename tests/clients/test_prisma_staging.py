"""Prisma on staging's policy: developers migrate there, with shadow databases and all.

This is also the control of `test_prisma_destroys`: the same commands, where they are
allowed, do lose the data. Upstream is the least-privileged migrator, who may create
databases here, since `migrate dev` makes and drops one each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.refusals import refused_texts
from tests.clients.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.prisma_project import PrismaProject
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("prisma"),
    pytest.mark.slow,
    pytest.mark.timeout(180),
]

MODELS = """
model author {
  id    Int    @id @default(autoincrement())
  email String @unique
  books book[]
}

model book {
  id       Int    @id @default(autoincrement())
  title    String
  pages    Int?
  authorId Int
  author   author @relation(fields: [authorId], references: [id])
}
"""


@pytest.fixture
def staging_shop(shop17: Database) -> Iterator[Database]:
    """A shop that belongs to the migrator, who may create databases beside it."""
    shop17.execute(f"ALTER DATABASE {shop17.name} OWNER TO pgwarden_migrator")
    shop17.execute("ALTER ROLE pgwarden_migrator CREATEDB")
    yield shop17
    shop17.execute("ALTER ROLE pgwarden_migrator NOCREATEDB")


@pytest.fixture
def library(prisma: PrismaProject) -> PrismaProject:
    """A project that starts from nothing: two models, no migrations."""
    header = prisma.schema_path.read_text("utf-8").partition("model ")[0]
    prisma.schema_path.write_text(header + MODELS)
    for folder in prisma.migrations.glob("2*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    return prisma


def shadow_databases(database: Database) -> list[tuple[str]]:
    return database.fetch(
        "SELECT datname FROM pg_database WHERE datname LIKE 'prisma_migrate_shadow%'"
    )


def test_migrate_dev_from_the_first_migration_to_a_reset(
    staging_guard: Proxy, staging_shop: Database, library: PrismaProject
) -> None:
    url = staging_guard.dsn("developer", staging_shop.name)
    reset = library.cli(url, "migrate reset --force --skip-seed").ok()
    assert "Database reset successful" in reset.out
    assert staging_shop.fetch("SELECT to_regclass('customers')") == [(None,)]

    library.cli(url, "migrate dev --name first --skip-generate").ok()
    staging_shop.execute("INSERT INTO author (email) VALUES ('a@example.com')")
    library.edit_schema("  pages    Int?\n", "  pages    Int?\n  isbn     String?\n")
    library.cli(url, "migrate dev --name second --skip-generate").ok()
    assert len(list(library.migrations.glob("2*_*"))) == 2
    assert staging_shop.fetch("SELECT count(*) FROM _prisma_migrations") == [(2,)]
    assert staging_shop.fetch("SELECT email FROM author") == [("a@example.com",)]
    staging_shop.fetch("SELECT isbn FROM book")
    status = library.cli(url, "migrate status").ok()
    assert "up to date" in status.out

    library.cli(url, "migrate reset --force --skip-seed").ok()
    assert staging_shop.fetch("SELECT count(*) FROM author") == [(0,)]
    assert not shadow_databases(staging_shop)
    assert not refused_texts(staging_guard, staging_shop.name)


def test_the_shadow_database_is_reached_and_recorded(
    staging_guard: Proxy, staging_shop: Database, library: PrismaProject
) -> None:
    """The replay happens in the shadow, not in the main database (a past trap)."""
    url = staging_guard.dsn("developer", staging_shop.name)
    library.cli(url, "migrate reset --force --skip-seed").ok()
    library.cli(url, "migrate dev --name first --skip-generate").ok()
    library.edit_schema("  pages    Int?\n", "")
    seen = len(staging_guard.records())
    library.cli(url, "migrate dev --name second --skip-generate").ok()
    texts: dict[str, list[str]] = {}
    for record in staging_guard.records()[seen:]:  # of this one process alone
        if record["kind"] == "statement":
            texts.setdefault(record["database"], []).append(record["text"])
    shadows = set(texts) - {staging_shop.name}
    assert shadows
    for shadow in shadows:  # one to look at the history, one to write the migration
        assert shadow.startswith("prisma_migrate_shadow_db_")
        assert any('CREATE TABLE "author"' in text for text in texts[shadow])
        assert f'DROP DATABASE "{shadow}"' in texts[staging_shop.name]
    assert not any("CREATE TABLE" in text for text in texts[staging_shop.name])
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'book'::regclass"
    assert ("pages",) not in staging_shop.fetch(columns)


@pytest.mark.parametrize(
    "command",
    [
        "migrate reset --force --skip-seed",
        "db push --force-reset --skip-generate",
        "db push --accept-data-loss --skip-generate",
    ],
)
def test_here_the_same_commands_do_lose_the_data(
    staging_guard: Proxy, staging_shop: Database, library: PrismaProject, command: str
) -> None:
    url = staging_guard.dsn("developer", staging_shop.name)
    # Prisma knows no views or functions, and Postgres keeps what they need
    staging_shop.execute(
        "DROP VIEW open_orders; DROP MATERIALIZED VIEW monthly_revenue;"
        "DROP FUNCTION order_total"
    )
    assert "public.customers" in snapshot(staging_shop)
    library.cli(url, command).ok()
    assert "public.customers" not in snapshot(staging_shop)
    assert not refused_texts(staging_guard, staging_shop.name)


def test_staging_itself_can_t_be_dropped(
    staging_guard: Proxy, staging_shop: Database, library: PrismaProject
) -> None:
    command = "db execute --stdin --schema prisma/schema.prisma"
    statement = f'DROP DATABASE "{staging_shop.name}"'
    other = staging_guard.dsn("developer", "postgres")
    for url in (staging_guard.dsn("developer", staging_shop.name), other):
        done = library.cli(url, command, text=statement)
        assert done.code != 0
        assert "DROP DATABASE is not allowed for role developer" in done.err
    assert refused_texts(staging_guard, staging_shop.name) == [statement]
    assert staging_shop.fetch("SELECT count(*) FROM orders") == [(5000,)]
