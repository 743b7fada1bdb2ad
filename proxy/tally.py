"""What statements add up to between two folds: plain lists, appended to.

On the path of every statement, so nothing is counted here: `proxy.metrics` folds the
lists into its numbers, many entries at once. Imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FOLD_AT: Final = 2_000
"""Statements gathered before they are counted: some 200 kB."""


class Tally:
    """The entries since the last fold."""

    __slots__ = (
        "_fold",
        "decided_s",
        "ended",
        "ended_s",
        "judged",
        "refused",
        "shadowed",
    )

    def __init__(self, fold: Callable[[], None]) -> None:
        """Begin empty; `fold` takes the entries and calls `clear`."""
        self._fold = fold
        self.judged: list[tuple[str, ...]] = []
        self.decided_s: list[float] = []
        self.refused: list[tuple[str, ...]] = []
        self.shadowed: list[tuple[str, ...]] = []
        self.ended: list[tuple[str, ...]] = []
        self.ended_s: dict[str, list[float]] = {}

    def statement(self, role: str, kind: str, *, rule: str, decision_s: float) -> None:
        """A statement was judged. `rule` is "" where it was allowed."""
        judged = self.judged
        judged.append((role, kind, "deny" if rule else "allow"))
        self.decided_s.append(decision_s)
        if rule:
            self.refused.append((role, rule))
        if len(judged) >= FOLD_AT:
            self._fold()

    def would_refuse(self, role: str, rule: str) -> None:
        """A statement passed that a rule in shadow would have refused."""
        self.shadowed.append((role, rule))

    def outcome(self, role: str, status: str, seconds: float) -> None:
        """A forwarded statement ended."""
        ended = self.ended
        ended.append((role, status))
        taken = self.ended_s.get(role)
        if taken is None:
            self.ended_s[role] = [seconds]
        else:
            taken.append(seconds)
        if len(ended) >= FOLD_AT:
            self._fold()

    def clear(self) -> None:
        """They are folded."""
        self.judged.clear()
        self.decided_s.clear()
        self.refused.clear()
        self.shadowed.clear()
        self.ended.clear()
        self.ended_s.clear()
