"""Right logins while 10,000 wrong ones come at full speed.

A fresh pgwarden with the settings' defaults; the attacker is a process of its own.
Three cases: from twenty other addresses, the same with one name for each of them, and
from the very address of the right one, which has logged in there before. A right login
is psycopg's: connect, SELECT 1, close. Next: `attacker`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from tests.bench.figures import percentile
from tests.bench.processes import resident_kib
from tests.bench.results import Section
from tests.bench.servers import IDENTITY

if TYPE_CHECKING:
    from tests.bench.plan import Plan
    from tests.bench.progress import Ticks
    from tests.bench.rig import Peer, Rig

NAME = "logins"
APPLICATION = "bench-logins"
COLUMNS = (
    "10,000 wrong logins from",
    "wrong\nlogins/s",
    "tried",
    "right\nlogins",
    "refused",
    "median ms\nbefore",
    "median ms",
    "p99 ms\nbefore",
    "p99 ms",
    "RSS MiB\nbefore",
    "RSS MiB",
    "lines",
    "records",
)
WRONG = 10_000
QUIET = 200
"""Right logins before the attack."""
MOST_RIGHT = 500
"""Right logins during it, so that the memory is that of the attack."""
PAUSE_S = 0.1
WARM = 1_000
"""Wrong logins before the first look at the memory: caches and the allocator's pools
fill once."""


@dataclass(frozen=True, slots=True)
class Case:
    """Where the attack comes from.

    Attributes:
        names: how many it tries, the right one's first. Ten, which divides the twenty
            addresses, gives each address one name only: held name by name, which is
            known only once its startup packet was read.
    """

    name: str
    label: str
    first: str
    addresses: int
    connections: int
    names: int = 11


CASES = (
    Case("elsewhere", "20 other addresses, 100 connections", "127.9.0.1", 20, 100),
    Case("names", "20 others, a name each, 100 connections", "127.9.0.1", 20, 100, 10),
    Case("same", "the same address, 40 connections", "127.0.0.1", 1, 40),
)


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return len(CASES)


def measure(rig: Rig, plan: Plan, tick: Ticks) -> Section:
    """All cases."""
    section = Section(NAME, "Logins under attack", COLUMNS)
    for case in CASES:
        _measure(rig, case, section)
        tick()
    section.notes.append(
        "One of the wrong names is the right one's. Refused: right logins that were."
    )
    return section


def _measure(rig: Rig, case: Case, section: Section) -> None:
    with contextlib.ExitStack() as undo:
        server = rig.start_warden(undo)
        peer = rig.peer(server)
        quiet = [_log_in(peer) or 0 for _ in range(QUIET)]
        with _attack(server.port, case, WARM) as warming:
            warming.communicate()
        before = resident_kib(server.pid)
        began = time.perf_counter()
        with _attack(server.port, case, WRONG) as attacker:
            tries: list[int | None] = []
            while attacker.poll() is None:
                if len(tries) < MOST_RIGHT:
                    tries.append(_log_in(peer))
                else:
                    time.sleep(PAUSE_S)
            told, _ = attacker.communicate()
        took_s = time.perf_counter() - began
        after = resident_kib(server.pid)
        server.stop()
        answers = json.loads(told)
        lines = server.log_path.read_bytes().count(b'"login')
        records = sum(
            file.read_bytes().count(b'"kind":"session.end"')
            + file.read_bytes().count(b'"logins-refused"')
            for file in server.audit_folder.rglob("*.jsonl")
        )
    times = [each for each in tries if each is not None]
    refused = len(tries) - len(times)
    records -= QUIET + len(times)
    figures = {
        "wrong_per_s": WRONG / took_s,
        "tried": answers.get("28P01", 0),
        "right": len(tries),
        "right_refused": refused,
        "median_ms_before": percentile(quiet, 50) / 1e3,
        "median_ms": percentile(times, 50) / 1e3,
        "p99_ms_before": percentile(quiet, 99) / 1e3,
        "p99_ms": percentile(times, 99) / 1e3,
        "mib_before": before / 1024,
        "mib": after / 1024,
        "lines": lines,
        "records": records,
    }
    for name, value in figures.items():
        section.figures[f"{case.name}.{name}"] = value
    added = figures["p99_ms"] - figures["p99_ms_before"]
    section.figures[f"{case.name}.added_p99_ms"] = added
    section.figures[f"{case.name}.grown_mib"] = (after - before) / 1024
    section.rows.append(
        (
            case.label,
            *(
                f"{value:.1f}" if "ms" in name or "mib" in name else f"{value:.0f}"
                for name, value in figures.items()
            ),
        )
    )


def _attack(port: int, case: Case, logins: int) -> subprocess.Popen[bytes]:
    names = [IDENTITY, *(f"name{number}" for number in range(1, case.names))]
    sizes = (str(logins), str(case.connections), case.first, str(case.addresses))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.attacker", str(port), *sizes, *names],
        stdout=subprocess.PIPE,
    )


def _log_in(peer: Peer) -> int | None:
    """Microseconds of one right login; None where it was refused."""
    began = time.perf_counter_ns()
    try:
        with peer.connect(APPLICATION) as connection:
            connection.execute("SELECT 1").fetchall()
    except psycopg.OperationalError:
        return None
    return (time.perf_counter_ns() - began) // 1_000
