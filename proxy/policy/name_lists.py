"""Settings whose value is a list of names: `search_path`, and how Postgres reads it.

Two spellings of one list are equal here, and two lists that only look alike are not:
`"a, b"` is one name, `A` is `a`, `"A"` is not. As SplitIdentifierString() in
src/backend/utils/adt/varlena.c. Pure. Next: `proxy.policy.rules`.
"""

from __future__ import annotations

import re
from typing import Final

NAME_LISTS: Final = frozenset({"search_path", "temp_tablespaces"})
"""Marked GUC_LIST_QUOTE in src/backend/utils/misc/guc_tables.c and changeable in a
session; the others of that mark are lists of libraries."""

MAX_NAME_BYTES: Final = 63
_SPACE: Final = r"[ \t\n\r\f\v]*"
_ITEM: Final = re.compile(
    rf'{_SPACE}(?:"(?P<quoted>(?:[^"]|"")*)"'
    rf'|(?P<plain>[^", \t\n\r\f\v][^, \t\n\r\f\v]*))'
    rf"{_SPACE}(?P<more>,|\Z)"
)


def names_in(value: str) -> tuple[str, ...] | None:
    """The names of a list in their order; None where Postgres would not take it.

    Empty names are left out: `SET search_path = ''` makes one, and nothing has it.
    """
    if not value.strip(" \t\n\r\f\v"):
        return ()
    names: list[str] = []
    position = 0
    while (item := _ITEM.match(value, position)) is not None:
        if name := _name(item["quoted"], item["plain"]):
            names.append(name)
        position = item.end()
        if not item["more"]:
            return tuple(names)
    return None


def _name(quoted: str | None, plain: str | None) -> str:
    if quoted is not None:
        name = quoted.replace('""', '"').encode()
    else:
        name = (plain or "").encode().lower()  # bytes: only ASCII has a lower case
    return name[:MAX_NAME_BYTES].decode("utf-8", "ignore")
