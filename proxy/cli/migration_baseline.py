"""`pgwarden migration baseline`: sign what a database has before pgwarden was there.

Next: `proxy.migrations.history`, `proxy.migrations.proof`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli import migration_options as options
from proxy.cli.asking import session
from proxy.cli.migration_ledger import confirm
from proxy.cli.migration_schema import asked
from proxy.cli.output import counted, output
from proxy.cli.roster import by as changed_by
from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.configured import scope_of, signing_key_of
from proxy.migrations.history import applied
from proxy.migrations.profile_history import histories
from proxy.migrations.proof import Origin, Outcome, Proof, sign_proof
from proxy.migrations.schema_digest import digest
from proxy.server.store_now import ask_now

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.migrations.proof import Applied
    from proxy.store.engine import Store


def baseline(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="Which one.")],
    *,
    tool: Annotated[
        str,
        typer.Option(
            "--tool", metavar="TOOL", help="Whose profile has a history: prisma, rails."
        ),
    ],
    schema: Annotated[
        str,
        typer.Option(
            "--schema",
            metavar="NAME",
            help="Of the tool's table, if not where the tool puts it by itself.",
        ),
    ] = "",
    known_as: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NAME",
            help="The database's name on staging, if it is another one there.",
        ),
    ] = "",
    dsn_env: options.DsnEnv = None,
    note: options.Note = "",
    by: options.By = "",
    is_yes: options.Yes = False,
    config: options.Config,
) -> None:
    """Sign what a database has: its applied migrations and its schema, as you see them.

    For a team that begins with pgwarden. Run it where the signing key is, with
    --dsn-env for production's database: a login that may read the tool's table. Shows
    what it found, and signs when you say yes.

    Example: pgwarden migration baseline shop --tool prisma --dsn-env PRODUCTION_URL
    """
    settings, section = options.settings_of(config)
    store, key = options.ledger_of(settings), signing_key_of(section)
    found = asked(database, config, dsn_env, scope_of(section))
    history = _history(database, config, dsn_env, tool=tool, schema=schema)
    now, its = datetime.now(UTC), digest(found)
    for each in history:
        typer.echo(f"applied: {each.name} {each.checksum}".rstrip())
    output().print(
        f"{counted(len(history), 'migration')} applied by {tool}; "
        f"{counted(len(found.objects), 'object')} in {', '.join(found.scope.schemas)}; "
        f"schema digest {its}"
    )
    confirm("sign that production has this?", is_yes=is_yes)
    proof = Proof(
        origin=Origin.BASELINE,
        tool=tool,
        name="baseline",
        checksum="",
        environment=section.environment,
        database=known_as or found.database,
        server_version=found.server_version,
        identity=by or changed_by("", "").actor,
        statements=(),
        scope=found.scope,
        before=its,
        after=its,
        outcome=Outcome.COMMITTED,
        duration_ms=0,
        started_at=now,
        recorded_at=now,
        applied=history,
        note=note,
    )
    signed = sign_proof(proof, key)
    change = changed_by(
        "migration.baseline", signed.id, person=proof.identity, database=database
    )

    async def work(opened: Store) -> None:
        async with opened.changing(change) as connection:
            await ledger.add(connection, signed)
            await ledger.add_snapshot(connection, found)

    ask_now(store, work)
    output().print(f"signed as proof {signed.id[: ledger.SHOWN_ID]}")


def _history(
    database: str, config: Path, dsn_env: str | None, *, tool: str, schema: str
) -> tuple[Applied, ...]:
    async def work() -> tuple[Applied, ...]:
        what = f'what {tool} has applied to "{database}" can\'t be read'
        by_settings = None if dsn_env is not None else config
        async with session(database, by_settings, dsn_env, what=what) as asker:
            return await applied(asker, tool, schema)

    known_tools = histories()
    if tool not in known_tools:
        known = ", ".join(sorted(known_tools))
        raise ConfigError(f'--tool: no history table of "{tool}" is known; of {known}')
    return asyncio.run(work())
