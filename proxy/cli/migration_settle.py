"""`pgwarden migration settle`: a person's word on a run whose end nobody saw.

Next: `proxy.migrations.uses`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from proxy.audit.tail import printable
from proxy.cli import migration_options as options
from proxy.cli.migration_ledger import confirm, found
from proxy.cli.output import output
from proxy.cli.roster import by as changed_by
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.proof import Used
from proxy.migrations.uses import open_runs, told
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from proxy.migrations.standing import Entry
    from proxy.migrations.uses import Run
    from proxy.store.engine import Store


def settle(
    proof: options.ProofId,
    database: Annotated[
        str, typer.Argument(metavar="DATABASE", help="Where it ran, as called here.")
    ],
    *,
    is_rolled_back: Annotated[
        bool,
        typer.Option("--rolled-back", help="Nothing of it is there: it may run again."),
    ] = False,
    is_committed: Annotated[
        bool, typer.Option("--committed", help="All of it is there.")
    ] = False,
    note: options.Note = "",
    by: options.By = "",
    is_yes: options.Yes = False,
    config: options.Config,
) -> None:
    """Say how a run ended whose end nobody saw, as when pgwarden was killed during it.

    Until then its proof lets nothing pass in this database. Look into the database
    first: whether the migration's changes are there, and that no session runs it any
    more. Of one that took effect in part say nothing: repair it, and record anew. Needs
    no key, so it works in production; who said it is kept.

    Example: pgwarden migration settle 3f9a12 shop --rolled-back --note "killed at 12"
    """
    if is_rolled_back == is_committed:
        raise ConfigError(
            "say how the run ended: --rolled-back or --committed",
            hint="look into the database whether its changes are there",
        )
    settings, _ = options.settings_of(config)
    store = options.ledger_of(settings)
    entry = found(store, proof)
    run = _open(entry, database)
    step = Used.ROLLED_BACK if is_rolled_back else Used.COMMITTED
    name = entry.signed.id[: ledger.SHOWN_ID]
    who = by or changed_by("", "").actor
    typer.echo(printable(f'proof {name} in "{database}": {told(run)}'))
    consequence = (
        "its proof may be used once more" if is_rolled_back else "its proof is used up"
    )
    confirm(f"say that this run was {step}, so that {consequence}?", is_yes=is_yes)
    word = structs.replace(
        run.begun, step=step, at=datetime.now(UTC), settled_by=who, note=note
    )
    change = changed_by(
        "migration.settle",
        entry.signed.id,
        person=who,
        database=database,
        ended=step.value,
        note=note,
    )

    async def work(opened: Store) -> None:
        async with opened.changing(change) as connection:
            await ledger.settle(connection, word)

    ask_now(store, work)
    output().print(f"{name} was {step} in this run: {consequence}")


def _open(entry: Entry, database: str) -> Run:
    """The one run that waits for a word.

    Raises:
        ConfigError: there is none, or several.
    """
    waiting = open_runs(entry.uses, database)
    name = entry.signed.id[: ledger.SHOWN_ID]
    if not waiting:
        others = {each.begun.database for each in open_runs(entry.uses)}
        where = f"; one does in {', '.join(sorted(others))}" if others else ""
        raise ConfigError(
            f'no run of proof {name} in "{database}" waits for a word on its '
            f"end{where}",
            hint="pgwarden migration show says what is known of its runs",
        )
    if len(waiting) > 1:
        raise ConfigError(
            f'{len(waiting)} runs of proof {name} in "{database}" have no end, which '
            "pgwarden does not let happen: the store was changed by another hand",
            hint="record the migration anew on staging",
        )
    return waiting[0]
