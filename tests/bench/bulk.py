"""A long `COPY … TO STDOUT` and a wide SELECT: bytes per second, of direct.

The client logs in as any other and then only counts bytes, so that the pace is that of
the server and the proxy; a client that looks at rows would hide the proxy's cost behind
its own. Next: `rig`.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from proxy.errors import UnavailableError
from tests.bench.figures import median_ratio, ratios, spread
from tests.bench.processes import cpu
from tests.bench.results import ABSENT, Section

if TYPE_CHECKING:
    from tests.bench.plan import Plan, Tally
    from tests.bench.progress import Ticks
    from tests.bench.rig import Peer, Rig

NAME = "bulk"
APPLICATION = "bench-bulk"
COLUMNS = (
    "result",
    "MiB",
    "direct\nMiB/s",
    "PgBouncer\nof direct",
    "pgwarden\nof direct",
    "rounds",
    "PgBouncer\nCPU s/GiB",
    "pgwarden\nCPU s/GiB",
)
_MIB = 1 << 20
_READ = 1 << 20
_STALL_S = 60.0
_END = b"Z\0\0\0\5I"
_ROW_BYTES = {"narrow": 205, "wide": 1_810}
_NARROW = """
    CREATE UNLOGGED TABLE narrow AS
    SELECT id, '2026-01-01'::timestamptz + id * interval '1 second' AS created_at,
           (id % 100000)::numeric / 100 AS amount, id % 5000 AS customer_id,
           (ARRAY['new','paid','sent','done'])[1 + id % 4] AS status,
           repeat(md5(id::text), 4) AS note
    FROM generate_series(1, {rows}) AS id
"""
_WIDE_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Task:
    """One long result."""

    name: str
    title: str
    statement: bytes


TASKS = (
    Task("copy", "COPY … TO STDOUT, 200-byte rows", b"COPY narrow TO STDOUT"),
    Task("select", "SELECT, 40 columns, 2 kB rows", b"SELECT * FROM wide"),
)


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return 1 + len(TASKS) * (plan.bulk_rounds * 3 + 1)


def measure(rig: Rig, plan: Plan, tally: Tally, tick: Ticks) -> Section:
    """Both results, in alternating rounds."""
    section = Section(NAME, "Bulk", COLUMNS)
    _fill(rig, plan)
    tick()
    for task in TASKS:
        read(rig.direct, task.statement)  # once for the page cache
        tick()
        rates: dict[str, list[float]] = {peer.name: [] for peer in rig.peers}
        costs: dict[str, list[float]] = {peer.name: [] for peer in rig.peers}
        received = 0
        for number, peer in rig.turns(plan.bulk_rounds):
            before = cpu(peer.pid)
            received, seconds = read(peer, task.statement)
            used = cpu(peer.pid).since(before).total_s
            rates[peer.name].append(received / _MIB / seconds)
            costs[peer.name].append(used / received * 1024 * _MIB)
            if peer.name == "pgwarden":
                tally.sent[APPLICATION] += 1
            section.rounds.append(
                {
                    "task": task.name,
                    "round": number,
                    "peer": peer.name,
                    "bytes": received,
                    "seconds": seconds,
                    "cpu_s": used,
                }
            )
            tick()
        _summarise(section, task, received, rates, costs)
    rig.execute("DROP TABLE narrow, wide")
    section.notes.append("The client counts bytes and looks at none of them.")
    return section


def _fill(rig: Rig, plan: Plan) -> None:
    wanted = plan.bulk_mib * _MIB
    rig.execute(_NARROW.format(rows=wanted // _ROW_BYTES["narrow"]))
    # The same 40 columns in every row, but values that differ from row to row.
    columns = ", ".join(
        f"md5((id + {n})::text) || 'abcdefghij' AS c{n}" for n in range(_WIDE_COLUMNS)
    )
    rows = wanted // _ROW_BYTES["wide"]
    rig.execute(
        f"CREATE UNLOGGED TABLE wide AS SELECT {columns} "
        f"FROM generate_series(1, {rows}) AS id"
    )
    rig.grant()


def read(peer: Peer, statement: bytes) -> tuple[int, float]:
    """Run one statement and throw the result away; returns bytes and seconds.

    Raises:
        UnavailableError: it was refused, or nothing came for a long time.
    """
    with peer.connect(APPLICATION) as connection:
        # libpq has no way to let a result pass unread, so we read behind its back; it
        # is only asked to close afterwards.
        raw = socket.socket(fileno=os.dup(connection.fileno()))
        with raw:
            raw.settimeout(_STALL_S)
            started = time.perf_counter()
            raw.sendall(
                b"Q" + struct.pack("!i", len(statement) + 5) + statement + b"\0"
            )
            received = _drain(raw)
            return received, time.perf_counter() - started


def _drain(raw: socket.socket) -> int:
    buffer = bytearray(_READ)
    view = memoryview(buffer)
    received = 0
    tail = b""
    while not (tail.endswith(_END) and received > len(_END)):
        try:
            count = raw.recv_into(buffer)
        except TimeoutError as error:
            raise UnavailableError("the result stopped coming") from error
        if not count:
            raise UnavailableError("the connection ended in the middle of a result")
        if not received and buffer[:1] == b"E":
            raise UnavailableError(f"refused: {bytes(view[:count])!r}")
        received += count
        # ReadyForQuery can only be the end: no data of ours looks like it.
        tail = (tail + bytes(view[max(0, count - len(_END)) : count]))[-len(_END) :]
    return received


def _summarise(
    section: Section,
    task: Task,
    received: int,
    rates: dict[str, list[float]],
    costs: dict[str, list[float]],
) -> None:
    direct, ours = rates["direct"], rates["pgwarden"]
    figures = {
        "bytes": float(received),
        "direct_mib_per_s": median(direct),
        "pgwarden_mib_per_s": median(ours),
        "of_direct": median_ratio(ours, direct),
        "pgwarden_cpu_s_per_gib": median(costs["pgwarden"]),
    }
    theirs = rates.get("PgBouncer")
    if theirs:
        figures["pgbouncer_mib_per_s"] = median(theirs)
        figures["pgbouncer_of_direct"] = median_ratio(theirs, direct)
        figures["pgbouncer_cpu_s_per_gib"] = median(costs["PgBouncer"])
    section.figures |= {f"{task.name}.{key}": value for key, value in figures.items()}
    section.rows.append(
        (
            task.title,
            f"{received / _MIB:,.0f}",
            f"{figures['direct_mib_per_s']:,.0f}",
            f"{figures['pgbouncer_of_direct']:.2f}" if theirs else ABSENT,
            f"{figures['of_direct']:.2f}",
            spread(ratios(ours, direct)),
            f"{figures['pgbouncer_cpu_s_per_gib']:.2f}" if theirs else ABSENT,
            f"{figures['pgwarden_cpu_s_per_gib']:.2f}",
        )
    )
