"""Files that hold both ways: dbmate, goose and Liquibase's formatted SQL.

A part keeps the lines of its file: what belongs to the other one is left blank.
Next: `proxy.migrations.folder`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from msgspec import Struct


class Around(Enum):
    """When a tool puts a transaction around a migration."""

    NOTHING = "nothing"
    SEVERAL = "several"
    """Where it has several statements: one Query is one transaction."""
    ALWAYS = "always"


class Mark(Struct, frozen=True):
    """How a tool writes two parts into one file; patterns for single lines."""

    tool: str
    start: re.Pattern[bytes]
    up: re.Pattern[bytes]
    down: re.Pattern[bytes]
    bare: re.Pattern[bytes]
    """Says that there is no transaction around it."""


class Parts(Struct, frozen=True):
    """The two parts of one file."""

    up: bytes
    down: bytes | None
    around: Around


def _line(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"^[ \t]*--[ \t]*" + pattern, re.MULTILINE | re.IGNORECASE)


_NEVER: Final = re.compile(rb"(?!)")
_ROLLBACK: Final = re.compile(rb"^[ \t]*--[ \t]*rollback[ \t:]+(.*)", re.IGNORECASE)
_LIQUIBASE: Final = Mark(
    "liquibase", _line(rb"liquibase formatted sql"), _NEVER, _ROLLBACK, _NEVER
)
PARTS: Final = (
    _LIQUIBASE,
    Mark(
        "dbmate",
        _line(rb"migrate:up"),
        _line(rb"migrate:up"),
        _line(rb"migrate:down"),
        _line(rb"migrate:up.*\btransaction:\s*false"),
    ),
    Mark(
        "goose",
        _line(rb"\+goose\s+up"),
        _line(rb"\+goose\s+up"),
        _line(rb"\+goose\s+down"),
        _line(rb"\+goose\s+no\s+transaction"),
    ),
)


def in_parts(text: bytes, mark: Mark) -> Parts:
    """The two parts of a file."""
    if mark is _LIQUIBASE:
        return _with_rollbacks(text)
    up: list[bytes] = []
    down: list[bytes] = []
    part, other = up, down
    has_down = False
    for line in text.splitlines(keepends=True):
        if mark.down.match(line):
            part, other, has_down = down, up, True
        elif mark.up.match(line):
            part, other = up, down
        part.append(line)
        other.append(line[len(line.rstrip(b"\r\n")) :])
    around = Around.NOTHING if mark.bare.search(text) else Around.ALWAYS
    return Parts(b"".join(up), b"".join(down) if has_down else None, around)


def _with_rollbacks(text: bytes) -> Parts:
    """Liquibase: the way back stands in comments, so the text itself is the way up."""
    back = [
        found[1]
        for found in map(_ROLLBACK.match, text.splitlines())
        if found is not None
    ]
    return Parts(text, b"\n".join(back) if back else None, Around.NOTHING)
