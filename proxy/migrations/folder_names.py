"""What a tool calls a migration in its history, by the file that people edit.

A proof has the name that the history has, and a folder has files. Where a file does not
say it (a change log of many change sets, plain SQL), there is none. Reads the journal
that Drizzle keeps beside its files. Next: `proxy.migrations.check_proven`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.migrations.folder import Migration

_VERSION: Final = re.compile(r"\d+")
_FLYWAY: Final = re.compile(r"V([\d._]+?)__")
_REVISION: Final = re.compile(r"^revision\b[^=\n]*=\s*['\"](\w+)", re.MULTILINE)


class _Step(msgspec.Struct):
    tag: str
    when: int


class _Journal(msgspec.Struct):
    entries: list[_Step]


def history_name(migration: Migration) -> str:
    """The migration's name in its tool's history; "" where the file does not say it."""
    of_tool = _NAMES.get(migration.tool)
    return of_tool(Path(migration.file)) if of_tool is not None else ""


def _folder(path: Path) -> str:
    return path.resolve().parent.name


def _version(path: Path) -> str:
    found = _VERSION.match(path.name)
    return found[0] if found is not None else ""


def _number(path: Path) -> str:
    """A number, as a column of numbers has it: without zeros before it."""
    version = _version(path)
    return str(int(version)) if version else ""


def _flyway(path: Path) -> str:
    found = _FLYWAY.match(path.name)
    return found[1].replace("_", ".") if found is not None else ""


def _sqitch(path: Path) -> str:
    return path.stem


def _alembic(path: Path) -> str:
    try:
        found = _REVISION.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found is not None else ""


def _django(path: Path) -> str:
    whole = path.resolve()
    return f"{whole.parents[1].name}.{whole.stem}"


def _drizzle(path: Path) -> str:
    """The time of the migration, which the row has for a name."""
    try:
        text = (path.parent / "meta" / "_journal.json").read_bytes()
        journal = msgspec.json.decode(text, type=_Journal)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return ""
    times = [each.when for each in journal.entries if each.tag == path.stem]
    return str(times[0]) if len(times) == 1 else ""


_NAMES: Final[dict[str, Callable[[Path], str]]] = {
    "alembic": _alembic,
    "dbmate": _version,
    "django": _django,
    "drizzle": _drizzle,
    "flyway": _flyway,
    "golang-migrate": _number,
    "prisma": _folder,
    "sqitch": _sqitch,
}
