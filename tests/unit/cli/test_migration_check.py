"""`pgwarden migration check`: tools, forms of output, waivers, new files only."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.testing import CliRunner

from proxy.cli.migration_check import check_migrations
from proxy.shipped import policy_path
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(check_migrations)
RUN = CliRunner()

FINE = 'CREATE TABLE "User" (id bigint PRIMARY KEY, name varchar(50));\n'
DROP = '-- tidy\nALTER TABLE "Order"\n  DROP COLUMN name;\n'


def found(*words: str, status: int = 1) -> list[dict[str, Any]]:
    """The findings of a check without Squawk."""
    ran = RUN.invoke(app, ["--no-squawk", "--json", *words])
    assert ran.exit_code == status, ran.output
    findings = json.loads(ran.stdout)["findings"]
    assert isinstance(findings, list)
    return findings


def rules(*words: str, status: int = 1) -> list[tuple[int, str]]:
    return [(each["line"], each["rule"]) for each in found(*words, status=status)]


def test_exit_status_and_lines(tmp_path: Path) -> None:
    lay(tmp_path, {"1_a/migration.sql": FINE})
    assert rules(str(tmp_path), status=0) == []
    lay(tmp_path, {"2_b/migration.sql": FINE + DROP})
    assert rules(str(tmp_path)) == [
        (3, "policy/migrator.drop-column"),
        (3, "drop-column"),
        (3, "no-way-back"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere"],
        [],
        ["."],  # nothing is there: a slip of the pen must not pass
        [".", "--policy", "nowhere.yaml"],
        [".", "--role", "nobody"],
        [".", "--format", "pdf"],
        [".", "--ask", "' "],
        [".", "--since", "HEAD"],
    ],
)
def test_wrong_usage(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ran = RUN.invoke(app, ["--no-squawk", *words])
    assert ran.exit_code == 2, ran.output


def test_people_see_each_statement_once(tmp_path: Path) -> None:
    lay(tmp_path, {"1_a/migration.sql": FINE + DROP})
    ran = RUN.invoke(app, ["--no-squawk", str(tmp_path)])
    assert ran.exit_code == 1
    assert ran.stdout.count('ALTER TABLE "Order" DROP COLUMN name') == 1
    assert "drops a column and its values" in ran.stdout
    assert "1 migration (prisma), 2 statements: 2 errors, 1 note" in ran.stdout


def test_the_level_that_fails(tmp_path: Path) -> None:
    lay(tmp_path, {"1.sql": 'ALTER TABLE "User" RENAME name TO label;'})
    assert rules(str(tmp_path)) == [(1, "rename")]
    assert rules(str(tmp_path), "--fail-on", "error", status=0) == [(1, "rename")]


def test_the_policy_and_role_that_decide(tmp_path: Path) -> None:
    lay(tmp_path, {"1.sql": "CREATE TABLE t (a int);"})
    assert rules(str(tmp_path), status=0) == []
    assert rules(str(tmp_path), "--role", "developer") == [
        (1, "policy/developer.schema")
    ]


# --- what can't be read ------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 1;\n\\i other.sql\n", 2),
        ("CREATE TABLE ${schema}.t (a int);\n", 1),
        ("SELECT 1;\nSELECT ,;\nDROP TABLE t;\n", 2),
        ("SELECT '\0';\n", 1),
    ],
)
def test_what_is_not_understood_fails(tmp_path: Path, text: str, line: int) -> None:
    lay(tmp_path, {"1.sql": text})
    assert [rule for _, rule in rules(str(tmp_path))] == ["not-understood"]
    if "\0" not in text:
        assert rules(str(tmp_path))[0][0] == line


def test_a_program_that_nobody_read_fails(tmp_path: Path) -> None:
    lay(tmp_path, {"1.js": "exports.up = (knex) => knex.schema.dropTable('t')"})
    assert rules(str(tmp_path)) == [(1, "unread")]


def test_an_unknown_prepared_statement_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"1.sql": "CREATE TABLE t (a int);\nEXECUTE p;"})
    assert [rule for _, rule in rules(str(tmp_path))] == [
        "policy/session.unknown-prepared-statement"
    ]


# --- waivers -----------------------------------------------------------------


def test_a_waiver_covers_its_statement_alone(tmp_path: Path) -> None:
    words = "drop-column, policy/migrator.drop-column"
    good = f"-- pgwarden: allow {words} until {_soon()}: agreed\n"
    lay(tmp_path, {"1.sql": FINE + good + DROP})
    waived = found(str(tmp_path), status=0)
    assert [bool(each["waived"]) for each in waived] == [True, True, False]
    lay(tmp_path, {"1.sql": FINE + good + DROP + DROP})
    assert [bool(each["waived"]) for each in found(str(tmp_path))][3:] == [False] * 3


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.mark.parametrize(
    "text",
    [
        # Behind the statement before, it speaks of that one.
        "SELECT 1; {}TRUNCATE t;",
        # In a string it is no comment.
        "SELECT '\n{}';\nTRUNCATE t;",
        "SELECT $$\n{}$$;\nTRUNCATE t;",
        'SELECT 1 AS "\n{}";\nTRUNCATE t;',
        # Above another statement.
        "{}SELECT 1;\nTRUNCATE t;",
        # Inside the statement.
        "TRUNCATE\n{} t;",
    ],
)
def test_a_waiver_elsewhere_does_not_count(tmp_path: Path, text: str) -> None:
    waiver = f"-- pgwarden: allow truncate until {_soon()}: agreed\n"
    lay(tmp_path, {"1.sql": text.format(waiver)})
    (truncate,) = [e for e in found(str(tmp_path)) if e["rule"] == "truncate"]
    assert not truncate["waived"]


def test_a_waiver_behind_its_statement(tmp_path: Path) -> None:
    words = "truncate, policy/migrator.truncate"
    text = f"TRUNCATE t; -- pgwarden: allow {words} until {_soon()}: agreed\nSELECT 1;"
    lay(tmp_path, {"1.sql": text})
    assert len(found(str(tmp_path), status=0)) == 3


def test_a_waiver_in_the_policy(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        policy_path("production").read_text()
        + "\nmigration_checks:\n  waive:\n"
        + "".join(
            f'    - {{finding: "{finding}", files: "m/*.sql", until: {_soon()}, '
            "reason: agreed}\n"
            for finding in ("drop-column", "policy/*")
        )
    )
    lay(tmp_path, {"m/1.sql": DROP, "other/1.sql": DROP})
    words = ["--policy", str(policy)]
    assert len(found(str(tmp_path / "m"), *words, status=0)) == 3
    assert len(found(str(tmp_path / "other"), *words)) == 3


# --- only what is new --------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_since_a_commit(tmp_path: Path) -> None:
    lay(tmp_path, {"m/1_a/migration.sql": FINE + DROP, "m/2_b/migration.sql": FINE})
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    since = ["--since", "main"]
    assert rules(str(tmp_path), *since, status=0) == []
    git(tmp_path, "checkout", "-qb", "feature")
    lay(tmp_path, {"m/3_c/migration.sql": "TRUNCATE t;"})  # not even added
    assert {rule for _, rule in rules(str(tmp_path), *since)} >= {"truncate"}
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "second")
    assert {rule for _, rule in rules(str(tmp_path), *since)} >= {"truncate"}
    # What stood there already must not read otherwise.
    lay(tmp_path, {"m/3_c/migration.sql": FINE, "m/2_b/migration.sql": FINE + "--\n"})
    assert rules(str(tmp_path), *since) == [(1, "edited")]


def test_a_commit_that_is_none(tmp_path: Path) -> None:
    lay(tmp_path, {"1.sql": FINE})
    git(tmp_path, "init", "-q")
    for ref in ("nowhere", "--output=/x", "-h"):
        ran = RUN.invoke(app, ["--no-squawk", f"--since={ref}", str(tmp_path)])
        assert ran.exit_code == 2, ran.output
        assert "git merge-base" in ran.stderr


def test_a_single_file_knows_its_neighbours(tmp_path: Path) -> None:
    wider = 'ALTER TABLE "User" ALTER name TYPE varchar(100);'
    lay(tmp_path, {"1_a/migration.sql": FINE, "2_b/migration.sql": wider})
    named = [rule for _, rule in rules(str(tmp_path / "2_b/migration.sql"))]
    assert "change-type" in named
    (tmp_path / "1_a/migration.sql").unlink()
    named = [rule for _, rule in rules(str(tmp_path / "2_b/migration.sql"))]
    assert "narrow-type" in named


# --- for machines ------------------------------------------------------------


def test_sarif_and_junit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, {"m/1.sql": FINE, "m/2.sql": DROP})
    monkeypatch.chdir(tmp_path)
    ran = RUN.invoke(app, ["--no-squawk", "--format", "sarif", str(tmp_path / "m")])
    assert ran.exit_code == 1
    (run,) = json.loads(ran.stdout)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "m/2.sql"
    assert place["region"] == {"startLine": 2}
    ran = RUN.invoke(app, ["--no-squawk", "--format", "junit", "m"])
    assert ran.exit_code == 1
    suite = ET.fromstring(ran.stdout.encode()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
