"""`pgwarden migration digest|drift`: a schema's digest, and where two schemas differ.

Next: `proxy.migrations.schema`, `proxy.migrations.schema_digest`.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli import migration_options as options
from proxy.cli.asking import session
from proxy.cli.migration_show import difference_json, show_difference
from proxy.cli.output import counted, output
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.configured import scope_of, trust_of
from proxy.migrations.proof import Outcome, read_proof
from proxy.migrations.schema import read
from proxy.migrations.schema_digest import differences, digest, object_digests
from proxy.migrations.standing import State, standing
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.migrations.schema import Scope, Snapshot
    from proxy.migrations.standing import Entry, Standing, Trust
    from proxy.store.engine import Store
    from proxy.store_settings import StoreSettings

Database = Annotated[str, typer.Argument(metavar="DATABASE", help="Which one.")]


def digest_(
    database: Database,
    *,
    dsn_env: options.DsnEnv = None,
    is_objects: Annotated[
        bool, typer.Option("--objects", help="Each object's digest, too.")
    ] = False,
    schemas: options.Schemas = None,
    is_json: options.Json = False,
    config: options.OptionalConfig = None,
) -> None:
    """Print the digest of a database's schema, over the schemas of the settings.

    The same for the same DDL on every major of Postgres. Asks in one read-only
    transaction.

    Examples: pgwarden migration digest shop -c pgwarden.yaml; pgwarden migration digest
    shop --dsn-env STAGING_URL --schema public
    """
    section = None if config is None else options.settings_of(config)[1]
    found = asked(database, config, dsn_env, scope_of(section, schemas))
    objects = object_digests(found)
    if is_json:
        values = {
            "digest": digest(found),
            "database": found.database,
            "server_version": found.server_version,
            "schemas": list(found.scope.schemas),
            "objects": objects,
        }
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    typer.echo(digest(found))
    for name, its in objects.items() if is_objects else ():
        typer.echo(f"{its}  {name}")


def drift(
    database: Database,
    *,
    dsn_env: options.DsnEnv = None,
    against: Annotated[
        str,
        typer.Option("--against", metavar="ID", help="The proof to compare with."),
    ] = "",
    other_dsn_env: Annotated[
        str | None,
        typer.Option(
            "--other-dsn-env",
            metavar="NAME",
            help="Compare with this database instead: the variable that holds its URL.",
        ),
    ] = None,
    is_json: options.Json = False,
    config: options.Config,
) -> None:
    """Show where a database's schema differs from what was proven, or from another's.

    Compares with what the last proof that is good for this database left behind, and
    says so if it is what an earlier one left. Exit status 0: nothing differs. 1:
    something does.

    Examples: pgwarden migration drift shop; pgwarden migration drift shop
    --other-dsn-env STAGING_URL
    """
    settings, section = options.settings_of(config)
    scope = scope_of(section)
    found = asked(database, config, dsn_env, scope)
    if other_dsn_env is not None:
        expected = asked("", None, other_dsn_env, scope)
        told = f"database {expected.database}"
    else:
        expected, told = _proven(
            options.ledger_of(settings),
            trust_of(section),
            database,
            against,
            found,
        )
    if expected.scope != scope:
        raise ConfigError(
            f"{told} is of other schemas or bookkeeping tables than the settings name",
            hint="the two pgwardens need the same, or no proof fits",
        )
    different = list(differences(expected, found))
    if is_json:
        values = {
            "expected": {"digest": digest(expected), "of": told},
            "found": {"digest": digest(found), "of": database},
            "differences": [difference_json(each) for each in different],
        }
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        for each in different:
            show_difference(each)
        objects = counted(len(different), "object differs", "objects differ")
        output().print(f"compared with {told}: {objects}")
    if different:
        raise typer.Exit(1)


def asked(
    database: str, config: Path | None, dsn_env: str | None, scope: Scope
) -> Snapshot:
    """The schema of a database.

    Raises:
        ConfigError: it can't be asked.
    """

    async def work() -> Snapshot:
        what = f'the schema of "{database}" can\'t be read'
        by_settings = None if dsn_env is not None else config
        async with session(database, by_settings, dsn_env, what=what) as asker:
            return await read(asker, scope)

    return asyncio.run(work())


def _proven(
    store: StoreSettings, trust: Trust, database: str, prefix: str, found: Snapshot
) -> tuple[Snapshot, str]:
    """The schema that a proof left behind, and what to call it."""
    here = digest(found)

    async def work(opened: Store) -> tuple[Snapshot | None, str]:
        async with opened.reading() as connection:
            if prefix:
                entry = await ledger.find(connection, prefix)
                its = standing(entry, trust, datetime.now(UTC))
                candidates = [(entry, its)] if is_good(its, database) else []
            else:
                known, _ = await ledger.entries(connection)
                now = datetime.now(UTC)
                judged = [(each, standing(each, trust, now)) for each in known]
                candidates = [row for row in judged if is_good(row[1], database)]
            entry = _chosen(candidates, here, database)
            after = read_proof(entry.signed).after
            return await ledger.snapshot(connection, after), entry.signed.id

    expected, name = ask_now(store, work)
    if expected is None:
        raise ConfigError(
            f"the ledger lacks the schema that proof {name[: ledger.SHOWN_ID]} left",
            hint="compare with another database: --other-dsn-env",
        )
    return expected, f"what proof {name[: ledger.SHOWN_ID]} left"


def is_good(its: Standing, database: str) -> bool:
    """Whether a proof says what this database should look like; it may have expired."""
    return (
        its.proof is not None
        and its.state not in {State.UNTRUSTED, State.REVOKED}
        and its.proof.outcome is Outcome.COMMITTED
        and bool(its.proof.after)
        and database in its.serves
    )


def _chosen(
    candidates: list[tuple[Entry, Standing]], here: str, database: str
) -> Entry:
    if not candidates:
        raise ConfigError(
            f'no proof that is believed here is good for "{database}"',
            hint="pgwarden migration list says why; or begin with `baseline`",
        )
    ordered = sorted(candidates, key=lambda row: read_proof(row[0].signed).recorded_at)
    same = [row for row in ordered if read_proof(row[0].signed).after == here]
    return (same or ordered)[-1][0]
