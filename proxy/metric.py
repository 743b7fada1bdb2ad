"""What a metric is: one row of the table, and numbers by labels.

Next: `proxy.metric_table`; `proxy.metrics`, the numbers; `proxy.issuer_metrics`.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Type = Literal["counter", "gauge", "histogram"]
Sum = Literal["sum", "max"]
Labels = tuple[str, ...]

MAX_SERIES: Final = 1_000
"""Series a metric may have; values beyond are counted under the label "other"."""


class Metric(Struct, frozen=True):
    """One row of the table.

    `merge` says how the workers' values become one; counters and histograms add up.
    """

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Sum = "sum"


class Counted(dict[Labels, int]):
    """Numbers by labels; a label set never seen before starts at 0."""

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Add to the number of these labels."""
        if labels not in self and len(self) >= MAX_SERIES:
            labels = ("other",) * len(labels)
        self[labels] = self.get(labels, 0) + amount
