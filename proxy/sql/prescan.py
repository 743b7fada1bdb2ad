"""A linear look at a text before any parser sees it, to bound what parsing can cost.

PostgreSQL's lexer is quadratic in two places, in our parser as in the server, which
can't be cancelled while it lexes (`statement_timeout` does not fire):

- `/*/*/*...`: each start of a comment reads on to the end of the run of operator
  characters, then gives all but two back. Nesting itself is linear.
- `+-+-+-...`: an operator can't end in + or - unless it holds one of ~!@#^&|`?%, so
  such a run comes back one character at a time, read to its end each time.

Both need long unbroken runs, which the patterns below find wherever they are: a run
that stands in a string or comment costs nothing, but nobody writes one there either.

The third place is ours: see `proxy.sql.multi_assign`. Next: `proxy.sql.parse`.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql.facts import Trouble
from proxy.sql.multi_assign import multiplies

MAX_TEXT_BYTES: Final = 1024 * 1024
"""1 MiB: parses in 0.4 s and 45 MB of JSON at worst. Bulk loads beyond it have COPY."""

_SLASH: Final = 0x2F
_PLUS: Final = 0x2B
_CLOSING: Final = 0x29
_EQUALS: Final = 0x3D

_COMMENT_STARTS = re.compile(rb"(?:/\*(?:(?!/\*)[-+*/<>=~!@#%^&|`?])*){17}")
"""17 starts of a comment in one run of operator characters; matches in one way only."""
_PLUS_MINUS_RUN = re.compile(rb"(?:\+|-(?!-)){33}")
"""33 of + and - with no `--` in it, which would start a comment."""


def trouble_with(text: bytes) -> Trouble | None:
    """Why `text` must not be parsed, or None. Linear in its length."""
    if len(text) > MAX_TEXT_BYTES:
        return Trouble(
            TOO_LARGE,
            f"statement text is longer than {MAX_TEXT_BYTES} bytes",
            hint="Split it, or use COPY ... FROM STDIN for data.",
        )
    # As numbers: for `bytes in bytes` CPython raises an error first, and drops it.
    if 0 in text:
        return Trouble(SYNTAX_ERROR, "statement text holds a NUL byte")
    if _SLASH in text and _COMMENT_STARTS.search(text):
        return _absurd("a long run of comment starts")
    if _PLUS in text and _PLUS_MINUS_RUN.search(text):
        return _absurd("a long run of plus and minus signs")
    if _CLOSING in text and _EQUALS in text and multiplies(text):
        return _absurd("multi-column assignments that multiply")
    return None


def _absurd(what: str) -> Trouble:
    return Trouble(TOO_LARGE, f"statement text holds {what}: it costs too much to read")
