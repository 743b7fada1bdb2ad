"""`pgwarden migration rollback-plan` on a real server: each way back is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from proxy.cli.migration_rollback import plan_rollback
from tests.unit.migrations.test_folder import lay
from tests.unit.migrations.test_folder_asked import FIRST, SECOND, project

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.postgres import Cluster

pytestmark = pytest.mark.postgres
app = typer.Typer()
app.command()(plan_rollback)
RUN = CliRunner()

USERS = """
CREATE TABLE "User" (id serial PRIMARY KEY, email varchar(50) NOT NULL, n int);
CREATE TYPE role AS ENUM ('a', 'b');
CREATE UNIQUE INDEX "User_email" ON "User" (email);
"""


@pytest.fixture(name="plan")
def plan_fixture(postgres17: Cluster, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command against the cluster; exit status and migrations by name."""
    monkeypatch.setenv("SCRATCH_URL", postgres17.dsn())

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        ran = RUN.invoke(app, ["--json", "--dsn-env", "SCRATCH_URL", *words])
        assert ran.exit_code in {0, 1}, ran.output
        found = json.loads(ran.stdout)["migrations"]
        return ran.exit_code, {each["file"].split("/")[-2]: each for each in found}

    return run


def databases(cluster: Cluster) -> set[str]:
    with psycopg.connect(cluster.dsn()) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_what_is_derived_holds(plan: Any, postgres17: Cluster, tmp_path: Path) -> None:
    before = databases(postgres17)
    lay(
        tmp_path,
        {
            "m/1_a/migration.sql": USERS,
            "m/2_b/migration.sql": 'ALTER TABLE "User" ADD r role NOT NULL DEFAULT '
            "'a', ALTER email TYPE text, ADD CONSTRAINT c CHECK (n > 0);"
            'ALTER TABLE "User" RENAME email TO mail;'
            "CREATE FUNCTION f(x int, y text[]) RETURNS int LANGUAGE sql"
            " AS 'select 1'; CREATE VIEW v AS SELECT mail FROM \"User\";"
            'CREATE POLICY p ON "User" USING (true);'
            'ALTER TABLE "User" ENABLE ROW LEVEL SECURITY;',
            "m/3_c/migration.sql": 'CREATE INDEX CONCURRENTLY i ON "User" (mail);',
            "m/4_d/migration.sql": "ALTER TYPE role RENAME VALUE 'a' TO 'z';"
            'ALTER TABLE "User" RENAME TO users;',
            "m/5_e/migration.sql": "DROP VIEW v;",
            "m/6_f/migration.sql": "CREATE TABLE later (a int);",
        },
    )
    status, found = plan(str(tmp_path / "m"), "--output", str(tmp_path / "out"))
    assert status == 1
    for name in ("1_a", "2_b", "3_c", "4_d", "6_f"):
        assert found[name]["source"] == "derived"
        assert found[name]["proof"] == {"holds": True, "trouble": ""}, name
        assert (tmp_path / "out" / f"{name}.down.sql").read_text() == (
            found[name]["script"]
        )
    assert found["2_b"]["loses"] == ['the values of "User"."r"']
    assert (found["5_e"]["source"], found["5_e"]["proof"]) == ("none", None)
    assert not (tmp_path / "out/5_e.down.sql").exists()
    assert databases(postgres17) == before


def test_what_does_not_hold_is_found(plan: Any, tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "1_a/migration.sql": USERS,
            # The tool's own scripts: one forgets, one fails, one is right.
            "2_b/migration.sql": "CREATE TABLE a (x int); CREATE TABLE b (x int);",
            "2_b/down.sql": "DROP TABLE a;",
            "3_c/migration.sql": "CREATE TABLE c (x int);",
            "3_c/down.sql": "DROP TABLE d;",
            "4_d/migration.sql": 'ALTER TABLE "User" DROP COLUMN n;',
            "4_d/down.sql": 'ALTER TABLE "User" ADD COLUMN n int;',
            # A setting of the migration's own session does not help the way back.
            "6_f/migration.sql": "CREATE SCHEMA s; SET search_path TO s; "
            "CREATE TABLE x (a int);",
            "6_f/down.sql": "DROP TABLE x; DROP SCHEMA s;",
            # It was NOT NULL before: what is derived is wrong, and is found out.
            "5_e/migration.sql": 'ALTER TABLE "User" ALTER email SET NOT NULL;',
        },
    )
    status, found = plan(str(tmp_path))
    assert status == 1
    trouble = {name: each["proof"]["trouble"] for name, each in found.items()}
    assert trouble["1_a"] == trouble["4_d"] == ""
    assert trouble["2_b"].startswith("the schema is not what it was: +CREATE TABLE")
    assert "does not run" in trouble["3_c"]
    assert "does not run" in trouble["6_f"]
    assert trouble["5_e"].startswith("the schema is not what it was")
    assert found["4_d"]["loses"]


def test_alembic_is_asked_and_its_own_ways_back_are_tried(
    plan: Any, tmp_path: Path
) -> None:
    right = SECOND.replace(
        'raise NotImplementedError("the values are gone")',
        'op.execute("ALTER TABLE users ADD a text")',
    )
    versions, command = project(tmp_path / "right", first=FIRST, second=right)
    status, found = plan(str(versions), "--ask", command)
    assert status == 0
    assert found["versions"]["source"] == "own"
    forgetful = right.replace("ADD a text", "ADD b text")
    versions, command = project(tmp_path / "wrong", first=FIRST, second=forgetful)
    status, found = plan(str(versions), "--ask", command)
    assert status == 1
    assert "the schema is not what it was" in found["versions"]["proof"]["trouble"]


def test_what_does_not_run_ends_the_trial(plan: Any, tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "1_a/migration.sql": "CREATE TABLE a (x int); SELECT 1/0;",
            "2_b/migration.sql": "CREATE TABLE b (x int);",
        },
    )
    status, found = plan(str(tmp_path))
    assert status == 1
    assert "division by zero" in found["1_a"]["proof"]["trouble"]
    assert found["2_b"]["proof"] is None


@pytest.mark.parametrize("is_down", [False, True])
def test_what_reaches_beyond_its_database_is_not_run(
    plan: Any, postgres17: Cluster, tmp_path: Path, is_down: bool
) -> None:
    before = databases(postgres17)
    text = "CREATE DATABASE pgwarden_other"
    lay(tmp_path, {"1_a/migration.sql": "SELECT 1" if is_down else text})
    if is_down:
        lay(tmp_path, {"1_a/down.sql": text})
    status, found = plan(str(tmp_path))
    assert status == 1
    assert "it was not run: " in found["1_a"]["proof"]["trouble"]
    assert databases(postgres17) == before


def test_a_url_can_not_lead_elsewhere(
    plan: Any, postgres17: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq takes a database in the query over the one in the path."""
    monkeypatch.setenv("SCRATCH_URL", f"{postgres17.dsn()}?dbname=postgres")
    lay(tmp_path, {"1_a/migration.sql": "CREATE TABLE stray (x int);"})
    status, found = plan(str(tmp_path))
    assert (status, found["1_a"]["proof"]["holds"]) == (0, True)
    with psycopg.connect(postgres17.dsn()) as connection:
        (stray,) = connection.execute("SELECT to_regclass('stray')").fetchone() or ()
    assert stray is None


def test_without_a_url_it_brings_its_own_server(tmp_path: Path) -> None:
    lay(tmp_path, {"1_a/migration.sql": USERS})
    ran = RUN.invoke(app, [str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    assert "tried: up, down, the schema is what it was" in ran.stdout
    assert 'loses the rows of "User"' in ran.stdout
    assert "1 of 1 migration can be taken back, tried" in ran.stdout


def test_a_server_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {"1_a/migration.sql": "SELECT 1"})
    for url, why in (
        ("", "is not set"),
        ("postgresql://x:secret@127.0.0.1:1/x", "can't be reached"),
        ("nonsense", "can't be reached"),
    ):
        monkeypatch.setenv("SCRATCH_URL", url)
        ran = RUN.invoke(app, ["--dsn-env", "SCRATCH_URL", str(tmp_path)])
        assert ran.exit_code == 2, ran.output
        assert why in ran.stderr
        assert "secret" not in ran.stderr
