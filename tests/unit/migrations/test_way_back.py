"""What is taken out of a plan, and each plan that is not believed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import json, to_builtins

from proxy.errors import ConfigError
from proxy.migrations.check_proven import Known
from proxy.migrations.folder import read_folder
from proxy.migrations.proof import proven_statement
from proxy.migrations.rollback import plan
from proxy.migrations.standing import standing
from proxy.migrations.statement import Sent
from proxy.migrations.way_back import MAX_SCRIPT, read_plan, taken
from tests.unit.migrations.made import NOW, entry, trust
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

UP = "CREATE TABLE t (a int);\n-- and more\nCREATE INDEX i ON t (a);\n"
CONCURRENT = "ALTER TABLE u ADD n int; -- one\nCREATE INDEX CONCURRENTLY j ON u (n);"
NAME = "20261101_add"
HELD = {"holds": True, "trouble": ""}


def known(text: str = UP, *, tool: str = "prisma", **changed: Any) -> Known:
    """A proof of a file."""
    now = datetime.now(UTC)
    statements = tuple(
        proven_statement(Sent(each.strip().encode()), now, message=number)
        for number, each in enumerate(text.split(";")[:-1], 1)
    )
    checksum = hashlib.sha256(text.encode()).hexdigest() if tool == "prisma" else ""
    values = {"statements": statements, "checksum": checksum, "tool": tool, **changed}
    found = entry(**values)
    its = standing(found, trust(), NOW)
    assert its.proof is not None
    return Known(found.signed.id[:12], its.proof, its)


def written(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """A plan of these files as the command writes it, each of which held."""
    lay(folder / "m", files)
    migrations, _ = read_folder([folder / "m"])
    ways = [{**to_builtins(each), "proof": HELD} for each in plan(migrations)]
    return {"tried": True, "migrations": ways}


def given(folder: Path, content: object) -> Any:
    path = folder / "plan.json"
    path.write_bytes(content if isinstance(content, bytes) else json.encode(content))
    return read_plan(path)


def refused(folder: Path, content: object, proof: Known | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        taken(given(folder, content), proof or known())
    return caught.value.message


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    files = {"1_first/migration.sql": "SELECT 1", f"{NAME}/migration.sql": UP}
    return written(tmp_path, files)


def test_the_way_back_of_just_this_migration(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    found = taken(given(tmp_path, made), known())
    assert found.script == 'DROP INDEX "i";\nDROP TABLE "t";\n'
    assert found.loses == ('the rows of "t"',)


def test_statements_that_stand_alone_are_put_together_again(tmp_path: Path) -> None:
    made = written(tmp_path, {"3_x.up.sql": CONCURRENT})
    proof = known(CONCURRENT, tool="golang-migrate", name="3")
    script = taken(given(tmp_path, made), proof).script
    assert script.startswith('DROP INDEX CONCURRENTLY "j"')
    other = known(CONCURRENT.replace("n int", "m int"), tool="golang-migrate", name="3")
    assert "statement 1 of 2 is not" in refused(tmp_path, made, other)


def test_a_script_without_a_name_is_known_by_its_statements(tmp_path: Path) -> None:
    made = written(tmp_path, {"a.sql": UP, "b.sql": "SELECT 1"})
    assert taken(given(tmp_path, made), known(tool="psql", name="deploy")).script
    twice = written(tmp_path / "2", {"a.sql": UP, "c.sql": UP})
    assert "2 times" in refused(tmp_path, twice, known(tool="psql", name="deploy"))


def test_no_plan_of_another_migration(tmp_path: Path, made: dict[str, Any]) -> None:
    assert "nowhere" in refused(tmp_path, made, known(name="other"))
    assert "nowhere" in refused(tmp_path, made, known(tool="drizzle"))
    made["migrations"] *= 2
    assert "2 times" in refused(tmp_path, made)


def test_no_plan_of_a_file_that_was_changed(tmp_path: Path) -> None:
    for text, why in (
        (UP.replace("a int", "a bigint"), "statement 1 of 2 is not the proven one"),
        (UP + "DROP TABLE u;", "more than the 2 statements"),
        (UP.replace("and more", "and less"), "its checksum is not"),
    ):
        made = written(tmp_path / why[:11], {f"{NAME}/migration.sql": text})
        assert why in refused(tmp_path, made)


def test_no_plan_that_was_not_tried(tmp_path: Path, made: dict[str, Any]) -> None:
    way = made["migrations"][1]
    assert way["name"] == NAME
    way["proof"] = {"holds": False, "trouble": "the schema is not what it was: + x"}
    assert "did not hold: the schema is not" in refused(tmp_path, made)
    way["proof"] = None
    assert "was not tried" in refused(tmp_path, made)
    del way["proof"]
    assert "was not tried" in refused(tmp_path, made)
    assert "nothing of this plan was tried" in refused(
        tmp_path, {**made, "tried": False}
    )


def test_what_can_t_be_reversed_has_to_be_said(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    why = [[1, "what it takes away is not in the text"]]
    made["migrations"][1] |= {"source": "none", "script": "", "why_not": why}
    assert "can't be reversed: line 1: what it takes away" in refused(tmp_path, made)


@pytest.mark.parametrize(
    "script",
    [
        "\\! touch /tmp/x",
        "DROP TABLE t;\n\\! touch /tmp/x\n",
        "DROP TABLE t;\0\\! touch /tmp/x",
        "COPY t FROM STDIN;\nDROP TABLE t;",
        # With standard_conforming_strings off, psql sees no string around this.
        "SET standard_conforming_strings = off; SELECT 'a\\', ' \\! touch /tmp/x '",
        "SELECT set_config('standard_' || 'conforming_strings', 'off', false);"
        "SELECT 'a\\', ' \\! touch /tmp/x '",
        "DROP ROLE app",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "DROP DATABASE shop",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'",
        "CREATE USER MAPPING FOR app SERVER s OPTIONS (password 'hidden')",
        "DROP TABL t",
        f"SELECT '{'x' * MAX_SCRIPT}'",
    ],
)
def test_no_script_that_does_something_else_in_psql_or_beyond_its_database(
    tmp_path: Path, made: dict[str, Any], script: str
) -> None:
    made["migrations"][1] |= {"source": "own", "script": script}
    assert "is not taken" in refused(tmp_path, made)


def test_a_script_with_a_backslash_in_a_string_is_taken(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    script = "UPDATE t SET a = E'\\n'; -- \\! in a comment\nDROP TABLE t"
    made["migrations"][1] |= {"source": "own", "script": script}
    assert taken(given(tmp_path, made), known()).script == script


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"tried": true}',
        b'{"tried": 1, "migrations": []}',
        b'{"tried": true, "migrations": [{"file": "x", "source": "magic"}]}',
        b'{"tried": true, "migrations": [{"file": "\\ud800", "source": "own"}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_plan(tmp_path: Path, text: bytes) -> None:
    assert "it is no plan" in refused(tmp_path, text)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")
