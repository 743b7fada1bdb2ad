"""`pgwarden migration export|import|verify`: a ledger as one signed file.

Next: `proxy.migrations.bundle`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli import migration_options as options
from proxy.cli.new_password import OutputFile
from proxy.cli.output import counted, output
from proxy.cli.roster import by as changed_by
from proxy.errors import ConfigError, reason_of
from proxy.migrations import bundle, ledger
from proxy.migrations.configured import signing_key_of, trust_of
from proxy.migrations.proof import PROOF
from proxy.migrations.standing import Entry, State, standing
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from proxy.migrations.bundle import Bundle
    from proxy.migrations.standing import Trust
    from proxy.store.engine import Store

File = Annotated[Path, typer.Argument(metavar="FILE", help="A file of `export`.")]


def export(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    proofs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]", help="Only these proofs; all without."),
    ] = None,
    *,
    config: options.Config,
) -> None:
    """Write the ledger, or some proofs of it, to one signed file.

    For production behind a network that nothing crosses but a file. It holds what was
    recorded, approvals and revocations, and the schemas; never a key or a row of data.

    Example: pgwarden migration export shop.ledger 3f9a12
    """
    settings, section = options.settings_of(config)
    key = signing_key_of(section)

    async def work(store: Store) -> tuple[list[Entry], dict[str, bytes]]:
        async with store.reading() as connection:
            if proofs:
                found = [await ledger.find(connection, each) for each in proofs]
            else:
                found, problems = await ledger.entries(connection)
                if problems:
                    raise ConfigError("\n".join(problems))
            return found, await ledger.packed_schemas(connection, found)

    found, schemas = ask_now(options.ledger_of(settings), work)
    documents = [
        signed
        for each in found
        for signed in (each.signed, *each.approvals, *each.revocations)
    ]
    data = bundle.written(
        documents,
        schemas,
        environment=section.environment,
        made_at=datetime.now(UTC),
        key=key,
    )
    with OutputFile(to) as file:
        file.write(data.decode())
    output().print(f"{counted(len(found), 'proof')} in {to}")


def import_(
    source: File, *, is_json: options.Json = False, config: options.Config
) -> None:
    """Take over the proofs of a file: all of them, or with anything wrong none.

    Each proof must be whole, of a key that is known here, and of a database that the
    settings take proofs from. What is there already stays as it is.
    """
    settings, section = options.settings_of(config)
    store, trust = options.ledger_of(settings), trust_of(section)
    found = bundle.read(_bytes(source), trust.keys)
    problems = list(found.problems) or _foreign(found, trust)
    if problems:
        raise ConfigError(
            f"nothing was taken over from {source}:\n" + "\n".join(problems)
        )
    change = changed_by("migration.import", source.name, **_counts(found))

    async def work(opened: Store) -> int:
        async with opened.changing(change) as connection:
            added = [await ledger.add(connection, each) for each in found.documents]
            for packed in found.schemas.values():
                await ledger.add_snapshot(connection, ledger.unpacked(packed))
            return sum(added)

    new = ask_now(store, work)
    known = len(found.documents) - new
    if is_json:
        typer.echo(json.dumps({"new": new, "known": known, **bundle.summary(found)}))
    else:
        output().print(f"{counted(new, 'document')} new, {known:,} there already")


def verify(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A file of `export`; else the ledger."),
    ] = None,
    *,
    is_json: options.Json = False,
    config: options.Config,
) -> None:
    """Check every signature and digest of the ledger, or of a file, and name changes.

    Exit status 0: all is as it was signed. 1: something is not.
    """
    settings, section = options.settings_of(config)
    trust = trust_of(section)
    if source is not None:
        found = bundle.read(_bytes(source), trust.keys)
        count, problems = len(found.documents), list(found.problems)
    else:

        async def work(store: Store) -> tuple[int, list[str]]:
            async with store.reading() as connection:
                return await ledger.verified(connection, trust.keys)

        count, problems = ask_now(options.ledger_of(settings), work)
    if is_json:
        typer.echo(json.dumps({"documents": count, "problems": problems}, indent=2))
    else:
        for problem in problems:
            typer.echo(problem)
        wrong = counted(len(problems), "problem")
        output().print(f"{counted(count, 'document')} as signed, {wrong}")
    if problems:
        raise typer.Exit(1)


def _foreign(found: Bundle, trust: Trust) -> list[str]:
    """Proofs that mean nothing here: of another database, or dated ahead."""
    now = datetime.now(UTC)
    judged = [
        (signed, standing(Entry(signed), trust, now))
        for signed in found.documents
        if signed.kind == PROOF
    ]
    return [
        f"proof {signed.id[: ledger.SHOWN_ID]}: {reason}"
        for signed, its in judged
        if its.state is State.UNTRUSTED
        for reason in its.reasons
    ]


def _counts(found: Bundle) -> dict[str, str]:
    counts: dict[str, Any] = bundle.summary(found)
    return {key: str(value) for key, value in counts.items()}


def _bytes(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f'"{source}" can\'t be read: {reason_of(error)}') from error
