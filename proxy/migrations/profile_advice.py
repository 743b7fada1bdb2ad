"""Names the command behind a refused statement: "`prisma migrate reset` drops ...".

Asked when a statement is refused and at no other time. Then the texts with which the
session began are read by a recogniser of its own, and the refused one after them. It
changes a refusal's hint and nothing else.
Next: `proxy.migrations.recogniser`; `proxy.session.advice`, which asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.migrations.recogniser import Recogniser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.profile_match import Tools
    from proxy.migrations.profile_reading import Event
    from proxy.session.judge import Judged


MOST_STATEMENTS: Final = 100
"""Of a refused text that are looked at: it may hold thousands, and refusals are free to
whoever sends them."""


class ToolAdviser:
    """Advises one session."""

    __slots__ = ("_named", "_read", "_recogniser")

    def __init__(self, tools: Tools) -> None:
        self._recogniser = Recogniser(tools)
        self._read = 0
        self._named: Event | None = None

    def advise(self, opening: Sequence[Judged], refused: Judged) -> str:
        """What the refused text is the beginning of and what to do instead, or "".

        A command that was named stays named: after a refused `DROP SCHEMA`, Prisma's
        reset goes on with `DROP TABLE`, which alone would be another command's.
        """
        recogniser = self._recogniser
        for judged in opening[self._read :]:
            recogniser.see(judged.text, judged.statements)
        self._read = len(opening)
        begins = refused.statements[:MOST_STATEMENTS]
        events = recogniser.destructive(refused.text, begins)
        if not events:
            return ""
        if self._named is None or all(e.tool != self._named.tool for e in events):
            self._named = events[0]
        return self._named.advice
