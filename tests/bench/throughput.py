"""`pgbench -S`, simple and prepared, few and many clients: rates, latency, CPU.

Simple mode sends a new text every time, so pgwarden judges every one afresh; prepared
mode sends one text a session. Next: `pgbench`.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench import pgbench
from tests.bench.figures import median_difference, median_ratio, ratios, spread
from tests.bench.results import ABSENT, Section

if TYPE_CHECKING:
    from tests.bench.pgbench import Run
    from tests.bench.plan import Plan, Tally
    from tests.bench.progress import Ticks
    from tests.bench.rig import Rig

NAME = "throughput"
APPLICATION = "bench-throughput"
MODES = ("simple", "prepared")
CLIENTS = (1, 8)
COLUMNS = (
    "pgbench -S",
    "direct/s",
    "PgBouncer\nof direct",
    "pgwarden\nof direct",
    "pgwarden of\nPgBouncer",
    "p50 direct\nµs",
    "PgBouncer\nadds µs",
    "pgwarden\nadds µs",
    "PgBouncer\nCPU µs",
    "pgwarden\nCPU µs",
    "CPU of\nPgBouncer",
)
Runs = dict[str, list["Run"]]


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return len(MODES) * len(CLIENTS) * plan.rounds * (3 if plan.before is None else 4)


def measure(rig: Rig, plan: Plan, tally: Tally, tick: Ticks) -> Section:
    """All modes and numbers of clients, in alternating rounds."""
    section = Section(NAME, "Throughput, latency, CPU per query", COLUMNS)
    for mode in MODES:
        for clients in CLIENTS:
            load = pgbench.Load(APPLICATION, ("-S", "-M", mode), clients, plan.seconds)
            runs: Runs = {peer.name: [] for peer in rig.peers}
            for number, peer in rig.turns(plan.rounds):
                done = pgbench.run(rig, peer, load)
                runs[peer.name].append(done)
                if peer.name == "pgwarden":
                    tally.sent[APPLICATION] += done.transactions
                section.rounds.append(_raw(mode, clients, number, peer.name, done))
                tick()
            _summarise(section, f"{mode}.{clients}", runs)
    section.notes.append(
        "Ratios and differences are taken within a round; the medians of them are "
        "shown. One thread of pgbench, logging every latency."
    )
    return section


def _raw(
    mode: str, clients: int, number: int, peer: str, done: Run
) -> dict[str, object]:
    return {
        "mode": mode,
        "clients": clients,
        "round": number,
        "peer": peer,
        "transactions": done.transactions,
        "per_s": done.per_s,
        "p50_us": done.p50_us,
        "p99_us": done.p99_us,
        "cpu_us": done.cpu_us,
        "cpu_user_s": done.cpu.user_s,
        "cpu_system_s": done.cpu.system_s,
    }


def _summarise(section: Section, name: str, runs: Runs) -> None:
    figures: dict[str, float] = {}
    rates = {peer: [one.per_s for one in each] for peer, each in runs.items()}
    halves = {peer: [one.p50_us for one in each] for peer, each in runs.items()}
    cpus = {peer: [one.cpu_us for one in each] for peer, each in runs.items()}
    for peer, each in rates.items():
        figures[f"{peer.lower()}_per_s"] = median(each)
        figures[f"{peer.lower()}_p50_us"] = median(halves[peer])
        if peer != "direct":
            figures[f"{peer.lower()}_cpu_us"] = median(cpus[peer])
            figures[f"{peer.lower()}_adds_us"] = median_difference(
                halves[peer], halves["direct"]
            )
    ours = runs["pgwarden"]
    figures["pgwarden_system_share"] = sum(one.cpu.system_s for one in ours) / sum(
        one.cpu.user_s + one.cpu.system_s for one in ours
    )
    figures["of_direct"] = median_ratio(rates["pgwarden"], rates["direct"])
    if "PgBouncer" in runs:
        theirs = rates["PgBouncer"]
        figures["pgbouncer_of_direct"] = median_ratio(theirs, rates["direct"])
        figures["of_pgbouncer"] = median_ratio(rates["pgwarden"], theirs)
        figures["cpu_of_pgbouncer"] = median_ratio(cpus["pgwarden"], cpus["PgBouncer"])
        rounds = spread(ratios(rates["pgwarden"], theirs))
        section.notes.append(f"{name}: of PgBouncer {rounds} over the rounds.")
    if "before" in runs:
        grown = ratios(cpus["pgwarden"], cpus["before"])
        figures["cpu_of_before"] = median(grown)
        section.notes.append(
            f"{name}: CPU of a query {median(grown):.2f} of that before "
            f"({figures['before_cpu_us']:.1f} µs), {spread(grown)} over the rounds."
        )
    section.figures |= {f"{name}.{key}": value for key, value in figures.items()}
    section.rows.append(_row(name, figures))


def _row(name: str, figures: dict[str, float]) -> tuple[str, ...]:
    def shown(key: str, form: str) -> str:
        return format(figures[key], form) if key in figures else ABSENT

    mode, _, clients = name.partition(".")
    return (
        f"{mode}, {clients} client{'s' if clients != '1' else ''}",
        shown("direct_per_s", ",.0f"),
        shown("pgbouncer_of_direct", ".2f"),
        shown("of_direct", ".2f"),
        shown("of_pgbouncer", ".2f"),
        shown("direct_p50_us", ",.0f"),
        shown("pgbouncer_adds_us", "+,.0f"),
        shown("pgwarden_adds_us", "+,.0f"),
        shown("pgbouncer_cpu_us", ".1f"),
        shown("pgwarden_cpu_us", ".1f"),
        shown("cpu_of_pgbouncer", ".2f"),
    )
