"""Migrations that are programs: their tool is asked for the SQL, when told how.

Alembic by `upgrade --sql`, Django by `sqlmigrate`. The command is the one that the
person gave, run without a shell. Django's needs the project's database to be there
(it looks at what is applied); Alembic's offline mode needs none. Source: both tools'
documentation, and tried with Alembic 1.20 and Django 5.2.
Next: `proxy.migrations.folder`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError, reason_of
from proxy.migrations.folder import Migration, Unread
from proxy.migrations.folder_parts import Around

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S: Final = 300.0
"""For one call: a project with hundreds of models takes seconds to load."""

_REVISION: Final = re.compile(r"^revision\b[^=\n]*=\s*['\"](\w+)", re.MULTILINE)
_UPGRADE: Final = re.compile(rb"^-- Running upgrade .*?-> (\w+)\s*$", re.MULTILINE)
_DOWNGRADE: Final = re.compile(rb"^-- Running downgrade (\w+) ->.*$", re.MULTILINE)
_BEGIN: Final = re.compile(rb"^BEGIN;\s*", re.MULTILINE)
_LAST_COMMIT: Final = re.compile(rb"\bCOMMIT;\s*\Z")
NO_SQL: Final = b"THIS OPERATION CANNOT BE WRITTEN AS SQL"
"""Django writes this comment for RunPython and its like."""


def ask(command: str, unread: Sequence[Unread]) -> tuple[list[Migration], list[Unread]]:
    """The SQL of those whose tool can write it, and the rest.

    Raises:
        ConfigError: the tool does not run, or fails.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the command to ask the tool with: {error}") from None
    if not words:
        raise ConfigError("no command given to ask the tool with")
    revisions = [each for each in unread if each.tool == "alembic"]
    found = _alembic(words, revisions) if revisions else []
    found += [_django(words, each) for each in unread if each.tool == "django"]
    asked = {"alembic", "django"}
    return found, [each for each in unread if each.tool not in asked]


def _alembic(command: list[str], unread: Sequence[Unread]) -> list[Migration]:
    written = _output([*command, "upgrade", "heads", "--sql"])
    ups = _cut(written, _UPGRADE)
    if ups:
        # Before the first one Alembic makes its own table.
        first = next(iter(ups))
        ups[first] = _BEGIN.sub(b"", written[: written.index(ups[first])]) + ups[first]
    try:
        downs = _cut(
            _output([*command, "downgrade", "heads:base", "--sql"]), _DOWNGRADE
        )
    except ConfigError:
        downs = {}  # several heads, or a way back that is not written: none is known
    files = {_revision(each.file): each for each in unread}
    missing = [each.file for revision, each in files.items() if revision not in ups]
    if missing:
        raise ConfigError(
            f'"{missing[0]}" is not among the revisions that Alembic wrote',
            hint="Is the command that of this folder?",
        )
    # In the order in which Alembic runs them, not in that of their names.
    return [
        Migration(
            files[revision].file,
            "alembic",
            up,
            downs.get(revision),
            Around.ALWAYS,
            is_written_by_tool=True,
        )
        for revision, up in ups.items()
        if revision in files
    ]


def _revision(file: str) -> str:
    found = _REVISION.search(Path(file).read_text(encoding="utf-8"))
    if found is None:
        raise ConfigError(f'"{file}" names no revision')
    return found[1]


def _cut(text: bytes, mark: re.Pattern[bytes]) -> dict[str, bytes]:
    """The text behind each mark, by the revision in it."""
    marks = list(mark.finditer(text))
    ends = [each.start() for each in marks[1:]] + [len(text)] * bool(marks)
    return {
        each[1].decode(): _LAST_COMMIT.sub(b"", text[each.start() : end])
        for each, end in zip(marks, ends, strict=True)
    }


def _django(command: list[str], unread: Unread) -> Migration:
    path = Path(unread.file).resolve()
    app = path.parents[1].name
    asked = [*command, "sqlmigrate", app, path.stem]
    up = _output(asked)
    try:
        down = _output([*asked, "--backwards"])
    except ConfigError:
        down = None  # IrreversibleError
    return Migration(unread.file, "django", up, down, is_written_by_tool=True)


def _output(command: list[str]) -> bytes:
    try:
        ran = subprocess.run(  # noqa: S603 - what the person gave, and no shell
            command, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except OSError as error:
        raise ConfigError(f'"{command[0]}": {reason_of(error)}') from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f'"{shlex.join(command)}" took too long') from None
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ConfigError(
            f'"{shlex.join(command)}" failed: {said[-1] if said else "no reason given"}'
        )
    return ran.stdout
