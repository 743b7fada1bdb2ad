"""The way back of a proven migration: said with an approval, and shown when needed.

Next: `proxy.migrations.way_back`; `proxy.cli.migration_ledger`, which asks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from proxy.audit.tail import printable
from proxy.errors import ConfigError
from proxy.migrations.check_proven import Known
from proxy.migrations.ledger import SHOWN_ID
from proxy.migrations.way_back import read_plan, scripts, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.proof import Approval, Proof
    from proxy.migrations.standing import Entry, Standing

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--way-back",
        metavar="PLAN.json",
        help="How it is taken back: what `rollback-plan --json` wrote, tried. Signed "
        "with the yes.",
    ),
]
NoWayBack = Annotated[
    bool,
    typer.Option(
        "--no-way-back",
        help="Say that it can't be taken back, so that one would have to restore.",
    ),
]
ScriptOnly = Annotated[
    bool,
    typer.Option(
        "--way-back", help="Only the script that takes it back, to run with psql."
    ),
]


def with_way_back(
    approval: Approval, its: Standing, *, plan: Path | None, is_none: bool
) -> Approval:
    """The approval with what it says of the way back.

    Args:
        approval: without it.
        its: what the proof is worth; it has to say something.
        plan: see `PlanFile`.
        is_none: see `NoWayBack`.

    Raises:
        ConfigError: both are said, or the plan has no way back that held.
    """
    if plan is not None and is_none:
        raise ConfigError("--way-back and --no-way-back contradict each other")
    if is_none:
        return structs.replace(approval, way_back="none")
    if plan is None or its.proof is None:
        return approval
    found = taken(read_plan(plan), Known(approval.proof[:SHOWN_ID], its.proof, its))
    return structs.replace(
        approval,
        way_back="tried",
        way_back_script=found.script,
        way_back_loses=found.loses,
    )


def show_ways_back(approvals: Sequence[Approval]) -> None:
    """What is said of the way back, for people."""
    for each in approvals:
        if each.way_back == "none":
            typer.echo(
                printable(f"-- way back, as {each.by} says: none; restore instead")
            )
        elif each.way_back == "tried":
            typer.echo(printable(f"-- way back, tried, as {each.by} says:"))
            for line in each.way_back_script.splitlines() or ["-- nothing to undo"]:
                typer.echo(printable(line))
            for lost in each.way_back_loses:
                typer.echo(printable(f"  loses {lost}"))


def show_script(entry: Entry, its: Standing) -> None:
    """The script that takes it back, by itself, as it was tried.

    Raises:
        ConfigError: nobody who counts has named one, or several different ones.
    """
    name = entry.signed.id[:SHOWN_ID]
    found = scripts(its.approvals)
    if not found:
        raise ConfigError(_without_script(name, its.proof, way_back=its.way_back))
    if len(found) > 1:
        who = "; ".join(", ".join(each) for each in found.values())
        raise ConfigError(
            f"those who approved it name different ways back: {who}",
            hint=f"pgwarden migration show {name} has each of them",
        )
    (script,) = found
    if sys.stdout.isatty():
        script = "\n".join(map(printable, script.splitlines()))
    typer.echo(script, nl=not script.endswith("\n"))


def _without_script(name: str, proof: Proof | None, *, way_back: str) -> str:
    if way_back == "none" and proof is not None:
        return (
            f'migration "{proof.name}" can\'t be taken back, as those say who approved '
            "it: restore instead"
        )
    return f"nobody who counts has named a way back of proof {name}"
