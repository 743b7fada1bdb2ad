"""What a part of the bench hands back, and the floors it is held against.

A section is a table for people and named figures for machines; floors look at figures
by name, so that the table can change its looks. Pure. Next: `report`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

ABSENT = "-"
"""In the place of a figure that was not taken."""

Verdict = Literal["pass", "fail", "not measured"]


@dataclass(slots=True)
class Section:
    """The result of one part.

    Attributes:
        name: What `--only` calls it.
        title: Heading of the table.
        columns: Headings of the columns; the first is left-aligned.
        rows: The table, as text.
        figures: What was found, by dotted name, without the section's own.
        rounds: The single measurements behind the figures, for the JSON file.
        notes: Lines below the table.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Floor:
    """A bound on every figure whose name matches: `section.figure`, with wildcards."""

    pattern: str
    what: str
    sense: Literal["at least", "at most"]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a figure is on the right side."""
        if self.sense == "at least":
            return value >= self.bound
        return value <= self.bound


FLOORS = (
    Floor(
        "throughput.*.of_pgbouncer",
        "throughput, of PgBouncer's",
        "at least",
        0.6,
    ),
    Floor(
        "throughput.*.cpu_of_pgbouncer",
        "CPU per query, of PgBouncer's",
        "at most",
        2.5,
    ),
    Floor("bulk.*.of_direct", "bulk, of direct", "at least", 0.9),
    Floor(
        "decisions.*.of_parse",
        "uncached decision, of parse_sql_json",
        "at most",
        5.0,
    ),
    Floor("memory.tls.kib", "KiB per idle TLS session", "at most", 64.0),
    Floor("logins.*.added_p99_ms", "ms that an attack adds to p99", "at most", 200.0),
    Floor("logins.*.grown_mib", "MiB that an attack leaves", "at most", 8.0),
    Floor("audit.is_whole", "every record kept, the chain intact", "at least", 1.0),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A floor and one figure it was held against; no figure where none was taken."""

    floor: Floor
    figure: str
    value: float | None

    @property
    def verdict(self) -> Verdict:
        """In one word."""
        if self.value is None:
            return "not measured"
        return "pass" if self.floor.holds(self.value) else "fail"


def hold(sections: Iterable[Section], wanted: Iterable[str]) -> list[Held]:
    """Every floor of the wanted sections against every figure that it speaks of."""
    figures = {
        f"{section.name}.{name}": value
        for section in sections
        for name, value in section.figures.items()
    }
    ran = set(wanted)
    held = []
    for floor in FLOORS:
        if floor.pattern.partition(".")[0] not in ran:
            continue
        found = [name for name in figures if fnmatchcase(name, floor.pattern)]
        held += [Held(floor, name, figures[name]) for name in found]
        if not found:
            held.append(Held(floor, floor.pattern, None))
    return held
