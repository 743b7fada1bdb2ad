"""What a check says: findings, each with a rule, a place and a level.

Plain values for `pgwarden migration check` and `pgwarden migration scan`. Imports
nothing of pgwarden. Next: `proxy.migrations.check_report`, which writes them down.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How bad it is, in the words of SARIF."""

    ERROR = "error"
    """Loses data, or production refuses it."""
    WARNING = "warning"
    """Makes others wait, or breaks what runs."""
    NOTE = "note"
    """To know before the deploy; never fails a check."""


STRICTEST_FIRST: Final = (Level.ERROR, Level.WARNING, Level.NOTE)


class Finding(Struct, frozen=True):
    """One thing to say of one place.

    Attributes:
        file: path as it was given.
        line: of the file, from 1. Of the SQL that the tool wrote, where the file holds
            none; the message says so then.
        rule: its id, "drop-table", "policy/migrator.drop", "squawk/ban-drop-column".
        level: see `Level`.
        message: what is wrong, lower case.
        hint: what to do instead, or "".
        statement: the beginning of the statement or command, on one line.
        waived: the reason of the waiver that covers it, or "".
    """

    file: str
    line: int
    rule: str
    level: Level
    message: str
    hint: str = ""
    statement: str = ""
    waived: str = ""


def counts(findings: Iterable[Finding], least: Level) -> list[Finding]:
    """Those that fail a check: not waived, and at least as bad as `least`."""
    limit = STRICTEST_FIRST.index(least)
    return [
        each
        for each in findings
        if not each.waived and STRICTEST_FIRST.index(each.level) <= limit
    ]
