"""Squawk itself: what locks for long, by tool, and what happens without it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from proxy.cli import migration_check
from proxy.cli.migration_check import check_migrations
from proxy.errors import ConfigError
from proxy.migrations.check_squawk import RULES, ask_squawk, squawk_path
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(check_migrations)
RUN = CliRunner()


@pytest.fixture(scope="module")
def squawk() -> str:
    path = squawk_path()
    assert path is not None, "squawk-cli is not installed: make setup"
    return path


def test_its_rules_are_called_as_we_call_them(squawk: str, tmp_path: Path) -> None:
    """It refuses a rule that it does not know."""
    (tmp_path / "a.sql").write_text("SELECT 1;")
    for rule, status in [*((rule, 0) for rule in RULES), ("no-such-rule", 2)]:
        command = [squawk, "--exclude", rule, str(tmp_path / "a.sql")]
        ran = subprocess.run(command, capture_output=True, check=False)
        assert ran.returncode == status, rule


@pytest.mark.parametrize(
    ("sql", "is_inside", "rule"),
    [
        ("CREATE INDEX i ON t (a);", False, "require-concurrent-index-creation"),
        ("DROP INDEX i;", False, "require-concurrent-index-deletion"),
        ("ALTER TABLE t ALTER a TYPE bigint;", False, "changing-column-type"),
        ("ALTER TABLE t ALTER a SET NOT NULL;", False, "adding-not-nullable-field"),
        (
            "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a);",
            False,
            "disallowed-unique-constraint",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (a);",
            False,
            "adding-foreign-key-constraint",
        ),
        (
            "SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a);",
            True,
            "ban-concurrent-index-creation-in-transaction",
        ),
    ],
)
def test_long_locks(squawk: str, sql: str, is_inside: bool, rule: str) -> None:
    texts = [(sql.encode(), is_inside), (b"SELECT 1", True)]
    said, nothing = ask_squawk(squawk, texts)
    assert rule in {each.rule_name for each in said}
    assert nothing == []


def test_without_a_transaction_an_index_may_be_made_concurrently(squawk: str) -> None:
    text = b"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);"
    assert ask_squawk(squawk, [(text, False)]) == [[]]


@pytest.mark.parametrize("program", ["/nowhere/squawk", "/bin/cat", "/bin/false"])
def test_a_program_that_is_none_is_told(program: str) -> None:
    with pytest.raises(ConfigError, match="squawk"):
        ask_squawk(program, [(b"SELECT 1", False)])


def found(folder: Path, status: int) -> list[tuple[int, str, bool]]:
    ran = RUN.invoke(app, ["--json", str(folder)])
    assert ran.exit_code == status, ran.output
    return [
        (each["line"], each["rule"], bool(each["waived"]))
        for each in json.loads(ran.stdout)["findings"]
    ]


INDEX = "squawk/require-concurrent-index-creation"
IN_TRANSACTION = "squawk/ban-concurrent-index-creation-in-transaction"


def test_findings_stand_at_their_statement_and_can_be_waived(
    squawk: str, tmp_path: Path
) -> None:
    text = "SELECT 1;\n{}CREATE INDEX i\n  ON t (a);\n"
    lay(tmp_path, {"1.sql": text.format("")})
    assert found(tmp_path, 1) == [(2, INDEX, False)]
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    waiver = f"-- pgwarden: allow {INDEX} until {soon}: the table is small\n"
    lay(tmp_path, {"1.sql": text.format(waiver)})
    assert found(tmp_path, 0) == [(3, INDEX, True)]


def test_the_transaction_of_the_tool_counts(squawk: str, tmp_path: Path) -> None:
    concurrently = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);\n"
    lay(tmp_path, {"1_a/migration.sql": concurrently})
    assert found(tmp_path, 0) == []  # Prisma sends one statement alone
    lay(tmp_path, {"1_a/migration.sql": f"SELECT 1;\n{concurrently}"})
    assert found(tmp_path, 1) == [(2, IN_TRANSACTION, False)]


def test_without_squawk_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_check, "squawk_path", lambda: None)
    lay(tmp_path, {"1.sql": "CREATE INDEX i ON t (a);"})
    ran = RUN.invoke(app, [str(tmp_path)])
    assert ran.exit_code == 0
    assert "squawk is not installed, so long locks were not looked for" in ran.stderr
    ran = RUN.invoke(app, ["--no-squawk", str(tmp_path)])
    assert "squawk" not in ran.stderr
