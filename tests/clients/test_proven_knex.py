"""Knex: what reaches production is what staging has proven.

Next: `tests.clients.proven_rig`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients import npm
from tests.clients.proven_rig import Rig, content, ground, told
from tests.clients.tools import program
from tests.transcripts.tools import KITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.proven_rig import Story
    from tests.clients.tools import Outcome
    from tests.fix_postgres import Clusters
    from tests.integration.proving import Side

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("knex"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

HISTORY = ("knex_migrations", "knex_migrations_id_seq")
UNPROVEN = "HINT: Run it on staging through pgwarden, which records the proof."
CONFIG = (
    "module.exports = {client: 'pg', connection: process.env.DATABASE_URL,"
    " pool: {min: 0}}"
)


@pytest.fixture(scope="module")
def rig(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(
        tmp_path_factory.mktemp("knex"),
        clusters,
        name="knex",
        majors=(17, 17),
        commands=("knex migrate:unlock",),
    )
    yield made
    made.stop()


class Project:
    """A folder of migrations, and `knex` run in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules = npm.node_modules(KITS / "package.json")
        (folder / "node_modules").symlink_to(self._modules)
        (folder / "knexfile.js").write_text(CONFIG)
        (folder / "migrations").mkdir()

    def write(self, name: str, *up: str, alone: bool = False) -> None:
        """A migration; `alone` outside of any transaction."""
        steps = "".join(f"  await knex.raw({json.dumps(each)})\n" for each in up)
        config = "exports.config = {transaction: false}\n" if alone else ""
        (self._folder / "migrations" / f"{name}.js").write_text(
            f"exports.up = async knex => {{\n{steps}}}\n"
            "exports.down = knex => knex.schema.dropTable('notes')\n" + config
        )

    def script(self, name: str, body: str) -> None:
        """A migration in Knex's own words."""
        (self._folder / "migrations" / f"{name}.js").write_text(
            f"exports.up = async knex => {{\n{body}\n}}\nexports.down = () => {{}}\n"
        )

    def run(self, side: Side, arguments: str, *, fails: bool = False) -> Outcome:
        knex: list[str | Path] = [
            program("node"),
            self._modules / "knex" / "bin" / "cli.js",
        ]
        return ground(side, self._folder).run([*knex, *arguments.split()], fails=fails)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def prove(story: Story, project: Project, *, varying: str = "") -> dict[str, str]:
    """Run what is pending on staging; approve it and carry it over."""
    before = story.recorded()
    project.run(story.staging, "migrate:latest")
    found = {k: v for k, v in story.recorded().items() if k not in before}
    story.approve(*found.values(), varying=varying)
    return found


def applied(side: Side) -> list[str]:
    found = side.fetch("SELECT to_regclass('knex_migrations') IS NOT NULL")
    if found == [(False,)]:
        return []
    return [name for (name,) in side.fetch("SELECT name FROM knex_migrations")]


BUILT = """
  await knex.schema.createTable('notes', t => {
    t.increments('id'); t.text('body').notNullable(); t.timestamps(true, true)
  })
  await knex('notes').insert([{id: 1, body: 'one'}, {id: 2, body: "it's two"}])
  await knex('customer').where('id', '<=', 10).update({name: 'first'})
  await knex.schema.alterTable('customer', t => t.dropColumn('balance'))
"""


def test_what_staging_has_proven_is_applied(rig: Rig, project: Project) -> None:
    """In its own words, with bound values; and an index beside the traffic."""
    story = rig.story()
    project.script("1_built", BUILT)
    index = "CREATE INDEX CONCURRENTLY orders_customer ON orders (customer)"
    project.write("2_indexed", index, alone=True)
    project.write("3_retyped", "ALTER TABLE notes ALTER COLUMN id TYPE bigint")
    proofs = prove(story, project)
    assert list(proofs) == ["1_built.js", "2_indexed.js", "3_retyped.js"]

    project.run(story.production, "migrate:latest")

    times = ("notes",)  # has the times of each run
    left_out = (*HISTORY, *times)
    assert content(story.production, *left_out) == content(story.staging, *left_out)
    rows = [
        side.fetch("SELECT id, body FROM notes ORDER BY id")
        for side in (story.staging, story.production)
    ]
    assert rows[0] == rows[1] == [(1, "one"), (2, "it's two")]
    assert applied(story.production) == list(proofs)
    assert story.ends() == {name: ["committed"] for name in proofs}
    assert not story.drifts()
    project.run(story.production, "migrate:latest")


def test_edited_by_one_byte(rig: Rig, project: Project) -> None:
    """In a bound value: the text is the same, and what it writes is not."""
    story = rig.story()
    project.script("1_built", BUILT)
    prove(story, project)
    project.script("1_built", BUILT.replace("'<=', 10", "'<=', 90"))
    before = content(story.production)

    done = project.run(story.production, "migrate:latest", fails=True)

    after = content(story.production, *HISTORY)
    assert before.items() <= after.items()
    assert "public.notes" not in after
    assert 'statement 3 of 4 of migration "1_built.js" is not the proven one' in told(
        done
    )
    assert "its values are not" in told(done)
    assert not applied(story.production)
    assert story.ends() == {"1_built.js": ["rolled back"]}
    project.script("1_built", BUILT)
    project.run(story.production, "migrate:latest")
    assert applied(story.production) == ["1_built.js"]


def test_what_is_not_proven_is_refused(rig: Rig, project: Project) -> None:
    story = rig.story()
    project.write("1_notes", "CREATE TABLE notes (id int)")
    done = project.run(story.production, "migrate:latest", fails=True)
    assert "no proven migration begins with it" in told(done)
    project.run(story.staging, "migrate:latest")
    (proof,) = story.recorded().values()
    story.carry()
    done = project.run(story.production, "migrate:latest", fails=True)
    assert 'migration "1_notes.js" has a proof' in told(done)
    assert "approv" in told(done)
    assert not applied(story.production)
    story.approve(proof)
    project.run(story.production, "migrate:latest")
    assert content(story.production, *HISTORY) == content(story.staging, *HISTORY)


def test_the_ways_back_are_refused(rig: Rig, project: Project) -> None:
    story = rig.story()
    project.write("1_notes", "CREATE TABLE notes (id int)")
    prove(story, project)
    project.run(story.production, "migrate:latest")
    before = content(story.production)
    for arguments in ("migrate:down", "migrate:rollback --all"):
        project.run(story.production, arguments, fails=True)
        after = content(story.production)
        assert after["public.notes"] == before["public.notes"], arguments
        assert applied(story.production) == ["1_notes.js"]


def test_a_lock_by_hand_needs_permission(rig: Rig, project: Project) -> None:
    story = rig.story()
    assert story.permitting
    project.write("1_notes", "CREATE TABLE notes (id int)")
    prove(story, project)
    project.run(story.production, "migrate:latest")
    done = project.run(story.production, "migrate:unlock", fails=True)
    assert "knex migrate:unlock writes history" in told(done)
    project.run(story.permitting, "migrate:unlock")


def test_what_fails_on_production_alone(rig: Rig, project: Project) -> None:
    story = rig.story()
    project.write(
        "1_unique",
        "CREATE TABLE notes (id int)",
        "CREATE UNIQUE INDEX customer_name ON customer (name)",
    )
    prove(story, project)
    story.production.fetch("UPDATE customer SET name = 'c1' WHERE id = 2 RETURNING id")
    done = project.run(story.production, "migrate:latest", fails=True)
    assert "could not create unique index" in told(done)
    assert story.ends() == {"1_unique.js": ["rolled back"]}
    story.production.fetch("UPDATE customer SET name = 'c2' WHERE id = 2 RETURNING id")
    project.run(story.production, "migrate:latest")
    assert content(story.production, *HISTORY) == content(story.staging, *HISTORY)
    assert story.ends() == {"1_unique.js": ["rolled back", "committed"]}
