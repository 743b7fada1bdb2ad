"""The incident: Prisma's ways to lose a database, none of which may succeed.

The upstream logins are superusers here, so nothing but the proxy's decision saves the
data. Each test compares the whole database before and after, and finds the destructive
statement among the refused ones: the CLI did send it. Staging, where this is allowed,
shows that the very same commands do destroy (`test_prisma_staging`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.clients.refusals import Refusal, check_refusal, refused_texts, statements
from tests.clients.snapshot import snapshot

if TYPE_CHECKING:
    from tests.clients.prisma_project import PrismaProject
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("prisma"),
    pytest.mark.slow,
    pytest.mark.timeout(180),
]

HISTORY = """
    CREATE TABLE _prisma_migrations (
        id varchar(36) PRIMARY KEY NOT NULL,
        checksum varchar(64) NOT NULL,
        finished_at timestamptz,
        migration_name varchar(255) NOT NULL,
        logs text,
        rolled_back_at timestamptz,
        started_at timestamptz NOT NULL DEFAULT now(),
        applied_steps_count integer NOT NULL DEFAULT 0
    );
    INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name)
    VALUES ('4e5a6b7c-0000-4000-8000-000000000001', repeat('0', 64), now(),
            '20240101000000_shop');
    GRANT ALL ON _prisma_migrations TO pgwarden_migrator;
"""

both_identities = pytest.mark.parametrize("identity", ["developer", "migrator"])
with_and_without_history = pytest.mark.parametrize(
    "history", [True, False], ids=["history", "no-history"]
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command, what it needs in the schema, what it must have tried, its name."""

    command: str
    sends: str
    named: str
    schema_edit: tuple[str, str] | None = None


NOTE = "  note        String?\n"
DROP_SCHEMA = 'DROP SCHEMA "public" CASCADE'
DROP_NOTE = 'DROP COLUMN "note"'
RESET = (
    "`prisma migrate reset` drops all data and is never run here; "
    "to apply pending migrations use `prisma migrate deploy`"
)
PUSH = "`prisma db push` changes the schema past all migrations"
ATTEMPTS = {
    "reset": Attempt("migrate reset --force", DROP_SCHEMA, RESET),
    "dev": Attempt(
        "migrate dev --name more",
        'CREATE DATABASE "prisma_migrate_shadow',
        "`prisma migrate dev`",
    ),
    "push-force-reset": Attempt(
        "db push --force-reset --skip-generate", DROP_SCHEMA, RESET
    ),
    "push-loses-a-column": Attempt(
        "db push --accept-data-loss --skip-generate", DROP_NOTE, PUSH, (NOTE, "")
    ),
    "push-retypes-a-column": Attempt(
        "db push --accept-data-loss --skip-generate",
        DROP_NOTE,
        PUSH,
        (NOTE, "  note        Int?\n"),
    ),
    "push-force-reset-and-loss": Attempt(
        "db push --force-reset --accept-data-loss --skip-generate",
        DROP_SCHEMA,
        RESET,
        (NOTE, ""),
    ),
}


@both_identities
@with_and_without_history
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_refused_with_all_data_intact(
    lone_guard: Proxy,
    shop17: Database,
    prisma: PrismaProject,
    identity: str,
    attempt: Attempt,
    history: bool,
) -> None:
    if history:
        shop17.execute(HISTORY)
    if attempt.schema_edit:
        prisma.edit_schema(*attempt.schema_edit)
    before = snapshot(shop17)
    databases = shop17.fetch("SELECT datname FROM pg_database ORDER BY 1")

    done = prisma.cli(lone_guard.dsn(identity, shop17.name), attempt.command)

    assert done.code != 0
    assert snapshot(shop17) == before
    assert shop17.fetch("SELECT datname FROM pg_database ORDER BY 1") == databases
    refused = refused_texts(lone_guard, shop17.name)
    assert any(attempt.sends in text for text in refused), (refused, done.err)
    assert f"is not allowed for role {identity}" in done.err
    assert "DETAIL: rule" in done.err
    assert f"HINT: {attempt.named}" in " ".join(done.err.split())


@both_identities
def test_the_second_way_of_reset_is_really_tried(
    lone_guard: Proxy, shop17: Database, prisma: PrismaProject, identity: str
) -> None:
    """Without a history, the refused DROP SCHEMA is followed by DROPs one by one."""
    prisma.cli(lone_guard.dsn(identity, shop17.name), "migrate reset --force")
    schema, fallback = refused_texts(lone_guard, shop17.name)
    assert schema == 'DROP SCHEMA "public" CASCADE'
    assert 'DROP TABLE "public"."customers"' in fallback
    assert 'DROP TABLE "public"."order_items"' in fallback


@both_identities
def test_a_schema_of_something_else_would_drop_every_table(
    lone_guard: Proxy, shop17: Database, prisma: PrismaProject, identity: str
) -> None:
    """The wrong DATABASE_URL: `db push` of another project's schema to the shop."""
    text = prisma.schema_path.read_text("utf-8")
    header = text.partition("model ")[0]
    other = "model other {\n  id Int @id\n}\n"
    prisma.schema_path.write_text(header + other)
    before = snapshot(shop17)
    url = lone_guard.dsn(identity, shop17.name)
    done = prisma.cli(url, "db push --accept-data-loss --skip-generate")
    assert done.code != 0
    assert snapshot(shop17) == before
    assert refused_texts(lone_guard, shop17.name)


NATIVE_FALLBACK = """
-- DropForeignKey
ALTER TABLE "public"."order_items" DROP CONSTRAINT "order_items_order_id_fkey";

-- DropForeignKey
ALTER TABLE "public"."orders" DROP CONSTRAINT "orders_customer_id_fkey";

-- DropTable
DROP TABLE "public"."customers";

-- DropTable
DROP TABLE "public"."orders";

-- DropEnum
DROP TYPE "public"."order_status";
"""
PLAIN_STEPS = {
    "drop-schema-first": [
        'DROP SCHEMA "public" CASCADE',
        'CREATE SCHEMA "public"',
        "DROP TABLE _prisma_migrations",
        NATIVE_FALLBACK,
    ],
    "fallback-alone": [NATIVE_FALLBACK],
    "history-first": ["DROP TABLE _prisma_migrations", NATIVE_FALLBACK],
    "reset-in-one": ['DROP SCHEMA "public" CASCADE; CREATE SCHEMA "public";'],
    "behind-reads": [
        f'SELECT 1; SELECT count(*) FROM "customers"; {NATIVE_FALLBACK}; SELECT 2'
    ],
    "in-a-transaction": ["BEGIN", 'DROP SCHEMA "public" CASCADE', "COMMIT"],
    "in-one-transaction": [f"BEGIN; {NATIVE_FALLBACK} COMMIT;"],
}


@both_identities
@with_and_without_history
@pytest.mark.parametrize("steps", PLAIN_STEPS.values(), ids=PLAIN_STEPS.keys())
def test_the_statements_of_the_native_engine(
    lone_guard: Proxy,
    shop17: Database,
    identity: str,
    steps: list[str],
    history: bool,
) -> None:
    """The native engine sends each script as ONE simple Query, and so does psycopg."""
    if history:
        shop17.execute(HISTORY)
    before = snapshot(shop17)
    url = lone_guard.dsn(identity, shop17.name)
    with psycopg.connect(url, autocommit=True) as connection:
        for step in steps:
            if step in ("BEGIN", "COMMIT"):
                connection.execute(step)
                continue
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(step.encode())
            assert caught.value.sqlstate == "42501"
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
    assert snapshot(shop17) == before


def test_a_refused_migrator_may_only_read_from_then_on(
    guard17: Proxy, shop17: Database
) -> None:
    """Even what the policy allows: what comes after a refused reset is not trusted."""
    harmless = "CREATE TABLE harmless (id int)"
    url = guard17.dsn("migrator", shop17.name)
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute('DROP SCHEMA "public" CASCADE')
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(harmless)
        diag = caught.value.diag
        refusal = Refusal(
            diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint
        )
        assert "CREATE TABLE is not allowed" in str(refusal.message)
        assert "quarantine" in str(refusal.message)
        check_refusal(guard17, refusal, "quarantine", "")
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(harmless)  # a new session starts afresh
    assert statements(guard17, shop17.name)[-1]["decision"] == "allow"
