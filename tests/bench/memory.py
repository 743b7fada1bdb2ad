"""Memory of an idle session: growth of the resident set over many of them.

Each measurement has a fresh process, and some sessions come in before the first look,
so that neither what an earlier one gave back nor what the first session makes for all
is counted. Each session has logged in and read a row. Next: `processes`.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tests.bench.processes import resident_kib
from tests.bench.results import ABSENT, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.plan import Plan
    from tests.bench.progress import Ticks
    from tests.bench.rig import Rig
    from tests.bench.servers import Server

NAME = "memory"
APPLICATION = "bench-memory"
SSLMODES = {"plain": "disable", "tls": "require"}
COLUMNS = (
    "idle session",
    "sessions",
    "PgBouncer KiB",
    "pgwarden KiB",
    "pgwarden MiB\nwith all of them",
)
WARM_SESSIONS = 20
_SETTLE_S = 0.5
_TURNS = 2


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return len(SSLMODES) * _TURNS


def measure(rig: Rig, plan: Plan, tick: Ticks) -> Section:
    """Plain and TLS, both proxies."""
    section = Section(NAME, "Memory", COLUMNS)
    for name, sslmode in SSLMODES.items():
        ours, whole = _growth(rig, rig.start_warden, sslmode, plan.sessions)
        tick()
        section.figures[f"{name}.kib"] = ours
        section.figures[f"{name}.all_mib"] = whole / 1024
        shown = ABSENT
        if rig.bouncer is not None:
            theirs, _ = _growth(rig, rig.start_bouncer, sslmode, plan.sessions)
            section.figures[f"{name}.pgbouncer_kib"] = theirs
            shown = f"{theirs:.1f}"
        tick()
        label = {"plain": "plain", "tls": "TLS"}[name]
        section.rows.append(
            (label, str(plan.sessions), shown, f"{ours:.1f}", f"{whole / 1024:.1f}")
        )
    section.notes.append("Under uvloop; the kernel's socket buffers are not counted.")
    return section


def _growth(
    rig: Rig,
    start: Callable[[contextlib.ExitStack], Server],
    sslmode: str,
    sessions: int,
) -> tuple[float, int]:
    """KiB for each of `sessions`, and for a fresh process with all of them."""
    with contextlib.ExitStack() as undo:
        server = start(undo)
        peer = rig.peer(server)
        connected = undo.enter_context(contextlib.ExitStack())

        def come_in(count: int) -> int:
            for _ in range(count):
                session = connected.enter_context(peer.connect(APPLICATION, sslmode))
                session.execute("SELECT 1").fetchall()
            time.sleep(_SETTLE_S)
            return resident_kib(server.pid)

        before = come_in(WARM_SESSIONS)
        after = come_in(sessions)
    return (after - before) / sessions, after
