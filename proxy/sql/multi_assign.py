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

MAX_COPIES: Final = 50_000
"""Tokens that the tree may hold beyond those of the text; some 200 bytes of JSON each.
An UPDATE that sets 50 columns from a SELECT of 1,000 tokens stays below."""

_MAY_ASSIGN = re.compile(rb"\)\s*(?:=|--|/\*)")
"""A `)` before a `=`, as every such assignment has; comments may stand between."""
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_DOLLAR_TAG = re.compile(rb"\$[^$\s]*[\x80-\xff]")

_OPEN: Final = frozenset({"ASCII_40", "ASCII_91"})
_CLOSE: Final = frozenset({"ASCII_41", "ASCII_93"})
_COMMA: Final = "ASCII_44"
_SEMICOLON: Final = "ASCII_59"
_EQUALS: Final = "ASCII_61"
_COMMENTS: Final = frozenset({"SQL_COMMENT", "C_COMMENT"})
_ENDS_SOURCE: Final = _CLOSE | {_COMMA, _SEMICOLON}


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
        return False  # what the lexer does not accept, the parser does not either
    names = [token.name for token in tokens if token.name not in _COMMENTS]
    return _copies(names) > MAX_COPIES


def _copies(names: list[str]) -> int:
    """How many tokens the tree will hold beyond one for each."""
    closing = _closings(names)
    multiples = [1]
    ends = [len(names)]
    copies = 0
    for index in range(len(names)):
        while index >= ends[-1]:
            ends.pop()
            multiples.pop()
        copies += multiples[-1] - 1
        close = closing.get(index)
        if close is not None and names[close + 1 : close + 2] == [_EQUALS]:
            columns = 1 + names[index:close].count(_COMMA)
            multiples.append(multiples[-1] * columns)
            ends.append(_end_of_source(names, close + 2, closing))
        if copies > MAX_COPIES:
            break
    return copies


def _closings(names: list[str]) -> dict[int, int]:
    """Index of each opening bracket to that of its closing one."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for index, name in enumerate(names):
        if name in _OPEN:
            opened.append(index)
        elif name in _CLOSE and opened:
            closing[opened.pop()] = index
    return closing


def _end_of_source(names: list[str], start: int, closing: dict[int, int]) -> int:
    """Where the right side of an assignment ends, at the latest."""
    index = start
    while index < len(names) and names[index] not in _ENDS_SOURCE:
        index = closing.get(index, index) + 1
    return index
