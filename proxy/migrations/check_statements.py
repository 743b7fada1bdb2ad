"""A migration's text as statements: facts, raw tree, line, and the comments around.

Next: `proxy.migrations.check_losses`, which looks at them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from proxy.sql.analyse import analyse
from proxy.sql.parse import parse, statements

if TYPE_CHECKING:
    from proxy.sql.facts import Facts, Trouble

SHOWN_CHARACTERS: Final = 70
"""Of a statement in a finding: enough to recognise it."""

_COMMENT: Final = rb"--[^\n\r]*|/\*(?:[^*]|\*(?!/))*\*/"
_BLANK: Final = re.compile(rb"(?:\s|%b|;)*" % _COMMENT)
"""What stands before a statement and is none of it."""


class Statement(Struct, frozen=True):
    """One statement of a text.

    Attributes:
        line: its first line, from 1.
        text: its bytes, without the comments before it.
        facts: what `proxy.sql` knows of it.
        verb: the grammar's class, "AlterTableStmt".
        body: the raw tree below that class.
        above: the comments on the lines above it, and before it on its own line.
        behind: the comments behind it, on its last line.
    """

    line: int
    text: bytes
    facts: Facts
    verb: str
    body: dict[str, Any]
    above: bytes
    behind: bytes

    @property
    def shown(self) -> str:
        """Its beginning, on one line."""
        return shown(self.text)


def shown(text: bytes) -> str:
    """The beginning of a statement, on one line."""
    words = b" ".join(text[: 4 * SHOWN_CHARACTERS].split()).decode("utf-8", "replace")
    if len(words) <= SHOWN_CHARACTERS:
        return words
    return words[: SHOWN_CHARACTERS - 1] + "…"


def read_statements(text: bytes) -> list[Statement] | Trouble:
    """The statements of a text in order, or why it can't be read."""
    analysis = analyse(text)
    if analysis.trouble is not None:
        return analysis.trouble
    raw = [each["stmt"] for each in statements(parse(text.decode()))]
    spans = [_span(text, facts) for facts in analysis.statements]
    gaps = [
        text[end:start]
        for end, start in zip(
            [0, *(end for _, end in spans)],
            [*(start for start, _ in spans), len(text)],
            strict=True,
        )
    ]
    found = []
    for index, (facts, tree) in enumerate(zip(analysis.statements, raw, strict=True)):
        start, end = spans[index]
        ((verb, body),) = tree.items()
        before, after = gaps[index], gaps[index + 1]
        found.append(
            Statement(
                line=text.count(b"\n", 0, start) + 1,
                text=text[start:end],
                facts=facts,
                verb=verb,
                body=body,
                # What stands behind the statement before is said of that one.
                above=before.partition(b"\n")[2] if index else before,
                behind=after.partition(b"\n")[0],
            )
        )
    return found


def _span(text: bytes, facts: Facts) -> tuple[int, int]:
    start, length = facts.location
    blank = _BLANK.match(text, start)
    begin = blank.end() if blank else start
    return begin, start + length if length else len(text)
