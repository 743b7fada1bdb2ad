"""Alembic, on both its drivers: what reaches production is what staging has proven.

Staging runs Postgres 18 and production 15, so the digests have to be the same on both.
Next: `tests.clients.proven_rig`, `tests.clients.test_proven_prisma`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.proven_rig import Rig, content, ground, told
from tests.transcripts.python_tools import AlembicProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.proven_rig import Story
    from tests.clients.tools import Outcome
    from tests.fix_postgres import Clusters
    from tests.integration.proving import Side

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("alembic"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

DRIVERS = pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
HISTORY = "alembic_version"
NOTES = ["CREATE TABLE notes (id bigint PRIMARY KEY, body text NOT NULL)"]
UNPROVEN = "HINT: Run it on staging through pgwarden, which records the proof."


@pytest.fixture(scope="module")
def rig(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(
        tmp_path_factory.mktemp("alembic"),
        clusters,
        name="alembic",
        majors=(18, 15),
        commands=("alembic stamp",),
    )
    yield made
    made.stop()


class Revisions:
    """A folder of revisions a1, a2 and so on, and `alembic` run in it."""

    def __init__(self, folder: Path, driver: str) -> None:
        self._folder, self._driver = folder, driver

    def write(
        self, number: int, up: list[str], *, alone: bool = False, after: str = ""
    ) -> None:
        """Write a revision; `alone` is in an autocommit block."""
        before = after or (f"'a{number - 1}'" if number > 1 else "None")
        indent, block = "    ", ""
        if alone:
            block = "    with op.get_context().autocommit_block():\n"
            indent *= 2
        body = "".join(f"{indent}op.execute({each!r})\n" for each in up)
        body = body or f"{indent}pass\n"
        file = self._folder / "migrations" / "versions" / f"a{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"from alembic import op\nrevision = 'a{number}'\n"
            f"down_revision = {before}\ndef upgrade():\n{block}{body}"
            "def downgrade(): op.execute('DROP TABLE notes')\n",
            "utf-8",
        )

    def run(self, side: Side, arguments: str, *, fails: bool = False) -> Outcome:
        project = AlembicProject(ground(side, self._folder), self._driver)
        return project.alembic(arguments, fails=fails)


def prove(story: Story, revisions: Revisions) -> dict[str, str]:
    """Run what is pending on staging; approve it and carry it over."""
    before = story.recorded()
    revisions.run(story.staging, "upgrade head")
    found = {k: v for k, v in story.recorded().items() if k not in before}
    story.approve(*found.values())
    return found


def version(side: Side) -> object:
    return side.value(f"SELECT string_agg(version_num, ',') FROM {HISTORY}")


@DRIVERS
def test_what_staging_has_proven_is_applied(
    rig: Rig, tmp_path: Path, driver: str
) -> None:
    """Several revisions in one transaction: each is a proof of its own, and counts."""
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    revisions.write(2, ["ALTER TABLE customer DROP COLUMN balance"])
    revisions.write(
        3,
        ["UPDATE customer SET name = upper(name) WHERE id <= 10",
         "CREATE INDEX customer_name ON customer (name)"],
    )  # fmt: skip
    proofs = prove(story, revisions)
    assert list(proofs) == ["a1", "a2", "a3"]

    revisions.run(story.production, "upgrade head")

    assert content(story.production) == content(story.staging)
    assert version(story.production) == "a3"
    assert story.production.value(
        "SELECT count(*) FROM customer WHERE name LIKE 'C%'"
    ) == 10  # fmt: skip
    assert story.ends() == {name: ["committed"] for name in proofs}
    assert not story.drifts()
    revisions.run(story.production, "upgrade head")
    assert story.ends() == {name: ["committed"] for name in proofs}


@DRIVERS
def test_an_index_that_is_built_beside_the_traffic(
    rig: Rig, tmp_path: Path, driver: str
) -> None:
    """In an autocommit block, with a transaction of other revisions before it."""
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    index = "CREATE INDEX CONCURRENTLY orders_customer ON orders (customer)"
    revisions.write(2, [index], alone=True)
    revisions.write(3, ["ALTER TABLE notes ADD COLUMN starred boolean"])
    proofs = prove(story, revisions)
    assert list(proofs) == ["a1", "a2", "a3"]

    revisions.run(story.production, "upgrade head")

    assert content(story.production) == content(story.staging)
    assert story.production.value(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_customer'::regclass"
    )
    assert story.ends() == {name: ["committed"] for name in proofs}


def test_branches_that_meet(rig: Rig, tmp_path: Path) -> None:
    """The revision in which they meet has no statements, and deletes a row."""
    story, revisions = rig.story(), Revisions(tmp_path, "psycopg2")
    revisions.write(1, NOTES)
    revisions.write(2, ["ALTER TABLE notes ADD COLUMN starred boolean"])
    revisions.write(3, ["ALTER TABLE customer ADD COLUMN phone text"], after="'a1'")
    revisions.write(4, [], after="('a2', 'a3')")
    revisions.write(5, ["DROP TABLE notes"])
    proofs = prove(story, revisions)
    assert proofs.keys() == {"a1", "a2", "a3", "a4", "a5"}
    revisions.run(story.production, "upgrade head")
    assert content(story.production) == content(story.staging)
    assert version(story.production) == "a5"
    assert story.ends() == {name: ["committed"] for name in proofs}


@DRIVERS
def test_edited_by_one_byte(rig: Rig, tmp_path: Path, driver: str) -> None:
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    change = "UPDATE customer SET balance = balance + 1 WHERE id <= 10"
    revisions.write(2, ["CREATE INDEX customer_name ON customer (name)", change])
    prove(story, revisions)
    edited = change.replace("10", "90")
    revisions.write(2, ["CREATE INDEX customer_name ON customer (name)", edited])
    before = content(story.production)

    done = revisions.run(story.production, "upgrade head", fails=True)

    assert content(story.production) == before
    assert 'statement 2 of 2 of migration "a2" is not the proven one' in told(done)
    assert f"it is '{edited}', proven was '{change}'" in told(done)
    assert UNPROVEN in told(done)
    assert story.ends() == {"a1": ["rolled back"], "a2": ["rolled back"]}
    # what was rolled back as a whole is good for another run
    revisions.write(2, ["CREATE INDEX customer_name ON customer (name)", change])
    revisions.run(story.production, "upgrade head")
    assert content(story.production) == content(story.staging)
    assert story.ends()["a2"] == ["rolled back", "committed"]


@DRIVERS
def test_what_is_not_proven_is_refused(rig: Rig, tmp_path: Path, driver: str) -> None:
    """Nobody has run it on staging, then somebody has, and nobody has approved."""
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    before = content(story.production)
    done = revisions.run(story.production, "upgrade head", fails=True)
    assert "no proven migration begins with it" in told(done)
    assert UNPROVEN in told(done)

    revisions.run(story.staging, "upgrade head")
    (proof,) = story.recorded().values()
    story.carry()
    done = revisions.run(story.production, "upgrade head", fails=True)

    assert f'migration "a1" has a proof, {proof[:12]}' in told(done)
    assert "which does not count here: " in told(done)
    assert "approv" in told(done)
    assert content(story.production) == before
    assert not story.ends()
    story.approve(proof)
    revisions.run(story.production, "upgrade head")
    assert content(story.production) == content(story.staging)


@DRIVERS
def test_the_ways_back_are_refused(rig: Rig, tmp_path: Path, driver: str) -> None:
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    prove(story, revisions)
    revisions.run(story.production, "upgrade head")
    before = content(story.production)

    for arguments in ("downgrade -1", "downgrade base", "stamp base", "stamp a1"):
        if arguments != "stamp a1":  # which is there already
            revisions.run(story.production, arguments, fails=True)
        assert content(story.production) == before


@DRIVERS
def test_a_stamp_needs_permission(rig: Rig, tmp_path: Path, driver: str) -> None:
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    assert story.permitting
    revisions.write(1, NOTES)
    before = content(story.production)
    done = revisions.run(story.production, "stamp a1", fails=True)
    assert "alembic stamp writes history without running a migration" in told(done)
    assert content(story.production, HISTORY) == before

    revisions.run(story.permitting, "stamp a1")
    assert version(story.production) == "a1"
    assert content(story.production, HISTORY, f"{HISTORY}_pkc") == before


@DRIVERS
def test_what_fails_on_production_alone(rig: Rig, tmp_path: Path, driver: str) -> None:
    """Its data has a duplicate that staging lacks; repaired, the proof counts again."""
    story, revisions = rig.story(), Revisions(tmp_path, driver)
    revisions.write(1, NOTES)
    revisions.write(2, ["CREATE UNIQUE INDEX customer_name ON customer (name)"])
    prove(story, revisions)
    story.production.fetch("UPDATE customer SET name = 'c1' WHERE id = 2 RETURNING id")
    before = content(story.production)

    done = revisions.run(story.production, "upgrade head", fails=True)

    assert "could not create unique index" in told(done)
    assert content(story.production) == before
    assert story.ends() == {"a1": ["rolled back"], "a2": ["rolled back"]}
    story.production.fetch("UPDATE customer SET name = 'c2' WHERE id = 2 RETURNING id")
    revisions.run(story.production, "upgrade head")
    assert content(story.production) == content(story.staging)
    assert story.ends()["a2"] == ["rolled back", "committed"]
