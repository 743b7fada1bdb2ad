"""`pgwarden migration list|show|approve|revoke`: the ledger, and words on its proofs.

Next: `proxy.migrations.standing`, which says what a proof is worth.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli import migration_options as options
from proxy.cli.migration_show import as_json, ledger_table, show_proof
from proxy.cli.output import output
from proxy.cli.roster import by as changed_by
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.configured import signing_key_of, trust_of
from proxy.migrations.proof import Approval, Revocation, sign_approval
from proxy.migrations.standing import State, standing
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from proxy.migrations.proof import Proof
    from proxy.migrations.standing import Entry, Trust
    from proxy.store.engine import Store
    from proxy.store_settings import StoreSettings


def list_(
    *,
    database: Annotated[
        str, typer.Option("--database", metavar="NAME", help="Good for this one here.")
    ] = "",
    state: Annotated[
        State | None, typer.Option("--state", help="Only those in this state.")
    ] = None,
    is_json: options.Json = False,
    config: options.Config,
) -> None:
    """List the proofs in the ledger, the newest last, and what each is worth now.

    Example: pgwarden migration list --state approved
    """
    settings, section = options.settings_of(config)
    trust, now = trust_of(section), datetime.now(UTC)
    found, problems = _entries(options.ledger_of(settings))
    rows = [(each, standing(each, trust, now)) for each in found]
    if state is not None:
        rows = [row for row in rows if row[1].state is state]
    if database:
        rows = [row for row in rows if database in row[1].serves]
    if is_json:
        listed = [as_json(*row) for row in rows]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        output().print(ledger_table(rows))
    for problem in problems:
        typer.echo(problem, err=True)


def show(
    proof: options.ProofId, *, is_json: options.Json = False, config: options.Config
) -> None:
    """Show one proof: what ran, what it changed, and what is against it."""
    settings, section = options.settings_of(config)
    entry = _found(options.ledger_of(settings), proof)
    its = standing(entry, trust_of(section), datetime.now(UTC))
    if is_json:
        whole = as_json(entry, its, is_whole=True)
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        show_proof(entry, its)


def approve(
    proof: options.ProofId,
    *,
    note: options.Note = "",
    by: options.By = "",
    is_yes: options.Yes = False,
    config: options.Config,
) -> None:
    """Say yes to a proof, after having seen it; signed, so that production believes it.

    Needs the signing key. Whoever ran the migration can't approve it, and one person
    counts once.

    Example: pgwarden migration approve 3f9a12 --by "$GITHUB_ACTOR" --yes
    """
    settings, section = options.settings_of(config)
    store, trust = options.ledger_of(settings), trust_of(section)
    key = signing_key_of(section)
    entry, now = _found(store, proof), datetime.now(UTC)
    who = by or changed_by("", "").actor
    said = _believed(entry, trust, now)
    if who == said.identity:
        raise ConfigError(f'"{who}" ran this migration, and can\'t approve it')
    show_proof(entry, standing(entry, trust, now))
    confirm("approve this proof?", is_yes=is_yes)
    signed = sign_approval(
        Approval(
            proof=entry.signed.id,
            by=who,
            environment=section.environment,
            at=now,
            note=note,
        ),
        key,
    )
    change = changed_by(
        "migration.approve", entry.signed.id, person=who, migration=said.name, note=note
    )

    async def work(opened: Store) -> Entry:
        async with opened.changing(change) as connection:
            await ledger.add(connection, signed)
            return await ledger.find(connection, entry.signed.id)

    its = standing(ask_now(store, work), trust, now)
    output().print(f"{entry.signed.id[: ledger.SHOWN_ID]} is {its.state}")
    for reason in its.reasons:
        output().print(f"  {reason}")


def revoke(
    proof: options.ProofId,
    *,
    note: options.Note = "",
    by: options.By = "",
    config: options.Config,
) -> None:
    """Take a proof's worth, for good. Needs no key, so it works in production, too.

    It counts in the ledger where it was said; `export` takes it elsewhere.
    """
    settings, _ = options.settings_of(config)
    store = options.ledger_of(settings)
    entry = _found(store, proof)
    who = by or changed_by("", "").actor
    revocation = Revocation(
        proof=entry.signed.id, by=who, at=datetime.now(UTC), note=note
    )
    change = changed_by("migration.revoke", entry.signed.id, person=who, note=note)

    async def work(opened: Store) -> None:
        async with opened.changing(change) as connection:
            await ledger.add(connection, ledger.unsigned_revocation(revocation))

    ask_now(store, work)
    output().print(f"{entry.signed.id[: ledger.SHOWN_ID]} is {State.REVOKED}")


def confirm(question: str, *, is_yes: bool) -> None:
    """Ask a person.

    Raises:
        ConfigError: there is none, or the answer is no.
    """
    if is_yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "nobody is there to say yes", hint="--yes, if a script means it"
        )
    if not typer.confirm(question):
        raise ConfigError("nothing was done")


def _believed(entry: Entry, trust: Trust, now: datetime) -> Proof:
    its = standing(entry, trust, now)
    if its.proof is None or its.state in {
        State.UNTRUSTED,
        State.REVOKED,
        State.EXPIRED,
    }:
        raise ConfigError(
            f"this proof is {its.state}: {'; '.join(its.reasons)}",
            hint="record the migration anew on staging",
        )
    return its.proof


def _found(store: StoreSettings, prefix: str) -> Entry:
    async def work(opened: Store) -> Entry:
        async with opened.reading() as connection:
            return await ledger.find(connection, prefix)

    return ask_now(store, work)


def _entries(store: StoreSettings) -> tuple[list[Entry], list[str]]:
    async def work(opened: Store) -> tuple[list[Entry], list[str]]:
        async with opened.reading() as connection:
            return await ledger.entries(connection)

    return ask_now(store, work)
