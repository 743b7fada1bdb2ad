"""A session of pgwarden's own on a database, for commands that ask a catalog.

By the settings, with the login that pgwarden itself asks with, or by a URL that an
environment variable holds. Next: `proxy.cli.catalog`, `proxy.cli.migration_schema`.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from proxy.catalog.queries import SETTINGS
from proxy.errors import ConfigError
from proxy.server.catalogs import connect
from proxy.server.conversation import QueryError
from proxy.server.dial import Dialler
from proxy.server.health import UpstreamError
from proxy.server.sources import read_sources
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key, catalog_login
from proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.catalog.load import Asker
    from proxy.server.conversation import Conversation
    from proxy.settings import Settings


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


@asynccontextmanager
async def session(
    database: str, config: Path | None, dsn_env: str | None, *, what: str
) -> AsyncIterator[Asker]:
    """A session on a database, which ends with the block.

    Args:
        database: which; for a URL "" means the one that it names.
        config: settings of `pgwarden serve`, or None.
        dsn_env: instead, the name of the variable that holds a URL.
        what: what is asked for, to begin an error with.

    Raises:
        ConfigError: neither or both were given, or it can't be asked.
    """
    if (config is None) == (dsn_env is None):
        raise ConfigError("give --config or --dsn-env", hint="see --help")
    try:
        if config is not None:
            settings = load_settings(config, os.environ)
            async with await _connected(settings, database) as conversation:
                yield conversation
            return
        dsn = os.environ.get(str(dsn_env))
        if not dsn:
            raise ConfigError(f'environment variable "{dsn_env}" is not set')
        connection = await asyncpg.connect(
            dsn,
            database=database or None,
            server_settings=SETTINGS,
            statement_cache_size=0,
        )
        try:
            yield ByUrl(connection)
        finally:
            connection.terminate()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise ConfigError(f"{what}: {error}") from None
    except UpstreamError as error:
        raise ConfigError(f"{what}: {error.note}") from None
    except QueryError as error:
        raise ConfigError(f"{what}: {error.message}") from None


async def _connected(settings: Settings, database: str) -> Conversation:
    sources = read_sources(settings)
    login = catalog_login(settings.upstream, sources.policy)
    if login is None:
        raise ConfigError("the policy's roles use no upstream login")
    dialler = Dialler(settings.upstream, tasks=Tasks(), keys=[Key(login)])
    return await connect(dialler, login, database)
