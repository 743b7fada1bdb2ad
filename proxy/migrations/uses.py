"""The runs that a proof let pass, in words: which are open, and why it is spent. Pure.

A run has a word on its beginning and one on its end. Where pgwarden was killed between
them nobody saw the end, and the proof stays spent until a person says how it ended.
Next: `proxy.migrations.ledger`, which keeps the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.migrations.proof import Used, is_spent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.migrations.proof import Usage


_UNDER_WAY: Final = frozenset({Used.BEGUN, Used.COMMITTING})
"""That COMMIT may pass is no end: who was killed then has not seen whether it did."""


class Run(Struct, frozen=True):
    """One run in one database.

    Attributes:
        words: what was said of it, as it came; at least one.
    """

    words: tuple[Usage, ...]

    @property
    def begun(self) -> Usage:
        """The word on its beginning, or the first there is."""
        return next((e for e in self.words if e.step is Used.BEGUN), self.words[0])

    @property
    def ends(self) -> tuple[Usage, ...]:
        """The words on its end: one, unless somebody was wrong."""
        return tuple(each for each in self.words if each.step not in _UNDER_WAY)

    @property
    def committing(self) -> Usage | None:
        """The word that its COMMIT may pass, if it has come so far."""
        return next((e for e in self.words if e.step is Used.COMMITTING), None)

    @property
    def is_open(self) -> bool:
        """Whether nobody has said how it ended."""
        return not self.ends


def runs(uses: Iterable[Usage]) -> tuple[Run, ...]:
    """The runs, in the order in which they came."""
    found: dict[tuple[str, str], list[Usage]] = {}
    for each in uses:
        found.setdefault((each.database, each.run), []).append(each)
    return tuple(Run(tuple(words)) for words in found.values())


def open_runs(uses: Iterable[Usage], database: str = "") -> tuple[Run, ...]:
    """Those whose end nobody saw, in one database or in all."""
    return tuple(
        run
        for run in runs(uses)
        if run.is_open and database in {"", run.begun.database}
    )


def told(run: Run) -> str:
    """A run in words: when it began, whose it is, and how it ended."""
    begun = run.begun
    said = f"begun {begun.at.isoformat()} by {begun.identity}"
    if run.is_open:
        if run.committing is not None:
            said += f", COMMIT let pass {run.committing.at.isoformat()}"
        return f"{said}, no end seen"
    for end in run.ends:
        said += f", {end.step} {end.at.isoformat()}"
        if end.settled_by:
            said += f", as {end.settled_by} said"
    return said


def settling(proof: str, database: str) -> str:
    """The command that says how a run ended."""
    return f"pgwarden migration settle {proof} {database} --committed or --rolled-back"


def spent_reason(proof: str, uses: Iterable[Usage], database: str) -> str:
    """Why a proof lets nothing pass in this database any more, and what to do; or "".

    Args:
        proof: as much of its id as is shown.
        uses: what was said of its runs.
        database: as it is called here.
    """
    here = tuple(each for each in uses if each.database == database)
    if not is_spent(here, database):
        return ""
    spending = [run for run in runs(here) if is_spent(run.words, database)]
    last = spending[-1]
    reason = f'proof {proof} was used in "{database}" already: {told(last)}'
    if last.is_open:
        return (
            f"{reason}; it may still run. If not, look whether it took effect, and say "
            f"so: {settling(proof, database)}"
        )
    return (
        f"{reason}; a proof is good for one run in each database: record it anew on "
        "staging"
    )
