"""Alembic itself, asked for the SQL of a folder of its revisions."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from proxy.cli.migration_check import check_migrations
from proxy.errors import ConfigError
from proxy.migrations.folder import Unread, read_folder
from proxy.migrations.folder_asked import ask
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(check_migrations)
RUN = CliRunner()

ENV = """
from alembic import context
context.configure(dialect_name="postgresql", literal_binds=True)
with context.begin_transaction():
    context.run_migrations()
"""
FIRST = """
import sqlalchemy as sa
from alembic import op
revision = "b1"
down_revision = None
def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer), sa.Column("a", sa.Text))
def downgrade():
    op.drop_table("users")
"""
SECOND = """
from alembic import op
revision: str = "a2"
down_revision = "b1"
def upgrade():
    op.drop_column("users", "a")
def downgrade():
    raise NotImplementedError("the values are gone")
"""


def project(folder: Path, **versions: str) -> tuple[Path, str]:
    """A project of Alembic: the folder of its revisions, and how to ask it."""
    lay(
        folder,
        {
            "alembic.ini": f"[alembic]\nscript_location = {folder / 'db'}\n",
            "db/env.py": ENV,
            "db/script.py.mako": "",
            **{f"db/versions/{name}.py": text for name, text in versions.items()},
        },
    )
    words = [sys.executable, "-m", "alembic", "-c", str(folder / "alembic.ini")]
    return folder / "db/versions", shlex.join(words)


def test_alembic_says_its_sql_in_the_order_of_its_revisions(tmp_path: Path) -> None:
    versions, command = project(tmp_path, z_first=FIRST, a_second=SECOND)
    found, unread = read_folder([versions])
    assert not found
    migrations, rest = ask(command, unread)
    assert not rest
    assert [each.file.rsplit("/", 1)[1] for each in migrations] == [
        "z_first.py",
        "a_second.py",
    ]
    assert b"CREATE TABLE users" in migrations[0].up
    assert b"DROP COLUMN a" in migrations[1].up
    assert b"DROP COLUMN" not in migrations[0].up
    assert [each.down for each in migrations] == [None, None]  # the second has none


def test_each_way_back_is_found(tmp_path: Path) -> None:
    second = SECOND.replace('raise NotImplementedError("the values are gone")', "pass")
    versions, command = project(tmp_path, first=FIRST, second=second)
    migrations, _ = ask(command, read_folder([versions])[1])
    assert migrations[0].down is not None
    assert b"DROP TABLE users" in migrations[0].down


def test_findings_name_the_file_and_say_whose_line_it_is(tmp_path: Path) -> None:
    versions, command = project(tmp_path, first=FIRST, second=SECOND)
    ran = RUN.invoke(app, ["--no-squawk", "--json", "--ask", command, str(versions)])
    assert ran.exit_code == 1, ran.output
    findings = json.loads(ran.stdout)["findings"]
    drop = next(each for each in findings if each["rule"] == "drop-column")
    assert drop["file"].endswith("second.py")
    assert drop["line"] == 1
    assert "of the SQL that alembic writes" in drop["message"]
    # Without being told how, nothing is read, and that is a finding.
    ran = RUN.invoke(app, ["--no-squawk", "--json", str(versions)])
    assert ran.exit_code == 1
    findings = json.loads(ran.stdout)["findings"]
    assert [each["rule"] for each in findings] == ["unread", "unread"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "no command"),
        ("'", "the command to ask"),
        ("/nowhere/alembic", "no such file"),
        ("false", "failed: no reason"),
        ("true", "is not among the revisions"),
        (f"{shlex.quote(sys.executable)} -m alembic -c /nowhere.ini", "failed"),
    ],
)
def test_a_tool_that_does_not_answer_is_told(
    tmp_path: Path, command: str, why: str
) -> None:
    (tmp_path / "a.py").write_text(FIRST)
    with pytest.raises(ConfigError, match=why):
        ask(command, [Unread(str(tmp_path / "a.py"), "alembic")])


def test_others_stay_unread() -> None:
    rails = [Unread("a.rb", "rails")]
    assert ask("false", rails) == ([], rails)
