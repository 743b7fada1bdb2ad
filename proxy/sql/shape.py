"""The shape of a text: what many statements have in common, for counting them.

Literals, numbers and parameters become `?`, lists of them `?, ...`; comments go, white
space becomes one space, words that are not quoted become lower case. For groups in a
report and for nothing else: two texts of one shape may do different things (`SET x = 1`
and `SET x = 2` have one), so nothing is decided by it.

A lexer and no parser, so it has an answer for every text. `pglast.normalize` has none
for one that does not parse, keeps comments, which tracing libraries fill with an id a
statement, and leaves the literals of utility statements in. Limits: it knows standard
strings only, row lists are joined only where they hold nothing but literals, and what
is long is cut, with a digest of the whole behind it. Next: `proxy.replay.tally`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from proxy.sql.redact import end_of_comment

MAX_SHAPE: Final = 400
"""Characters of a shape: a line or two of a report, and a bound on its memory."""
MAX_LEXED: Final = 65_536
"""Characters of a text that are looked at: all that a record of the log keeps."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<value>
          [eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)
        | (?:[bBnNxX]|[uU]&)?'(?:[^']|'')*+(?:'|\Z)
        | (?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=dollar)|\Z)
        | \$\d+
        | \.?\d\w*(?:\.\w*)?(?:(?<=[eE])[+-]?\d+)?
      )
    | (?P<name>(?:[uU]&)?"(?:[^"]|"")*+(?:"|\Z))
    | (?P<word>[^\W\d][\w$]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LIST: Final = re.compile(r"\?(?: ?, ?\?)+")
_ROWS: Final = re.compile(r"(\(\?(?:, \.\.\.)?\))(?: ?, ?\1)+")


def shape(text: str) -> str:
    """The shape of `text`, at most `MAX_SHAPE` characters. Never raises."""
    whole = "".join(_pieces(text[:MAX_LEXED])).strip(" ;")
    whole = _ROWS.sub(r"\1, ...", _LIST.sub("?, ...", whole))
    if len(whole) <= MAX_SHAPE:
        return whole
    digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{whole[: MAX_SHAPE - 11]}… #{digest}"


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    position = 0
    while (token := _TOKEN.match(text, position)) is not None:
        position = token.end()
        match token.lastgroup:
            case "value":
                pieces.append("?")
            case "word":
                pieces.append(token[0].lower())
            case "space" | "block":
                if token.lastgroup == "block":
                    position = end_of_comment(text, position)
                if pieces and pieces[-1] != " ":
                    pieces.append(" ")
            case _:
                pieces.append(token[0])
    return pieces
