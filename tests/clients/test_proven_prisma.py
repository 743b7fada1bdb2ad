"""Prisma's real CLI: only migrations that staging has proven reach production.

The CLI runs on its WebAssembly engine, which cuts a file at each ";"; what the native
engine sends instead is in `test_proven_native`. Staging runs Postgres 17, production
18.
Next: `tests.clients.proven_rig`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.clients.native_engine import NativeEngine
from tests.clients.prisma_project import PrismaProject
from tests.clients.proven_rig import Rig, content, told
from tests.clients.refusals import refused_texts
from tests.fix_postgres import run
from tests.integration.proving import START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.proven_rig import Story
    from tests.clients.tools import Outcome
    from tests.fix_postgres import Clusters
    from tests.integration.proving import Side

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("prisma"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

HISTORY = "_prisma_migrations"
BEGUN = """
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY NOT NULL,
    checksum varchar(64) NOT NULL, finished_at timestamptz,
    migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0);
"""
NOTES = "20240101000000_notes"
DROPPED = "20240102000000_dropped"
FILLED = "20240103000000_filled"
INDEXED = "20240104000000_indexed"
FILES = {
    NOTES: (
        "-- CreateTable\nCREATE TABLE \"notes\" (\n    \"id\" SERIAL NOT NULL,\n"
        "    \"body\" TEXT NOT NULL DEFAULT 'a;b',\n\n"
        "    CONSTRAINT \"notes_pkey\" PRIMARY KEY (\"id\")\n);\n\n"
        "-- CreateIndex\nCREATE INDEX \"notes_body_idx\" ON \"notes\"(\"body\");\n"
    ).replace("a;b", "ab"),
    DROPPED: 'ALTER TABLE "customer" DROP COLUMN "balance";\n',
    FILLED: (
        'ALTER TABLE "customer" ADD COLUMN "locale" TEXT;\n'
        "UPDATE \"customer\" SET \"locale\" = 'de' WHERE \"id\" <= 10;\n"
        "UPDATE \"customer\" SET \"locale\" = 'en' WHERE \"locale\" IS NULL;\n"
        'ALTER TABLE "customer" ALTER COLUMN "locale" SET NOT NULL;\n'
    ),
    INDEXED: 'CREATE INDEX CONCURRENTLY "orders_customer" ON "orders"("customer");\n',
}  # fmt: skip


@pytest.fixture(scope="module")
def rig(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(
        tmp_path_factory.mktemp("prisma"),
        clusters,
        name="prisma",
        majors=(17, 18),
        commands=("prisma migrate resolve *",),
    )
    yield made
    made.stop()


class Migrations:
    """A project with migrations of our own, and the CLI run in it."""

    def __init__(self, folder: Path, node_modules: Path) -> None:
        self.project = PrismaProject.create(folder / "project", node_modules)
        for each in self.project.migrations.iterdir():
            if each.is_dir():
                (each / "migration.sql").unlink()
                each.rmdir()

    def write(self, name: str, text: str) -> None:
        file = self.project.migrations / name / "migration.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")

    def run(self, side: Side, command: str, *, fails: bool = False) -> Outcome:
        done = self.project.cli(side.dsn, command)
        assert bool(done.code) is fails, (command, done.code, done.out, done.err)
        return done


@pytest.fixture
def migrations(tmp_path: Path, node_modules: Path) -> Migrations:
    return Migrations(tmp_path, node_modules)


def prove(story: Story, migrations: Migrations) -> dict[str, str]:
    """Deploy what is pending to staging; approve it and carry it over."""
    before = story.recorded()
    migrations.run(story.staging, "migrate deploy")
    found = {k: v for k, v in story.recorded().items() if k not in before}
    story.approve(*found.values())
    return found


def applied(side: Side) -> dict[str, str]:
    """The finished migrations of the history, with their checksums."""
    return dict(
        side.fetch(
            "SELECT migration_name, checksum FROM _prisma_migrations"
            " WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL"
        )
    )


def test_what_staging_has_proven_is_applied(rig: Rig, migrations: Migrations) -> None:
    """Four pending at once, and a proof for each."""
    story = rig.story(START + BEGUN)
    for name, text in FILES.items():
        migrations.write(name, text)
    proofs = prove(story, migrations)
    assert list(proofs) == list(FILES)

    done = migrations.run(story.production, "migrate deploy")

    assert "All migrations have been successfully applied" in told(done)
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert applied(story.production) == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()
    }
    assert story.production.value(
        "SELECT count(*) FROM customer WHERE locale = 'de'"
    ) == 10  # fmt: skip
    assert story.ends() == {name: ["committed"] for name in FILES}
    assert not story.drifts()
    assert "No pending" in told(migrations.run(story.production, "migrate deploy"))


def test_the_first_deploy_of_all(rig: Rig, migrations: Migrations) -> None:
    """Into an empty database, where the CLI makes its table first."""
    story = rig.story("SELECT 1")
    migrations.write(NOTES, FILES[NOTES])
    prove(story, migrations)
    migrations.run(story.production, "migrate deploy")
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert story.ends() == {NOTES: ["committed"]}


def test_edited_by_one_byte(rig: Rig, migrations: Migrations) -> None:
    """The checksum gives it away, before any of it has run."""
    story = rig.story(START + BEGUN)
    migrations.write(FILLED, FILES[FILLED])
    prove(story, migrations)
    edited = FILES[FILLED].replace("<= 10", "<= 90")
    migrations.write(FILLED, edited)
    before = content(story.production)

    done = migrations.run(story.production, "migrate deploy", fails=True)

    assert content(story.production) == before
    assert f'migration "{FILLED}" was changed since it was proven' in told(done)
    assert hashlib.sha256(edited.encode()).hexdigest() in told(done)
    assert "HINT: `pgwarden migration check " in told(done)
    assert hashlib.sha256(FILES[FILLED].encode()).hexdigest() in told(done)
    assert not story.ends()
    migrations.write(FILLED, FILES[FILLED])
    migrations.run(story.production, "migrate deploy")
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)


def test_what_is_not_proven_is_refused(rig: Rig, migrations: Migrations) -> None:
    """Nobody has run it on staging, then somebody has, and nobody has approved."""
    story = rig.story(START + BEGUN)
    migrations.write(NOTES, FILES[NOTES])
    before = content(story.production)
    done = migrations.run(story.production, "migrate deploy", fails=True)
    assert f'migration "{NOTES}" was not proven on staging' in told(done)

    migrations.run(story.staging, "migrate deploy")
    (proof,) = story.recorded().values()
    story.carry()
    done = migrations.run(story.production, "migrate deploy", fails=True)

    assert f'migration "{NOTES}" has a proof, {proof[:12]}' in told(done)
    assert "approv" in told(done)
    assert content(story.production) == before
    assert not story.ends()
    story.approve(proof)
    migrations.run(story.production, "migrate deploy")
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)


def test_a_proven_one_behind_one_that_is_not(rig: Rig, migrations: Migrations) -> None:
    """The first is applied and the second refused; the first stays, whole."""
    story = rig.story(START + BEGUN)
    migrations.write(NOTES, FILES[NOTES])
    prove(story, migrations)
    migrations.write(DROPPED, FILES[DROPPED])
    done = migrations.run(story.production, "migrate deploy", fails=True)
    assert f'migration "{DROPPED}" was not proven on staging' in told(done)
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert list(applied(story.production)) == [NOTES]
    assert story.ends() == {NOTES: ["committed"]}


DESTROYERS = [
    "migrate reset --force --skip-seed --skip-generate",
    "db push --accept-data-loss --skip-generate",
    "db push --force-reset --accept-data-loss --skip-generate",
    "migrate dev --name more --skip-generate",
    "db execute --file one.sql --schema prisma/schema.prisma",
]


def test_what_destroys_is_refused(rig: Rig, migrations: Migrations) -> None:
    """With a migration proven and applied, and another proven and pending."""
    story = rig.story(START + BEGUN)
    migrations.write(NOTES, FILES[NOTES])
    prove(story, migrations)
    migrations.run(story.production, "migrate deploy")
    migrations.write(DROPPED, FILES[DROPPED])
    prove(story, migrations)
    (migrations.project.folder / "one.sql").write_text(FILES[DROPPED])
    before = content(story.production)
    for number, command in enumerate(DESTROYERS, 1):
        migrations.run(story.production, command, fails=True)
        assert content(story.production) == before, command
        refused = refused_texts(story.production.proxy, story.production.database)
        assert len(refused) >= number, command
    assert story.ends() == {NOTES: ["committed"]}


def test_what_fails_on_production_alone(rig: Rig, migrations: Migrations) -> None:
    """What came before the failure stays, as this engine commits each statement."""
    story = rig.story(START + BEGUN)
    assert story.permitting
    unique = 'CREATE UNIQUE INDEX "customer_name" ON "customer"("name");\n'
    migrations.write(NOTES, FILES[NOTES] + unique)
    prove(story, migrations)
    story.production.fetch("UPDATE customer SET name = 'c1' WHERE id = 2 RETURNING id")

    done = migrations.run(story.production, "migrate deploy", fails=True)

    assert "Unique constraint failed: (name)" in told(done)
    assert not applied(story.production)
    assert story.ends() == {NOTES: ["partial"]}
    again = migrations.run(story.production, "migrate deploy", fails=True)
    assert "P3009" in told(again)  # Prisma itself wants a person's word

    # which the CLI says by its native engine alone
    key = story.production.value(f"SELECT id FROM {HISTORY}")
    with NativeEngine(story.production) as engine:
        why = engine.resolve_rolled_back(key)
    assert "prisma migrate resolve --rolled-back writes history" in why
    with NativeEngine(story.permitting) as engine:
        assert not engine.resolve_rolled_back(key)
    repair = "UPDATE customer SET name = 'c2' WHERE id = 2"
    run(story.production.cluster.dsn(story.production.database),
        f"DROP TABLE notes; {repair}")  # fmt: skip
    done = migrations.run(story.production, "migrate deploy", fails=True)
    assert f'was used in "{story.production.database}" already' in told(done)
    assert "record it anew on staging" in told(done)


def test_recorded_anew(rig: Rig, migrations: Migrations) -> None:
    """Staging is set back and runs it once more: a new proof, good for one run."""
    story = rig.story(START + BEGUN)
    migrations.write(NOTES, FILES[NOTES])
    prove(story, migrations)
    migrations.run(story.production, "migrate deploy")
    for side in (story.staging, story.production):
        dsn = side.cluster.dsn(side.database)
        run(dsn, f"DROP TABLE notes; DELETE FROM {HISTORY}")  # as a restore would
    done = migrations.run(story.production, "migrate deploy", fails=True)
    assert "a proof is good for one run in each database" in told(done)
    migrations.run(story.staging, "migrate deploy")
    story.approve(*story.recorded().values())
    migrations.run(story.production, "migrate deploy")
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)


def test_a_resolve_needs_permission(rig: Rig, migrations: Migrations) -> None:
    story = rig.story(START + BEGUN)
    assert story.permitting
    migrations.write(NOTES, FILES[NOTES])
    before = content(story.production)
    resolve = f"migrate resolve --applied {NOTES}"
    done = migrations.run(story.production, resolve, fails=True)
    assert "prisma migrate resolve --applied writes history" in told(done)
    assert content(story.production) == before

    migrations.run(story.permitting, resolve)
    assert list(applied(story.production)) == [NOTES]
    assert content(story.production, HISTORY) == {
        k: v for k, v in before.items() if not k.endswith(HISTORY)
    }
