"""The result as tables for people and as JSON for machines.

The machine is named by its size only. Next: `results`.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table
from rich.text import Text

from proxy.compiled import is_compiled
from tests.bench.results import ABSENT
from tests.bench.servers import bouncer_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from tests.bench.plan import Plan
    from tests.bench.results import Held, Section

Machine = dict[str, str | int]

_STYLES = {"pass": "green", "fail": "bold red", "not measured": "yellow"}
_BUSY_LOAD = 0.3


def machine(postgres: str) -> Machine:
    """Size and versions; no name."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count() or 0,
        "memory_gib": round(pages / (1 << 30)),
        "python": platform.python_version(),
        "uvloop": version("uvloop"),
        "pglast": version("pglast"),
        "postgres": postgres or "not started",
        "pgbouncer": bouncer_version() or "not installed",
        "pgwarden": version("pgwarden"),
        "form": "compiled" if is_compiled() else "interpreted",
    }


def show_machine(console: Console, found: Machine) -> None:
    """The same as a line."""
    console.print()
    console.print(
        f"{found['cores']} cores, {found['memory_gib']} GiB; "
        f"Python {found['python']}, uvloop {found['uvloop']}, "
        f"pglast {found['pglast']}; Postgres {found['postgres']}, "
        f"PgBouncer {found['pgbouncer']}, pgwarden {found['pgwarden']}, "
        f"{found['form']}",
        markup=False,
        highlight=False,
    )


def load_note() -> str:
    """A warning where others keep the machine busy, else "".

    Asked before the first measurement: later the load is our own.
    """
    load = os.getloadavg()[0]
    if load < _BUSY_LOAD * (os.cpu_count() or 1):
        return ""
    return f"the machine is busy (load {load:.1f}): these figures are of little worth"


def show(console: Console, section: Section) -> None:
    """One part as a table with its notes."""
    table = Table()
    for number, column in enumerate(section.columns):
        table.add_column(column, justify="right" if number else "left")
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))  # "[kernel]" is no markup
    console.print()
    console.print(section.title, style="bold", markup=False, highlight=False)
    console.print(table)
    for note in section.notes:
        console.print(note, style="dim", markup=False, highlight=False)


def show_floors(console: Console, held: Sequence[Held]) -> None:
    """Every floor with the figure that was found."""
    if not held:
        return
    table = Table()
    for column in ("floor", "figure", "bound", "found", ""):
        table.add_column(
            column, justify="left" if column in "floor figure" else "right"
        )
    for one in held:
        floor = one.floor
        table.add_row(
            floor.what,
            one.figure,
            f"{floor.sense} {floor.bound:g}",
            ABSENT if one.value is None else f"{one.value:.2f}",
            Text(one.verdict, _STYLES[one.verdict]),
        )
    console.print()
    console.print("Floors", style="bold")
    console.print(table)


def write_json(
    path: Path,
    *,
    found: Machine,
    plan: Plan,
    sections: Sequence[Section],
    held: Sequence[Held],
) -> None:
    """Figures, single rounds and floors."""
    content: dict[str, Any] = {
        "machine": found,
        "plan": plan,
        "figures": {section.name: section.figures for section in sections},
        "rounds": {section.name: section.rounds for section in sections},
        "floors": [
            {
                "figure": one.figure,
                "sense": one.floor.sense,
                "bound": one.floor.bound,
                "found": one.value,
                "verdict": one.verdict,
            }
            for one in held
        ],
    }
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=2)
        + b"\n"
    )
