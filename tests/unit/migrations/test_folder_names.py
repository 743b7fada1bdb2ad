"""A file's migration has the name that its tool's history has (`test_transcripts`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.migrations.folder import Migration, read_folder
from proxy.migrations.folder_names import history_name
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL = json.dumps(
    {
        "version": "7",
        "entries": [
            {"idx": 0, "when": 1700000000000, "tag": "0000_first"},
            {"idx": 1, "when": 1700000000001, "tag": "0001_twice"},
            {"idx": 2, "when": 1700000000002, "tag": "0001_twice"},
        ],
    }
)


@pytest.mark.parametrize(
    ("file", "text", "tool", "name"),
    [
        ("20240101000000_shop/migration.sql", "", "prisma", "20240101000000_shop"),
        ("V1__first.sql", "", "flyway", "1"),
        ("V2_1__second.sql", "", "flyway", "2.1"),
        ("R__view.sql", "", "flyway", ""),
        ("B3__base.sql", "", "flyway", ""),
        ("000002_second.up.sql", "", "golang-migrate", "2"),
        ("20240101000000_a.sql", "-- migrate:up\n", "dbmate", "20240101000000"),
        ("1_a.sql", "-- +goose Up\n", "goose", ""),
        ("changes.sql", "-- liquibase formatted sql\n", "liquibase", ""),
        ("drizzle/0000_first.sql", "", "drizzle", "1700000000000"),
        ("drizzle/0001_twice.sql", "", "drizzle", ""),
        ("drizzle/0002_none.sql", "", "drizzle", ""),
        ("proj/deploy/first.sql", "", "sqitch", "first"),
        ("3.sql", "", "sql", ""),
    ],
)
def test_names(tmp_path: Path, file: str, text: str, tool: str, name: str) -> None:
    lay(tmp_path, {file: text + "SELECT 1;\n"})
    lay(tmp_path, {"drizzle/meta/_journal.json": JOURNAL, "proj/sqitch.plan": ""})
    (found,) = read_folder([tmp_path])[0]
    assert (found.tool, history_name(found)) == (tool, name)


def test_a_journal_that_can_t_be_read_names_nothing(tmp_path: Path) -> None:
    lay(tmp_path, {"0000_first.sql": "SELECT 1;", "meta/_journal.json": '{"entries":'})
    (found,) = read_folder([tmp_path])[0]
    assert history_name(found) == ""


def test_names_of_programs(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "versions/x_first.py": 'revision: str = "a1"\ndown_revision = None\n',
            "shop/migrations/0001_initial.py": "class Migration(migrations.Migration):",
        },
    )
    for file, tool, name in (
        ("versions/x_first.py", "alembic", "a1"),
        ("versions/none.py", "alembic", ""),
        ("shop/migrations/0001_initial.py", "django", "shop.0001_initial"),
    ):
        written = Migration(str(tmp_path / file), tool, b"", is_written_by_tool=True)
        assert history_name(written) == name
