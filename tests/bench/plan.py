"""How long and how often everything is measured, and the count of what was sent.

Next: `__main__`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run.

    Attributes:
        rounds: Turns of each of the three.
        seconds: Of one pgbench.
        bulk_mib: Size of a bulk result.
        bulk_rounds: Turns of each in bulk.
        sessions: Idle sessions whose memory is measured.
        repeats: Rounds of the measurements without servers.
        scale: Of pgbench's tables.
        before: Checkout of another pgwarden, measured beside this one.
    """

    rounds: int = 5
    seconds: float = 5.0
    bulk_mib: int = 1024
    bulk_rounds: int = 5
    sessions: int = 200
    repeats: int = 40
    scale: int = 10
    before: Path | None = None


QUICK = Plan(
    rounds=2,
    seconds=1.0,
    bulk_mib=100,
    bulk_rounds=2,
    sessions=200,
    repeats=10,
    scale=2,
)


@dataclass(slots=True)
class Tally:
    """Statements that clients sent through pgwarden, by application name."""

    sent: Counter[str] = field(default_factory=Counter)
