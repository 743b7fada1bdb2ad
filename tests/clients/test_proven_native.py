"""Prisma's two engines send one file in two shapes, and one proof fits both.

Next: `tests.clients.native_engine`, `tests.clients.test_proven_prisma`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from tests.clients.native_engine import NativeEngine
from tests.clients.proven_rig import Rig, content
from tests.clients.test_proven_prisma import (
    BEGUN,
    DROPPED,
    FILES,
    FILLED,
    HISTORY,
    INDEXED,
    NOTES,
    Migrations,
    applied,
)
from tests.integration.proving import START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.proven_rig import Story
    from tests.fix_postgres import Clusters
    from tests.integration.proving import Side

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

FUNCTION = "20240105000000_function"
WITH_CODE = {
    **FILES,
    FUNCTION: (
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN NEW.body := upper(NEW.body); RETURN NEW; END;\n$$;\n"
        "CREATE TRIGGER shout BEFORE INSERT ON notes\n"
        "    FOR EACH ROW EXECUTE FUNCTION shout();\n"
        "INSERT INTO notes (body) VALUES ('one;'), ('two');\n"
    ),
}


@pytest.fixture(scope="module")
def rig(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(
        tmp_path_factory.mktemp("native"), clusters, name="native", majors=(17, 17)
    )
    yield made
    made.stop()


@pytest.fixture
def story(rig: Rig) -> Story:
    return rig.story(START + BEGUN)


def deploy(side: Side, files: dict[str, str]) -> str:
    with NativeEngine(side) as engine:
        return engine.deploy(files)


def prove(story: Story, files: dict[str, str]) -> list[str]:
    assert not deploy(story.staging, files)
    found = story.recorded()
    story.approve(*found.values())
    return list(found)


def test_native_after_native(story: Story) -> None:
    """Also what the other engine can't run: a body with semicolons of its own."""
    assert prove(story, WITH_CODE) == list(WITH_CODE)
    assert not deploy(story.production, WITH_CODE)
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert set(applied(story.production)) == set(WITH_CODE)
    assert story.production.fetch("SELECT body FROM notes ORDER BY id") == [
        ("ONE;",), ("TWO",),
    ]  # fmt: skip
    assert story.ends() == {name: ["committed"] for name in WITH_CODE}
    assert not story.drifts()


@pytest.mark.client("prisma")
def test_native_after_js(story: Story, tmp_path: Path, node_modules: Path) -> None:
    migrations = Migrations(tmp_path, node_modules)
    for name, text in FILES.items():
        migrations.write(name, text)
    migrations.run(story.staging, "migrate deploy")
    story.approve(*story.recorded().values())
    assert not deploy(story.production, FILES)
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert story.ends() == {name: ["committed"] for name in FILES}


@pytest.mark.client("prisma")
def test_js_after_native(story: Story, tmp_path: Path, node_modules: Path) -> None:
    migrations = Migrations(tmp_path, node_modules)
    for name, text in FILES.items():
        migrations.write(name, text)
    prove(story, FILES)
    migrations.run(story.production, "migrate deploy")
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert story.ends() == {name: ["committed"] for name in FILES}


def test_another_file_under_a_proven_checksum(story: Story) -> None:
    """The row says what was proven, and another script follows: it shows where."""
    prove(story, {FILLED: FILES[FILLED]})
    before = content(story.production, HISTORY)
    edited = FILES[FILLED].replace("<= 10", "<= 90")

    class Lying(NativeEngine):
        @override
        def query(self, text: str) -> str:
            return super().query(edited if text == FILES[FILLED] else text)

    with Lying(story.production) as engine:
        why = engine.deploy({FILLED: FILES[FILLED]})
    assert f'statement 2 of 4 of migration "{FILLED}" is not the proven one' in why
    assert '"id" <= 90' in why
    assert '"id" <= 10' in why
    assert content(story.production, HISTORY) == before
    assert not applied(story.production)
    assert story.ends() == {FILLED: ["rolled back"]}


def test_more_behind_what_was_proven(story: Story) -> None:
    """In the same Query, whose first part is proven to the byte."""
    prove(story, {NOTES: FILES[NOTES]})
    before = content(story.production, HISTORY)

    class Adding(NativeEngine):
        @override
        def query(self, text: str) -> str:
            more = FILES[DROPPED] if text == FILES[NOTES] else ""
            return super().query(text + more)

    with Adding(story.production) as engine:
        why = engine.deploy({NOTES: FILES[NOTES]})
    assert f'all 2 statements of migration "{NOTES}" have run' in why
    assert content(story.production, HISTORY) == before


def test_a_file_that_fails_is_rolled_back_whole(story: Story) -> None:
    """One Query is one transaction, and the proof stays good for another run."""
    text = FILES[NOTES] + 'CREATE UNIQUE INDEX "twice" ON "customer"("name");\n'
    prove(story, {NOTES: text})
    story.production.fetch("UPDATE customer SET name = 'c1' WHERE id = 2 RETURNING id")
    before = content(story.production, HISTORY)
    why = deploy(story.production, {NOTES: text})
    assert "could not create unique index" in why
    assert content(story.production, HISTORY) == before
    assert story.ends() == {NOTES: ["rolled back"]}

    story.production.fetch("UPDATE customer SET name = 'c2' WHERE id = 2 RETURNING id")
    assert not deploy(story.production, {NOTES: text})
    assert content(story.production, HISTORY) == content(story.staging, HISTORY)
    assert story.ends() == {NOTES: ["rolled back", "committed"]}


def test_unproven_and_edited(story: Story) -> None:
    before = content(story.production)
    why = deploy(story.production, FILES)
    assert f'migration "{NOTES}" was not proven on staging' in why
    prove(story, {INDEXED: FILES[INDEXED]})
    edited = FILES[INDEXED].replace(" CONCURRENTLY", "")
    why = deploy(story.production, {INDEXED: edited})
    assert f'migration "{INDEXED}" was changed since it was proven' in why
    assert content(story.production) == before
