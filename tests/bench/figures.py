"""The few statistics of the bench: medians, ratios round by round, percentiles.

Direct, PgBouncer and pgwarden take turns, and a ratio is taken within a round, where
the machine was as busy for the one as for the other; of the ratios, the median. Pure.
Next: `results`.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def ratios(
    numerators: Sequence[float], denominators: Sequence[float]
) -> tuple[float, ...]:
    """The ratio of each round.

    Raises:
        ValueError: not the same rounds, or a denominator of nothing.
    """
    if not denominators or min(denominators) <= 0:
        raise ValueError("a ratio needs rounds in which the other side did something")
    return tuple(a / b for a, b in zip(numerators, denominators, strict=True))


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the rounds' ratios, not the ratio of two medians."""
    return median(ratios(numerators, denominators))


def median_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of what we add, round by round."""
    return median(a - b for a, b in zip(ours, theirs, strict=True))


def percentile(values: Sequence[int], percent: float) -> int:
    """The smallest value that `percent` of the values do not exceed (nearest rank).

    Raises:
        ValueError: no values, or not a percentage above 0.
    """
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile needs values, and a percentage above 0")
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[rank - 1]


def spread(values: Sequence[float]) -> str:
    """The range over the rounds, for the eye."""
    return f"{min(values):.2f} to {max(values):.2f}"
