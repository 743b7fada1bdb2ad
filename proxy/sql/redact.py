"""Takes secrets out of a statement before it is recorded.

Next: `proxy.sql.analyse`, which decides when.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "'<redacted>'"

_LITERAL = re.compile(
    r"""
    (?:\b[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z))     # E'' with backslash escapes
    | (?:\b[uU]&)?'(?:[^']|'')*(?:'|\Z)         # '', N'', B'', X'', U&''
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)   # $tag$ ... $tag$
    | "(?:[^"]|"")*(?:"|\Z)                      # a quoted name: kept
    | --[^\r\n]*                                 # a comment: kept
    """,
    re.VERBOSE | re.DOTALL,
)
_URL = re.compile(r"(\w+://[^\s:/@'\"]*:)[^\s@'\"]+@")


def _hide(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.startswith(('"', "--")) else HIDDEN


def redacted(text: str) -> str:
    """`text` with every literal and every password in a URL hidden."""
    return _URL.sub(r"\1<redacted>@", _LITERAL.sub(_hide, text))


def redacted_blindly(text: bytes) -> str:
    """The same for a text that may not even be UTF-8."""
    return redacted(text.decode("utf-8", "backslashreplace"))
