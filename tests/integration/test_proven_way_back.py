"""The way back of a proven migration: tried, signed, told behind production's run."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner

from proxy.cli.migration import migration_app
from tests.fix_proxy import Proxies
from tests.integration.proving import Guards, Pair, Side
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters

pytestmark = pytest.mark.timeout(180)

ACCOUNT = "CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL)"
ADDS = "ALTER TABLE account ADD COLUMN \"note\" text DEFAULT E'a\\tb'"
DROPS = "ALTER TABLE account DROP COLUMN name"
SIGN = "select quote_ident(unnest(ARRAY['public', 'schema_migrations']))"
"""By which dbmate shows itself, before it uses its table."""
HISTORY = "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)"
FOLDER = {
    "db/1_account.sql": f"-- migrate:up\n{ACCOUNT};\n",
    "db/2_note.sql": f"-- migrate:up\n{ADDS};\n",
    "db/3_drop.sql": f"-- migrate:up\n{DROPS};\n",
}
COLUMNS = (
    "SELECT column_name FROM information_schema.columns "
    "WHERE table_name = 'account' ORDER BY 1"
)


def migrate(side: Side, body: str, version: str) -> list[str]:
    """One migration as dbmate runs it; pgwarden's notices."""
    told: list[str] = []
    row = f"INSERT INTO schema_migrations (version) VALUES ('{version}')"
    with psycopg.connect(side.dsn, autocommit=True) as session:
        session.add_notice_handler(lambda n: told.append(n.message_primary or ""))
        for text in (SIGN, "BEGIN", body, row, "COMMIT"):
            session.execute(text.encode())
    return told


def committed(side: Side) -> list[str]:
    """The way back in each line of history of a run that was committed."""
    return [
        detail["way_back"]
        for action, detail in side.history()
        if action == "migration.committed" and detail["database"] == side.database
    ]


def psql(side: Side, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run psql past pgwarden, as whoever takes a migration back."""
    dsn = side.cluster.dsn(side.database)
    return subprocess.run(
        [str(side.cluster.bin_dir / "psql"), "-X", "-d", dsn,
         "-v", "ON_ERROR_STOP=1", *words],
        input=given, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PGCONNECT_TIMEOUT": "10"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def guards(
    tmp_path_factory: pytest.TempPathFactory, clusters: Clusters
) -> Iterator[Guards]:
    proxies = Proxies(clusters)
    cluster = clusters.get(17)
    folder = tmp_path_factory.mktemp("back")
    password = folder / "password"
    password.write_text(cluster.password)
    password.chmod(0o600)
    restore = {"user": cluster.superuser, "password_file": str(password)}
    gates = {"restore_point_login": "restore"}
    asking = {
        "migrations": {"way_back": "required"},
        "upstream": {"logins": {"restore": restore}},
    }
    yield Guards(folder, cluster, cluster, proxies.start, gates=gates, more=asking)
    proxies.stop()


@pytest.fixture
def both(guards: Guards) -> Pair:
    both = guards.fresh(f"{ACCOUNT}; {HISTORY}")
    for side in (both.staging, both.production):
        side.execute("INSERT INTO account VALUES (1, 'ana')")
    return both


@pytest.fixture
def plan(tmp_path: Path, postgres17: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plan of the folder, tried on a real server; one of the three has no way."""
    lay(tmp_path, FOLDER)
    monkeypatch.setenv("SCRATCH_URL", postgres17.dsn())
    words = ["rollback-plan", str(tmp_path / "db"), "--dsn-env", "SCRATCH_URL"]
    ran = CliRunner().invoke(migration_app, [*words, "--json"])
    assert ran.exit_code == 1, ran.output
    (tmp_path / "plan.json").write_text(ran.stdout)
    return str(tmp_path / "plan.json")


def approve(both: Pair, *words: str, code: int = 0) -> str:
    """Approve the one proof there is, and bring it over; its id."""
    (proof,) = (each["id"] for each in both.listed())
    both.staging.pgwarden(
        "migration", "approve", proof, "--by", "ci", "--yes", *words, code=code
    )
    both.carry()
    return str(proof)


def test_it_is_told_behind_the_run_and_leads_back(both: Pair, plan: str) -> None:
    before = both.production.fetch(COLUMNS)
    migrate(both.staging, ADDS, "2")
    proof = approve(both, "--way-back", plan)
    told = migrate(both.production, ADDS, "2")
    way = f"pgwarden migration show {proof[:12]} --way-back"
    assert f'migration "2" is applied; way back: {way}' in told
    assert committed(both.production) == [way]
    assert both.production.fetch(COLUMNS) != before
    script = both.production.pgwarden("migration", "show", proof[:12], "--way-back")
    done = psql(both.production, "-c", script)
    assert done.returncode == 0, done.stderr
    assert both.production.fetch(COLUMNS) == before
    assert both.production.fetch("SELECT name FROM account") == [("ana",)]


def test_one_that_can_t_be_reversed_says_where_to_restore_to(
    both: Pair, plan: str
) -> None:
    migrate(both.staging, DROPS, "3")
    approve(both, "--way-back", plan, code=2)
    with pytest.raises(psycopg.Error, match="nobody has said how to take it back"):
        migrate(both.production, DROPS, "3")
    assert both.production.fetch(COLUMNS) == [("id",), ("name",)]
    approve(both, "--no-way-back")
    told = migrate(both.production, DROPS, "3")
    (applied,) = (each for each in told if "is applied" in each)
    way = applied.partition("way back: ")[2]
    assert committed(both.production) == [way]
    point = re.fullmatch(r'restore to restore point "(\S+)" at \S+', way)
    assert point
    log = both.production.cluster.log_path.read_text()
    assert f'restore point "{point[1]}" created' in log


def test_what_is_rolled_back_is_not_called_applied(both: Pair, plan: str) -> None:
    migrate(both.staging, ADDS, "2")
    approve(both, "--way-back", plan)
    told: list[str] = []
    with psycopg.connect(both.production.dsn, autocommit=True) as session:
        session.add_notice_handler(lambda n: told.append(n.message_primary or ""))
        for text in (SIGN, "BEGIN", ADDS, "ROLLBACK"):
            session.execute(text.encode())
    assert told
    assert not [each for each in told if "is applied" in each]
    assert committed(both.production) == []


def test_why_some_scripts_are_not_taken(both: Pair) -> None:
    """The server reads these in one way, and a psql that is given them in another."""
    hidden = "SELECT 'a\\', ' \\! echo taken\n'"
    assert "taken" in psql(
        both.production, given=f"SET standard_conforming_strings = off;\n{hidden};"
    ).stdout.split("\n")
    assert "taken" not in psql(both.production, given=hidden).stdout.split("\n")
    psql(both.production, given="COPY account FROM STDIN;\nDROP TABLE account;")
    assert both.production.fetch("SELECT name FROM account") == [("ana",)]
