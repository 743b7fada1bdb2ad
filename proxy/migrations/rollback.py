"""For each migration of a folder its way back: the tool's own, a derived one, or none.

A derived script is whole or not at all: half a way back is worse than none.
Next: `proxy.migrations.rollback_sql`, `proxy.migrations.rollback_proof`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from proxy.migrations.check_columns import Columns
from proxy.migrations.check_statements import Statement, read_statements
from proxy.migrations.folder_names import history_name
from proxy.migrations.rollback_sql import OneWay, reverse
from proxy.sql.facts import Flag, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.folder import Migration


BOOKKEEPING: Final = frozenset({"alembic_version"})
"""Where the SQL that a tool writes notes what has run: it stays when all is undone."""


class Source(StrEnum):
    """Where a way back comes from."""

    OWN = "own"
    """The tool's own down script."""
    DERIVED = "derived"
    """From the statements of the migration."""
    NONE = "none"
    """It can't be reversed: restore instead."""


class WayBack(Struct, frozen=True):
    """How one migration is undone.

    Attributes:
        file: the migration.
        source: see `Source`.
        script: what to run, "" where there is none.
        loses: what goes that was written since, in words.
        why_not: for NONE: line and reason of each statement that has no way back.
        up: what the migration itself runs, statement by statement where it is no one
            transaction.
        tool: whose migration it is.
        name: as its tool's history has it, see `folder_names.history_name`; "" where
            the file does not say it.
        sha256: of the file, in hex; "" where the tool wrote the SQL.
    """

    file: str
    source: Source
    script: str = ""
    loses: tuple[str, ...] = ()
    why_not: tuple[tuple[int, str], ...] = ()
    up: tuple[str, ...] = ()
    tool: str = ""
    name: str = ""
    sha256: str = ""


def plan(migrations: Sequence[Migration]) -> list[WayBack]:
    """The way back of each migration, in the order in which they run."""
    columns = Columns()
    return [
        structs.replace(
            _way_back(each, columns),
            tool=each.tool,
            name=history_name(each),
            sha256=""
            if each.is_written_by_tool
            else hashlib.sha256(each.up).hexdigest(),
        )
        for each in migrations
    ]


def _way_back(migration: Migration, columns: Columns) -> WayBack:
    statements = read_statements(migration.up)
    if isinstance(statements, Trouble):
        why = ((1, f"it can't be read: {statements.message}"),)
        return WayBack(migration.file, Source.NONE, why_not=why)
    up = pieces(migration.up, statements)
    scripts: list[str] = []
    loses: list[str] = []
    why_not: list[tuple[int, str]] = []
    for each in statements:
        names = {used.name for used in each.facts.relations}
        if names and names <= BOOKKEEPING:
            continue
        found = reverse(each, columns)
        if isinstance(found, OneWay):
            why_not.append((each.line, found.why))
        else:
            scripts += [found.sql] if found.sql else []
            loses += [found.loses] if found.loses else []
        columns.follow(each)
    if migration.down is not None:
        down = migration.down.decode("utf-8", "replace")
        # What is nowhere but in a backup, no script of the tool's brings back either.
        kept = tuple(f"line {line}: {why}" for line, why in why_not)
        return WayBack(migration.file, Source.OWN, down, (*loses, *kept), up=up)
    if why_not:
        return WayBack(migration.file, Source.NONE, why_not=tuple(why_not), up=up)
    script = "".join(f"{each}\n" for each in reversed(scripts))
    return WayBack(migration.file, Source.DERIVED, script, tuple(loses), up=up)


def pieces(text: bytes, statements: Sequence[Statement]) -> tuple[str, ...]:
    """A text as it is run: whole, or by statement where one must stand alone."""
    alone = any(
        Flag.CONCURRENTLY in each.facts.flags or each.facts.transaction
        for each in statements
    )
    if not alone:
        return (text.decode(),)
    return tuple(each.text.decode() for each in statements)
