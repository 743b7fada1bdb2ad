"""Connect, `SELECT 1`, close: how many a second, plain and with TLS.

`pgbench -C` with four clients in four threads: libpq's own derivation of the SCRAM keys
costs each of them a good part of a connection's time. PgBouncer hands its open server
connections on; pgwarden dials anew for each client. Next: `pgbench`.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench import pgbench
from tests.bench.figures import median_difference, median_ratio
from tests.bench.results import ABSENT, Section

if TYPE_CHECKING:
    from tests.bench.plan import Plan, Tally
    from tests.bench.progress import Ticks
    from tests.bench.rig import Rig

NAME = "connections"
APPLICATION = "bench-connections"
SSLMODES = {"plain": "disable", "tls": "require"}
CLIENTS = 4
COLUMNS = (
    "connect, SELECT 1, close",
    "direct/s",
    "PgBouncer/s",
    "pgwarden/s",
    "pgwarden\nof direct",
    "pgwarden adds\nms (p50)",
    "PgBouncer\nCPU µs",
    "pgwarden\nCPU µs",
)


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return len(SSLMODES) * plan.rounds * 3


def measure(rig: Rig, plan: Plan, tally: Tally, tick: Ticks) -> Section:
    """Plain and TLS, in alternating rounds."""
    section = Section(NAME, "Connections", COLUMNS)
    script = rig.folder / "select1.sql"
    script.write_text("SELECT 1;\n")
    for name, sslmode in SSLMODES.items():
        load = pgbench.Load(
            APPLICATION,
            ("-C", "-f", str(script)),
            CLIENTS,
            max(1.0, plan.seconds / 2),
            threads=CLIENTS,
            sslmode=sslmode,
        )
        runs: dict[str, list[pgbench.Run]] = {peer.name: [] for peer in rig.peers}
        for number, peer in rig.turns(plan.rounds):
            done = pgbench.run(rig, peer, load)
            runs[peer.name].append(done)
            if peer.name == "pgwarden":
                tally.sent[APPLICATION] += done.transactions
            section.rounds.append(
                {
                    "tls": name == "tls",
                    "round": number,
                    "peer": peer.name,
                    "per_s": done.per_s,
                    "p50_us": done.p50_us,
                    "cpu_us": done.cpu_us,
                }
            )
            tick()
        _summarise(section, name, runs)
    section.notes.append("TLS on the client's side only; PgBouncer keeps its pool.")
    return section


def _summarise(section: Section, name: str, runs: dict[str, list[pgbench.Run]]) -> None:
    rates = {peer: [one.per_s for one in each] for peer, each in runs.items()}
    ours, direct = runs["pgwarden"], runs["direct"]
    added_us = median_difference(
        [one.p50_us for one in ours], [one.p50_us for one in direct]
    )
    figures = {
        f"{peer.lower()}_per_s": median(each) for peer, each in rates.items()
    } | {
        "of_direct": median_ratio(rates["pgwarden"], rates["direct"]),
        "pgwarden_adds_us": added_us,
        "pgwarden_cpu_us": median(one.cpu_us for one in ours),
    }
    theirs = runs.get("PgBouncer")
    if theirs:
        figures["pgbouncer_cpu_us"] = median(one.cpu_us for one in theirs)
    section.figures |= {f"{name}.{key}": value for key, value in figures.items()}
    section.rows.append(
        (
            {"plain": "plain", "tls": "TLS"}[name],
            f"{figures['direct_per_s']:,.0f}",
            f"{figures['pgbouncer_per_s']:,.0f}" if theirs else ABSENT,
            f"{figures['pgwarden_per_s']:,.0f}",
            f"{figures['of_direct']:.2f}",
            f"{added_us / 1000:+.2f}",
            f"{figures['pgbouncer_cpu_us']:,.0f}" if theirs else ABSENT,
            f"{figures['pgwarden_cpu_us']:,.0f}",
        )
    )
