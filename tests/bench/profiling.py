"""Where the time of a query goes: `python -m tests.bench profile`.

First the CPU time of a query without a profiler, user and system apart, and `perf`'s
shares of it by library; then the same load under cProfile, which slows small functions
more than large ones and goes by the wall clock: read its shares, not its microseconds,
and on a quiet machine. Next: `serve_profiled`, `perf`.
"""

from __future__ import annotations

import contextlib
import pstats
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from proxy.errors import UnavailableError
from tests.bench import perf, pgbench
from tests.bench.results import Section
from tests.bench.serve_profiled import PROFILE

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from tests.bench.pgbench import Run
    from tests.bench.rig import Rig

APPLICATION = "bench-profile"
MODULE = "tests.bench.serve_profiled"
_WAIT_S = 20.0
_LEAST_SHARE = 0.005
_AREAS = (
    "proxy/server",
    "proxy/session",
    "proxy/wire",
    "proxy/sql",
    "proxy/policy",
    "proxy/audit",
    "proxy/metrics",
)


class Line(NamedTuple):
    """One function of the profile."""

    area: str
    name: str
    calls: int
    own_s: float
    whole_s: float


def measure(
    rig: Rig, *, mode: str, clients: int, seconds: float, top: int
) -> list[Section]:
    """A plain run for the CPU time, a profiled one for the shares."""
    with contextlib.ExitStack() as undo:
        server = rig.start_warden(undo, MODULE)
        peer = rig.peer(server)
        load = pgbench.Load(APPLICATION, ("-S", "-M", mode), clients, seconds)
        warm = pgbench.Load(APPLICATION, ("-S", "-M", mode), clients, 1)
        pgbench.run(rig, peer, warm)
        plain = pgbench.run(rig, peer, load)
        recorded = server.room / "perf.data"
        with perf.sampled(server.pid, recorded):
            pgbench.run(rig, peer, load)
        libraries = _by_library(perf.shares(recorded), plain)
        process = server.process
        if process is None:
            raise UnavailableError("pgwarden is not running")
        process.send_signal(signal.SIGUSR1)
        profiled = pgbench.run(rig, peer, load)
        process.send_signal(signal.SIGUSR2)
        lines = list(_lines(_wait_for(server.room / PROFILE)))
    title = f"pgbench -S -M {mode}, {clients} clients"
    return [
        _plain(title, plain),
        libraries,
        _by_area(lines, profiled),
        _by_function(lines, profiled, top),
    ]


def _wait_for(path: Path) -> Path:
    deadline = time.monotonic() + _WAIT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise UnavailableError("no profile was written")
        time.sleep(0.05)
    return path


def _lines(path: Path) -> Iterable[Line]:
    stats = cast(
        "dict[tuple[str, int, str], Any]", vars(pstats.Stats(str(path)))["stats"]
    )
    for (file, number, function), (_, calls, own_s, whole_s, _) in stats.items():
        area, place = _area(file, function)
        name = f"{place}:{number} {function}" if place else function
        yield Line(area, name, calls, own_s, whole_s)


def _area(file: str | os.PathLike[str], function: str) -> tuple[str, str]:
    """What a function belongs to, and its file where it has one of interest."""
    path = str(file)
    for area in _AREAS:
        if area in path:
            return area, path[path.rindex("proxy/") :]
    if path != "~":
        return "other Python", Path(path).name
    for word, area in (
        ("uvloop", "uvloop (calls from Python)"),
        ("parse_sql", "libpg_query (parser)"),
        ("msgspec", "msgspec"),
        ("Decoder", "msgspec"),
        ("_hashlib", "hashing"),
        ("_sha2", "hashing"),
        ("posix.write", "write(2) of the audit file"),
    ):
        if word in function:
            return area, ""
    return "other built-ins", ""


def _plain(title: str, run: Run) -> Section:
    section = Section(
        "cpu",
        f"{title}: CPU of pgwarden, no profiler",
        ("queries", "queries/s", "CPU µs each", "user µs", "system µs"),
    )
    each = 1e6 / run.transactions
    split_s = run.cpu.user_s + run.cpu.system_s or 1.0
    user_us, system_us = (
        run.cpu_us * part / split_s for part in (run.cpu.user_s, run.cpu.system_s)
    )
    section.figures = {
        "cpu_us": run.cpu.total_s * each,
        "user_us": user_us,
        "system_us": system_us,
    }
    section.rows.append(
        (
            f"{run.transactions:,}",
            f"{run.per_s:,.0f}",
            f"{run.cpu_us:.1f}",
            f"{user_us:.1f}",
            f"{system_us:.1f}",
        )
    )
    return section


def _by_library(shares: list[tuple[str, float]], run: Run) -> Section:
    section = Section(
        "libraries",
        "The same, sampled by perf",
        ("where the processor was", "µs a query", "share"),
    )
    for name, share in shares:
        if share >= _LEAST_SHARE:
            section.figures[name] = share * run.cpu_us
            row = (name, f"{share * run.cpu_us:.1f}", f"{share:.0%}")
            section.rows.append(row)
    if not shares:
        section.notes.append("perf is not installed, or may not look: nothing here.")
    return section


def _by_area(lines: list[Line], run: Run) -> Section:
    section = Section(
        "areas",
        "The same under cProfile, by area (own time)",
        ("area", "µs a query,\nwall clock", "share"),
    )
    sums: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        sums[line.area] += line.own_s
    known = sum(sums.values())
    sums["loop and system calls outside Python"] = max(0.0, run.cpu.total_s - known)
    whole = sum(sums.values())
    for area, seconds in sorted(sums.items(), key=lambda item: -item[1]):
        each_us = seconds / run.transactions * 1e6
        section.figures[area] = each_us
        section.rows.append((area, f"{each_us:.1f}", f"{seconds / whole:.0%}"))
    section.notes.append(
        f"{run.cpu_us:.1f} µs of CPU a query under the profiler, which weighs on small "
        "functions. proxy/server contains uvloop's writes: they show no frames."
    )
    if known > run.cpu.total_s:
        section.notes.append(
            "More wall clock than CPU: others had the processor in between. Once more?"
        )
    return section


def _by_function(lines: list[Line], run: Run, top: int) -> Section:
    section = Section(
        "functions",
        f"The {top} functions with the most own time",
        ("function", "calls\na query", "own µs\na query", "with callees"),
    )
    each = 1e6 / run.transactions
    for line in sorted(lines, key=lambda line: -line.own_s)[:top]:
        section.rows.append(
            (
                line.name,
                f"{line.calls / run.transactions:.2f}",
                f"{line.own_s * each:.2f}",
                f"{line.whole_s * each:.2f}",
            )
        )
    return section
