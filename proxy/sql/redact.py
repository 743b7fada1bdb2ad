"""Takes secrets out of a text before it is recorded.

`redacted` hides every string literal: for statements that hold a password or a
connection string, where which literal it is does not matter, and for texts that nobody
could read. For everything else there is `proxy.sql.passwords`. Names, comments and
numbers stay, but for what is said to be a password.

This is a small lexer of its own, because the texts may not parse and because the real
one is quadratic in non-ASCII texts. It errs on hiding: what is not closed is hidden to
the end. Never raises. Next: `proxy.sql.analyse`, which decides when.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN: Final = "<redacted>"

_OPENING = re.compile(
    r"""
      (?P<escape>[eE]')                     # E'...' with backslash escapes
    | (?P<word>[^\W\d][\w$]*)               # may hold a $, so it must be passed over
    | (?P<string>')                         # '...', and after N, B, X, U&
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<name>")
    | (?P<line>--)
    | (?P<block>/\*)
    """,
    re.VERBOSE,
)
_REST: Final = {
    "escape": re.compile(r"(?:[^'\\]|\\.|'')*+'", re.DOTALL),
    "string": re.compile(r"(?:[^']|'')*+'"),
    "name": re.compile(r'(?:[^"]|"")*+"'),
    "line": re.compile(r"[^\r\n]*"),
    "word": re.compile(""),
}
_COMMENT_MARK = re.compile(r"/\*|\*/")

# A string goes on after a line break, in the same kind: E'a' \n '\'' is one literal.
# Possessive: a comment holds further "--", and to try each as one of its own would take
# time exponential in their number.
_CONTINUATION = re.compile(
    r"(?:[^\S\r\n]|--[^\r\n]*+)*+[\r\n](?:\s|--[^\r\n]*+[\r\n])*+'"
)

_PASSWORD_WORD = re.compile(
    r"(\bpass(?:word|wd|phrase)[\"']?\s*(?:[=:]+>?\s*|\s+to\s+|\s)[\"(]?)"
    r"('(?:[^']|'')*+'?|[^\s'\";,)]+)",
    re.IGNORECASE,
)
_PASSWORD_CLAUSE = re.compile(
    r"\b(?:pass(?:word|wd|phrase)|connection)\b", re.IGNORECASE
)
_URL = re.compile(r"(\w://[^\s:/?#@'\"]*:)[^\s/@'\"]+(?=@)")


def redacted(text: str) -> str:
    """`text` with every string literal hidden."""
    shown = {"word", "name", "line", "block", ""}
    hidden = f"'{HIDDEN}'"
    return without_said(
        "".join([part if kind in shown else hidden for kind, part in pieces(text)])
    )


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with its kind: a group of `_OPENING`, "" between."""
    position = 0
    for kind, start, end in spans(text):
        if start > position:
            yield "", text[position:start]
        yield kind, text[start:end]
        position = end
    if position < len(text):
        yield "", text[position:]


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """The words, strings, names and comments of a text: kind, start and end of each.

    The kinds are "word", "name", "line" and "block" (comments), and for strings
    "escape", "string" and "dollar". What is between them is anything else.
    """
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        kind = str(opening.lastgroup)
        position = _end(text, opening, kind)
        yield kind, opening.start(), position


def redacted_blindly(text: bytes) -> str:
    """The same for a text that did not parse, and may not even be UTF-8."""
    decoded = text.decode("utf-8", "backslashreplace")
    clause = _PASSWORD_CLAUSE.search(decoded)
    # A password with a quote in it is a common reason for a text not to parse: where it
    # ends can't be told, so all behind its beginning goes.
    begins = -1 if clause is None else decoded.find("'", clause.end())
    return redacted(decoded if begins < 0 else f"{decoded[:begins]}'{HIDDEN}'")


def without_said(text: str) -> str:
    """`text` without what stands behind `password`, and the passwords in URLs."""
    text = _URL.sub(rf"\g<1>{HIDDEN}", text)
    return _PASSWORD_WORD.sub(_hide_value, text)


def _hide_value(match: re.Match[str]) -> str:
    before, value = match.groups()
    if value[0] != "'":
        return f"{before}{HIDDEN}"
    return f"{before}'{HIDDEN}'"


def _end(text: str, opening: re.Match[str], kind: str) -> int:
    """Where what `opening` opens ends; the end of the text if it is not closed."""
    if kind == "dollar":
        closing = text.find(opening.group(), opening.end())
        return len(text) if closing < 0 else closing + len(opening.group())
    if kind == "block":
        return end_of_comment(text, opening.end())
    rest = _REST[kind]
    end = opening.end()
    while True:
        match = rest.match(text, end)
        if match is None:
            return len(text)
        if kind not in {"escape", "string"}:
            return match.end()
        continued = _CONTINUATION.match(text, match.end())
        if continued is None:
            return match.end()
        end = continued.end()


def end_of_comment(text: str, start: int) -> int:
    """Where the comment ends whose opening mark ends at `start`; comments nest."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
