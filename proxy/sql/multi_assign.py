"""Bounds what `SET (a, b) = (SELECT ...)` may grow to in the parse tree.

The grammar makes one MultiAssignRef a column, each with the whole right side, and
libpg_query writes it out each time: n columns cost n times the source, and k such
assignments inside one another the product. 800 bytes can become 17 MB, 2 kB gigabytes.

Imports pglast's scanner. Next: `proxy.sql.prescan`.
"""

from __future__ import annotations

import re
from typing import Final

from pglast import Error
from pglast.parser import scan

MAX_TOKENS: Final = 400_000
"""Tokens after multiplication; one takes some 100 bytes of JSON in the tree."""

_MAY_ASSIGN = re.compile(rb"\)[\s\x0b]*(?:=|--|/\*)")
"""A `)` before a `=`, as every multi-column assignment has; comments may be between."""
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_DOLLAR_TAG = re.compile(rb"\$[^$\s]*[\x80-\xff]")


def multiplies(text: bytes) -> bool:
    """Whether multi-column assignments in `text` may make its tree absurdly large."""
    if not _MAY_ASSIGN.search(text) or b"set" not in text.lower():
        return False
    # Bytes above 127 are letters to the lexer. With them replaced the scan is linear
    # (counting characters makes it quadratic) and finds the same tokens, but for tags
    # of dollar quotes that then might become equal.
    if _DOLLAR_TAG.search(text):
        return True
    try:
        tokens = scan(_NOT_ASCII.sub(b"z", text).decode("ascii"))
    except Error:
        return True
    return _weight([token.name for token in tokens]) > MAX_TOKENS


def _weight(names: list[str]) -> int:
    """Tokens counted as often as the tree will hold them."""
    closing = _closings(names)
    multiples = [1]
    ends: list[int] = []
    total = 0
    for index, name in enumerate(names):
        while ends and index >= ends[-1]:
            ends.pop()
            multiples.pop()
        total += multiples[-1]
        if name == "ASCII_40" and (close := closing.get(index)):
            follows = names[close + 1 : close + 2]
            if follows == ["ASCII_61"]:
                columns = 1 + names[index:close].count("ASCII_44")
                multiples.append(multiples[-1] * columns)
                ends.append(_end_of_source(names, close + 2, closing))
        if total > MAX_TOKENS:
            break
    return total


def _closings(names: list[str]) -> dict[int, int]:
    """Index of each `(` to that of its `)`."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for index, name in enumerate(names):
        if name == "ASCII_40":
            opened.append(index)
        elif name == "ASCII_41" and opened:
            closing[opened.pop()] = index
    return closing


def _end_of_source(names: list[str], start: int, closing: dict[int, int]) -> int:
    """Where the right side of an assignment ends, at the latest."""
    index = start
    while index < len(names):
        name = names[index]
        if name in {"ASCII_41", "ASCII_59", "ASCII_44"}:
            return index
        index = closing.get(index, index) + 1
    return index
