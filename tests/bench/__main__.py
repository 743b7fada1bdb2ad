"""`python -m tests.bench`: direct, PgBouncer and pgwarden side by side.

Starts all that it needs on free loopback ports and stops it again. What the figures
mean is docs/explanation/performance.md. Next: `rig`, `throughput`, `results`.
"""

from __future__ import annotations

import contextlib
import signal
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from proxy.errors import PgwardenError
from tests.bench import (
    audit_check,
    bulk,
    connections,
    decisions,
    logins,
    memory,
    micro,
    profiling,
    report,
    throughput,
)
from tests.bench.plan import QUICK, Plan, Tally
from tests.bench.progress import bar
from tests.bench.results import hold
from tests.bench.rig import Rig
from tests.bench.servers import find_bouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.progress import Bar
    from tests.bench.results import Section

LOADS = (throughput, bulk, connections)
"""These use one pgwarden, whose audit log is checked at the end."""
FRESH = (memory, logins)
"""These start a pgwarden of their own."""
ALONE = (decisions, micro)
"""These need no server."""
NAMES = (
    *(part.NAME for part in LOADS),
    *(part.NAME for part in FRESH),
    *(part.NAME for part in ALONE),
    audit_check.NAME,
)
USAGE = 2
PAGE = 150
NO_BOUNCER = """\
pgbouncer is not installed, and the floors compare with it: apt-get install pgbouncer
(or leave it out, and its floors unmeasured, with --without-pgbouncer)"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
errors = Console(stderr=True)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"One of: {', '.join(NAMES)}. Repeatable."),
    ] = None,
    is_quick: Annotated[
        bool, typer.Option("--quick", help="A minute; for a look, not for the docs.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Figures and rounds.")
    ] = None,
    is_check: Annotated[
        bool, typer.Option("--check", help="Exit status 1 if a floor does not hold.")
    ] = False,
    without_bouncer: Annotated[
        bool, typer.Option("--without-pgbouncer", help="Leave PgBouncer out.")
    ] = False,
    before: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="CHECKOUT",
            exists=True,
            file_okay=False,
            resolve_path=True,
            help="Another pgwarden, set up with `make setup`, to measure beside.",
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="Of a pgbench.")] = None,
    bulk_mib: Annotated[int | None, typer.Option(min=1, help="A bulk result.")] = None,
) -> None:
    """Measure pgwarden against a bare Postgres and against PgBouncer."""
    if context.invoked_subcommand is not None:
        return
    base = QUICK if is_quick else Plan()
    plan = replace(
        base,
        rounds=rounds or base.rounds,
        bulk_rounds=rounds or base.bulk_rounds,
        seconds=seconds or base.seconds,
        bulk_mib=bulk_mib or base.bulk_mib,
        before=before,
    )
    wanted = _wanted(only)
    needs_servers = bool(wanted - {part.NAME for part in ALONE})
    if needs_servers and not without_bouncer and find_bouncer() is None:
        _complain(NO_BOUNCER)
        raise typer.Exit(USAGE)
    console = _console()
    if note := report.load_note():
        console.print(note, style="bold yellow")
    sections, found = _measure(console, plan, wanted, with_bouncer=not without_bouncer)
    held = hold(sections, wanted)
    report.show_floors(console, held)
    if needs_servers and without_bouncer:
        _complain("PgBouncer was left out: its floors are not measured")
    report.show_machine(console, found)
    if json_file is not None:
        report.write_json(
            json_file, found=found, plan=plan, sections=sections, held=held
        )
    if is_check and any(one.verdict != "pass" for one in held):
        raise typer.Exit(1)


@app.command()
def profile(
    mode: Annotated[str, typer.Option(help="simple or prepared.")] = "simple",
    clients: Annotated[int, typer.Option(min=1, help="Of pgbench.")] = 8,
    seconds: Annotated[float, typer.Option(min=1, help="Of each of two runs.")] = 5,
    top: Annotated[int, typer.Option(min=1, help="Functions to show.")] = 30,
) -> None:
    """Show where the time of a query goes."""
    if mode not in throughput.MODES:
        _complain(f"--mode is one of: {', '.join(throughput.MODES)}")
        raise typer.Exit(USAGE)
    console = _console()
    with (
        bar(errors) as progress,
        progress.part("profiling", None),
        Rig(with_bouncer=False, scale=QUICK.scale) as rig,
    ):
        sections = profiling.measure(
            rig, mode=mode, clients=clients, seconds=seconds, top=top
        )
    for section in sections:
        report.show(console, section)
    report.show_machine(console, report.machine(rig.postgres_version))


def _complain(text: str) -> None:
    errors.print(text, style="bold red", markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    """As wide as the tables where there is no terminal to ask."""
    console = Console()
    return console if console.is_terminal else Console(width=PAGE)


def _wanted(only: list[str] | None) -> set[str]:
    """The parts to run; the audit check goes with whatever fills the log."""
    unknown = set(only or ()) - set(NAMES)
    if unknown:
        said = f"no part is called {', '.join(sorted(unknown))}; there are: "
        _complain(said + ", ".join(NAMES))
        raise typer.Exit(USAGE)
    wanted = set(only or NAMES)
    if wanted == {audit_check.NAME}:
        wanted.add(throughput.NAME)  # something has to be in the log
    if wanted & {part.NAME for part in LOADS}:
        wanted.add(audit_check.NAME)
    return wanted


def _measure(
    console: Console, plan: Plan, wanted: set[str], *, with_bouncer: bool
) -> tuple[list[Section], report.Machine]:
    """Every wanted part, shown as soon as it is there; and what it ran on."""
    sections: list[Section] = []
    alone = [part for part in ALONE if part.NAME in wanted]
    with bar(errors) as progress:
        # First, before the servers are there to disturb.
        for part in alone:
            with progress.part(part.NAME, part.ticks(plan)) as tick:
                sections.append(part.measure(plan, tick))
            report.show(console, sections[-1])
        if len(wanted) == len(alone):
            return sections, report.machine("")
        with contextlib.ExitStack() as undo:
            with progress.part("starting the servers", None):
                rig = Rig(
                    with_bouncer=with_bouncer, scale=plan.scale, before=plan.before
                )
                undo.enter_context(rig)
            for section in _with_servers(rig, plan, wanted, progress):
                sections.append(section)
                report.show(console, section)
    return sections, report.machine(rig.postgres_version)


def _with_servers(
    rig: Rig, plan: Plan, wanted: set[str], progress: Bar
) -> Iterator[Section]:
    tally = Tally()
    for load in LOADS:
        if load.NAME in wanted:
            with progress.part(load.NAME, load.ticks(plan)) as tick:
                section = load.measure(rig, plan, tally, tick)
            yield section
    for part in FRESH:
        if part.NAME in wanted:
            with progress.part(part.NAME, part.ticks(plan)) as tick:
                section = part.measure(rig, plan, tick)
            yield section
    if audit_check.NAME in wanted:
        rig.warden.stop()
        with progress.part(audit_check.NAME, 2) as tick:
            section = audit_check.measure(rig.warden.audit_folder, tally, tick)
        yield section


def main() -> None:
    """Run; what went wrong is one line, and whatever was started is stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        app(prog_name="python -m tests.bench")
    except PgwardenError as error:
        _complain(f"bench: {error}")
        raise SystemExit(USAGE) from None


if __name__ == "__main__":
    main()
