"""The migrations in a folder: whose they are, what each runs, and its way back.

Each file is recognised by its own name and first lines, so that a hook which names
single files gets the same answer as a check of the whole folder. What holds no SQL is
named as unread, never skipped: `proxy.migrations.folder_asked` asks the tool for it.
Next: that, and `proxy.migrations.folder_parts` for files of two parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.errors import ConfigError, reason_of
from proxy.migrations.folder_parts import PARTS, Around, in_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Migration(Struct, frozen=True):
    """One migration.

    Attributes:
        file: the file that people edit, as it was given.
        tool: whose it is, "prisma", "alembic", "sql".
        up: what it runs; lines are those of the file, but where the tool wrote it.
        down: its way back as the tool would run it, or None.
        around: whether the tool puts a transaction around it.
        is_written_by_tool: the file holds no SQL, so lines are of what the tool wrote.
    """

    file: str
    tool: str
    up: bytes
    down: bytes | None = None
    around: Around = Around.NOTHING
    is_written_by_tool: bool = False


class Unread(Struct, frozen=True):
    """A migration that is a program: only its tool can say what it runs."""

    file: str
    tool: str


_LEFT_OUT: Final = frozenset(
    {"node_modules", "__pycache__", "venv", "site-packages", "meta", "verify"}
)
_FLYWAY: Final = re.compile(r"([VBUR])([\d._]*)__.+\.sql")
_PROGRAMS: Final = (
    ("alembic", {".py"}, re.compile(r"^down_revision\b", re.MULTILINE)),
    ("django", {".py"}, re.compile(r"\(migrations\.Migration\)")),
    ("rails", {".rb"}, re.compile(r"<\s*ActiveRecord::Migration")),
    (
        "liquibase",
        {".xml", ".yaml", ".yml", ".json"},
        re.compile(r"<databaseChangeLog|^\W*databaseChangeLog\W*:", re.MULTILINE),
    ),
    (
        "knex, Sequelize or TypeORM",
        {".js", ".cjs", ".mjs", ".ts", ".mts", ".cts"},
        re.compile(
            r"exports\.up\b|export\s+(?:async\s+)?(?:const|function)\s+up\b"
            r"|MigrationInterface|\bup\s*[:(].*(?:queryInterface|knex)"
        ),
    ),
)
_SUFFIXES: Final = frozenset({".sql"}).union(*(each for _, each, _ in _PROGRAMS))


def read_folder(paths: Iterable[Path]) -> tuple[list[Migration], list[Unread]]:
    """The migrations in folders and files, in the order in which they run.

    Raises:
        ConfigError: a path is not there, or a file can't be read.
    """
    found: list[Migration] = []
    unread: list[Unread] = []
    for path in sorted(set(_files(paths)), key=_in_order):
        text = _bytes(path)
        if path.suffix == ".sql":
            found += _read_sql(path, text)
        elif tool := _program(path, text):
            unread.append(Unread(str(path), tool))
    return found, unread


def around(path: Path) -> list[Path]:
    """The migrations beside a single file: what the tables were before it."""
    if path.name in {"migration.sql", "up.sql"}:
        return list(path.parent.parent.glob(f"*/{path.name}"))
    return [*path.parent.glob("*.sql"), path]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            for each in path.rglob("*"):
                parts = each.relative_to(path).parts
                if (
                    each.suffix in _SUFFIXES
                    and not any(part in _LEFT_OUT or part[0] == "." for part in parts)
                    and each.is_file()
                ):
                    yield each
        elif path.exists():
            yield path
        else:
            raise ConfigError(f'"{path}": no such file or folder')


def _in_order(path: Path) -> list[list[tuple[int, str]]]:
    """As the tools sort: numbers by value, so that V10 follows V9."""
    return [
        [
            (int(piece), "") if piece.isdigit() else (-1, piece)
            for piece in re.split(r"(\d+)", part)
        ]
        for part in path.parts
    ]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}") from None


def _program(path: Path, text: bytes) -> str:
    words = text.decode("utf-8", "replace")
    for tool, suffixes, sign in _PROGRAMS:
        if path.suffix in suffixes and sign.search(words):
            return tool
    return ""


def _read_sql(path: Path, text: bytes) -> Iterator[Migration]:
    if is_way_back(path):
        return
    for mark in PARTS:
        if mark.start.search(text):
            parts = in_parts(text, mark)
            yield Migration(str(path), mark.tool, parts.up, parts.down, parts.around)
            return
    tool, around = _tool(path)
    back = way_back(path)
    down = _bytes(back) if back is not None and back.is_file() else None
    yield Migration(str(path), tool, text, down, around)


def _tool(path: Path) -> tuple[str, Around]:
    folder, name = path.parent, path.name
    is_drizzle = (folder / "meta" / "_journal.json").exists() or (
        name == "migration.sql" and (folder / "snapshot.json").exists()
    )
    signs = (
        (is_drizzle, "drizzle", Around.ALWAYS),
        (name == "migration.sql", "prisma", Around.SEVERAL),
        (_FLYWAY.fullmatch(name) is not None, "flyway", Around.SEVERAL),
        (name.endswith(".up.sql"), "golang-migrate", Around.SEVERAL),
        (name == "up.sql", "diesel", Around.ALWAYS),
        ((folder.parent / "sqitch.plan").exists(), "sqitch", Around.NOTHING),
        (True, "sql", Around.NOTHING),
    )
    return next((tool, around) for fits, tool, around in signs if fits)


def way_back(path: Path) -> Path | None:
    """Where the tool of a file keeps its way back, whether it is there or not."""
    folder, name = path.parent, path.name
    if name in {"migration.sql", "up.sql"}:
        return folder / "down.sql"
    if name.endswith(".up.sql"):
        return folder / name.replace(".up.sql", ".down.sql")
    flyway = _FLYWAY.fullmatch(name)
    if flyway is not None:
        # The description after the version may differ.
        if flyway[1] != "V":
            return None
        return next(iter(sorted(folder.glob(f"U{flyway[2]}__*.sql"))), None)
    if folder.name == "deploy" and (folder.parent / "sqitch.plan").exists():
        return folder.parent / "revert" / name
    return None


def is_way_back(path: Path) -> bool:
    """Whether a file undoes another one, and is not a migration itself."""
    name, folder = path.name, path.parent
    if name == "down.sql":
        return (folder / "up.sql").exists() or (folder / "migration.sql").exists()
    flyway = _FLYWAY.fullmatch(name)
    return (
        (
            name.endswith(".down.sql")
            and (folder / name.replace(".down.sql", ".up.sql")).exists()
        )
        or (flyway is not None and flyway[1] == "U")
        or (folder.name == "revert" and (folder.parent / "sqitch.plan").exists())
    )
