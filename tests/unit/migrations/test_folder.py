"""Whose migrations are in a folder: each tool's own lay-out of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.migrations.folder import around, read_folder
from proxy.migrations.folder_parts import Around


def lay(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def seen(folder: Path) -> list[tuple[str, str, str | None]]:
    """Each migration as its file, tool and way back."""
    found, unread = read_folder([folder])
    assert not unread
    return [
        (
            str(Path(each.file).relative_to(folder)),
            each.tool,
            None if each.down is None else each.down.decode().strip(),
        )
        for each in found
    ]


def test_prisma_and_drizzle(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "prisma/migration_lock.toml": "",
            "prisma/1_a/migration.sql": "SELECT 1",
            "prisma/2_b/migration.sql": "SELECT 2",
            "prisma/2_b/down.sql": "SELECT -2",
            "old/meta/_journal.json": "{}",
            "old/0000_a.sql": "SELECT 1;--> statement-breakpoint\nSELECT 2",
            "new/1_a/migration.sql": "SELECT 1",
            "new/1_a/snapshot.json": "{}",
        },
    )
    assert seen(tmp_path / "prisma") == [
        ("1_a/migration.sql", "prisma", None),
        ("2_b/migration.sql", "prisma", "SELECT -2"),
    ]
    assert seen(tmp_path / "old") == [("0000_a.sql", "drizzle", None)]
    assert seen(tmp_path / "new") == [("1_a/migration.sql", "drizzle", None)]


def test_flyway_runs_ten_after_nine(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "V10__c.sql": "SELECT 10",
            "V9__b.sql": "SELECT 9",
            "U9__other_words.sql": "SELECT -9",
            "V1.1__a.sql": "SELECT 1",
            "R__views.sql": "SELECT 0",
        },
    )
    assert seen(tmp_path) == [
        ("R__views.sql", "flyway", None),
        ("V1.1__a.sql", "flyway", None),
        ("V9__b.sql", "flyway", "SELECT -9"),
        ("V10__c.sql", "flyway", None),
    ]


def test_pairs_of_files(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "go/1_a.up.sql": "SELECT 1",
            "go/1_a.down.sql": "SELECT -1",
            "go/2_b.up.sql": "SELECT 2",
            "diesel/1_a/up.sql": "SELECT 1",
            "diesel/1_a/down.sql": "SELECT -1",
            "sqitch/sqitch.plan": "",
            "sqitch/deploy/a.sql": "SELECT 1",
            "sqitch/revert/a.sql": "SELECT -1",
            "sqitch/verify/a.sql": "SELECT 0",
        },
    )
    assert seen(tmp_path / "go") == [
        ("1_a.up.sql", "golang-migrate", "SELECT -1"),
        ("2_b.up.sql", "golang-migrate", None),
    ]
    assert seen(tmp_path / "diesel") == [("1_a/up.sql", "diesel", "SELECT -1")]
    assert seen(tmp_path / "sqitch") == [("deploy/a.sql", "sqitch", "SELECT -1")]


def test_a_way_back_alone_is_checked_as_what_it_is(tmp_path: Path) -> None:
    """Else a migration would hide by its name."""
    lay(tmp_path, {"1_a.down.sql": "DROP TABLE t", "x/down.sql": "DROP TABLE t"})
    assert [each for each, _, _ in seen(tmp_path)] == ["1_a.down.sql", "x/down.sql"]


@pytest.mark.parametrize(
    ("text", "tool", "around"),
    [
        (
            "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT -1;\n",
            "dbmate",
            Around.ALWAYS,
        ),
        (
            "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT -1;\n",
            "dbmate",
            Around.NOTHING,
        ),
        (
            "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT -1;\n",
            "goose",
            Around.ALWAYS,
        ),
        (
            "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\n"
            "SELECT -1;\n",
            "goose",
            Around.NOTHING,
        ),
        (
            "--liquibase formatted sql\n--changeset a:1\nSELECT 1;\n"
            "--rollback SELECT -1;\n",
            "liquibase",
            Around.NOTHING,
        ),
    ],
)
def test_files_of_two_parts(
    tmp_path: Path, text: str, tool: str, around: Around
) -> None:
    (tmp_path / "1.sql").write_text(text)
    ((migration,), _) = read_folder([tmp_path])
    assert (migration.tool, migration.around) == (tool, around)
    assert b"SELECT 1" in migration.up
    assert migration.down is not None
    assert b"SELECT -1" in migration.down
    if tool != "liquibase":  # there the way back is a comment
        assert b"SELECT -1" not in migration.up
        assert b"SELECT 1" not in migration.down
    # lines are those of the file
    line = text[: text.index("SELECT 1")].count("\n")
    assert migration.up[: migration.up.index(b"SELECT 1")].count(b"\n") == line


@pytest.mark.parametrize(
    ("name", "text", "tool"),
    [
        ("a.py", "revision = 'a'\ndown_revision = None\n", "alembic"),
        ("a.py", "class Migration(migrations.Migration):\n    pass\n", "django"),
        ("a.rb", "class A < ActiveRecord::Migration[7.1]\nend\n", "rails"),
        ("a.js", "exports.up = async (knex) => {}\n", "knex"),
        ("a.ts", "export async function up(db) {}\n", "knex"),
        ("a.ts", "export class A implements MigrationInterface {}\n", "TypeORM"),
        ("a.xml", "<databaseChangeLog>\n</databaseChangeLog>\n", "liquibase"),
        ("a.yaml", "databaseChangeLog:\n  - changeSet:\n", "liquibase"),
    ],
)
def test_programs_are_named_not_skipped(
    tmp_path: Path, name: str, text: str, tool: str
) -> None:
    (tmp_path / name).write_text(text)
    found, unread = read_folder([tmp_path])
    assert not found
    assert [tool in each.tool for each in unread] == [True]


def test_other_files_are_none(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "env.py": "from alembic import context\n",
            "index.ts": "export const x = 1\n",
            "data.json": "{}",
            "node_modules/a.sql": "DROP TABLE t",
            ".git/a.sql": "DROP TABLE t",
        },
    )
    assert read_folder([tmp_path]) == ([], [])


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        read_folder([tmp_path / "nowhere"])


def test_what_stands_beside_a_file(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "1_a/migration.sql": "",
            "2_b/migration.sql": "",
            "f/1.sql": "",
            "f/2.sql": "",
        },
    )
    beside = around(tmp_path / "2_b/migration.sql")
    assert {each.parent.name for each in beside} == {"1_a", "2_b"}
    assert {each.name for each in around(tmp_path / "f/2.sql")} == {"1.sql", "2.sql"}
