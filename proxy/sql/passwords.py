"""Takes passwords out of an ordinary statement, and leaves the rest of it as evidence.

For a text that parses, so that a bare word behind `password` is a name or a keyword:
only what a password is set to, or compared with, is hidden. In strings and comments,
where people write anything, the word behind it is. It errs on hiding.
Never raises. Next: `proxy.sql.redact`, whose lexer this is.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.sql.redact import HIDDEN, pieces, without_said

_WORDS: Final = frozenset({"password", "passwd", "passphrase"})
_ENDS: Final = frozenset({
    "and", "cross", "else", "end", "except", "fetch", "for", "from", "full", "group",
    "having", "inner", "intersect", "join", "left", "limit", "natural", "offset", "on",
    "or", "order", "returning", "right", "select", "set", "then", "union", "using",
    "values", "when", "where", "window",
})  # fmt: skip
"""Keywords behind which something else than the password's value stands."""
_GOES_ON: Final = frozenset({
    "as", "default", "in", "not", "overriding", "select", "table", "values", "with",
})  # fmt: skip
"""Keywords behind a list of columns whose values come then."""
_SETS: Final = frozenset({"set", "local", "session"})
_MARK: Final = re.compile(r"\$\d+|\d[\w.]*|[^\s\w]", re.ASCII)
_LITERALS: Final = frozenset({"escape", "string", "dollar"})


def without_passwords(text: str) -> str:
    """A statement without the values of its passwords, and those in URLs."""
    search = _Search()
    return "".join([search.take(kind, piece) for kind, piece in pieces(text)])


def may_hold_password(text: str) -> bool:
    """Whether `without_passwords` could find anything; cheap enough for every text."""
    lowered = text.lower()
    return "://" in lowered or "passw" in lowered or "passphr" in lowered


class _Search:
    """What the pieces so far say about the next one."""

    def __init__(self) -> None:
        self._depth = 0
        self._base = 0
        """Depth of the password's word."""
        self._hides = False
        self._hides_words = False
        self._hides_numbers = False
        self._is_of_list = False
        """The values of a whole list follow, in which commas end nothing."""
        self._list_depth = 0
        """Depth of a list that the word is in, and that has gone on since; or 0."""
        self._has_closed = False
        """The list that the word is in was closed: what comes next tells."""
        self._is_qualified = False
        self._word = self._head = ""
        """The word before, and the one before the dotted name that it ends."""

    def take(self, kind: str, piece: str) -> str:
        """The piece as it may be recorded."""
        if kind in _LITERALS:
            self._has_closed = False
            return f"'{HIDDEN}'" if self._hides else _said_in(kind, piece)
        match kind:
            case "line" | "block":
                return without_said(piece)
            case "word" | "name":
                return self._taken_word(piece, is_name=kind == "name")
            case _:
                return _MARK.sub(self._taken_mark, piece)

    def _taken_word(self, piece: str, *, is_name: bool) -> str:
        word = piece.strip('"').lower()
        if not self._is_qualified:
            self._head = self._word
        was_qualified, self._is_qualified = self._is_qualified, False
        self._word = word
        if self._has_closed:
            self._has_closed = False
            self._is_of_list = self._hides_numbers = True
            if word not in _GOES_ON:
                self._stop()
        is_within_one = self._hides and self._depth > self._base
        if word in _WORDS and not is_within_one:
            self._stop()
            self._hides, self._base = True, self._depth
            # SET app.password TO word: of a setting, a word is a value, too.
            self._hides_words = was_qualified and self._head in _SETS
            self._hides_numbers = self._hides_words
            return piece
        if not self._hides:
            return piece
        if self._hides_words:
            return piece if word in {"to", HIDDEN.strip("<>")} else HIDDEN
        if word == "in":
            self._hides_numbers = True
        is_key = not is_name and self._depth <= self._base
        if is_key and word in _ENDS and not (self._is_of_list and word in _GOES_ON):
            self._stop()
        return piece

    def _taken_mark(self, found: re.Match[str]) -> str:
        mark = found.group()
        self._is_qualified = mark == "."
        if mark[0].isdigit():
            return HIDDEN if self._hides and self._hides_numbers else mark
        if mark == "(":
            self._depth += 1
        elif mark == ")":
            self._closed()
        elif mark in {"=", "<", ">"}:
            self._hides_numbers = True
            self._is_of_list |= self._has_closed
            self._has_closed = False
        elif mark == ";":
            self._stop()
            self._depth = 0
        elif mark == "," and self._hides and not self._goes_on():
            depth = self._base if not self._has_closed else 0
            self._stop()
            self._list_depth = max(depth, 0)
        return mark

    def _closed(self) -> None:
        self._depth -= 1
        if self._has_closed:
            self._stop()
        if self._depth < (self._base if self._hides else self._list_depth):
            self._hides = self._has_closed = True
            self._base, self._list_depth = self._depth, 0

    def _goes_on(self) -> bool:
        """Whether behind a comma there are still values of the password's."""
        if self._has_closed:
            return False
        is_inside = self._depth > self._base
        return is_inside or self._is_of_list or self._hides_words

    def _stop(self) -> None:
        self._hides = self._hides_words = self._hides_numbers = False
        self._is_of_list = self._has_closed = False
        self._list_depth = 0


def _said_in(kind: str, literal: str) -> str:
    """A string of an ordinary statement, in which somebody may tell a password."""
    said = without_said(literal)
    if said == literal or kind == "string":
        return said
    # Where the word ends is another question in these.
    return f"'{HIDDEN}'"
