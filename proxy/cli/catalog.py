"""`pgwarden catalog export`: what `check --catalog` needs to answer as the wire.

`proxy.cli.main` adds `catalog_app`. Next: `proxy.catalog.load`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from proxy.catalog.load import load
from proxy.catalog.model import encode
from proxy.catalog.queries import SETTINGS
from proxy.cli.mistakes import fail
from proxy.cli.output import counted
from proxy.errors import ConfigError
from proxy.server.catalogs import connect
from proxy.server.conversation import Conversation, QueryError
from proxy.server.dial import Dialler
from proxy.server.health import UpstreamError
from proxy.server.sources import read_sources
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key, catalog_login
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.catalog.model import Catalog
    from proxy.settings import Settings

catalog_app = typer.Typer(
    name="catalog",
    help="What a database's own catalog says of its functions and views.",
    no_args_is_help=True,
)


@catalog_app.callback()
def _group() -> None:
    """Keep `export` a word of its own, however many there are."""


@catalog_app.command("export")
def export(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="Which one.")],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="PGWARDEN_CONFIG",
            metavar="FILE",
            help="Settings of `pgwarden serve`: asks its upstream with its login.",
        ),
    ] = None,
    dsn_env: Annotated[
        str | None,
        typer.Option(
            "--dsn-env",
            metavar="NAME",
            help="Instead: the variable that holds a URL of the server, of whatever "
            "role may connect.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Instead of stdout."),
    ] = None,
) -> None:
    """Write a database's catalog to a file, for `check`, `explain` and `replay`.

    It holds names, signatures and the texts of views and policies, never a row. Asks in
    one read-only transaction. Exit status: 0 written, 2 it could not be asked.

    Example: pgwarden catalog export shop --config pgwarden.yaml -o shop.catalog.json;
    pgwarden check --catalog shop.catalog.json query.sql
    """
    try:
        catalog = asyncio.run(_asked(database, config, dsn_env))
        data = encode(catalog) + b"\n"
        if to is None:
            sys.stdout.buffer.write(data)
        else:
            to.write_bytes(data)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        fail(_not_exported(database, str(error)))
    except UpstreamError as error:
        fail(_not_exported(database, error.note))
    except QueryError as error:
        fail(_not_exported(database, error.message))
    except ConfigError as error:
        fail(error)
    sys.stderr.write(
        f"catalog of {database} on PostgreSQL {catalog.server_version}, version "
        f"{catalog.version}: {counted(len(catalog.functions), 'function')} and "
        f"{counted(len(catalog.relations), 'relation')}\n"
    )


def _not_exported(database: str, why: str) -> ConfigError:
    return ConfigError(f'the catalog of "{database}" was not exported: {why}')


async def _asked(database: str, config: Path | None, dsn_env: str | None) -> Catalog:
    if (config is None) == (dsn_env is None):
        raise ConfigError("give --config or --dsn-env", hint="see --help")
    if config is not None:
        settings = load_settings(config, os.environ)
        async with await _connected(settings, database) as session:
            return await load(session)
    dsn = os.environ.get(str(dsn_env))
    if not dsn:
        raise ConfigError(f'environment variable "{dsn_env}" is not set')
    connection = await asyncpg.connect(
        dsn, database=database, server_settings=SETTINGS, statement_cache_size=0
    )
    try:
        return await load(ByUrl(connection))
    finally:
        connection.terminate()


class ByUrl:
    """A session of somebody's own URL: whatever libpq's URLs can say, asyncpg reads."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def ask(self, text: str) -> None:
        """Run statements that answer nothing."""
        await self._connection.execute(text)

    async def value(self, text: str) -> str:
        """The one value of a query."""
        return str(await self._connection.fetchval(text))


async def _connected(settings: Settings, database: str) -> Conversation:
    sources = read_sources(settings)
    login = catalog_login(settings.upstream, sources.policy)
    if login is None:
        raise ConfigError("the policy's roles use no upstream login")
    dialler = Dialler(settings.upstream, tasks=Tasks(), keys=[Key(login)])
    return await connect(dialler, login, database)
