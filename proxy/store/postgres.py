"""A store in a Postgres database: its schema, its TLS, its failures.

Everything lives in the schema `pgwarden`, and the search path holds nothing else: a
table of the same name in `public` is never taken for ours.
Next: `proxy.store.engine`.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from proxy.store_settings import StoreSettings

SCHEMA: Final = "pgwarden"
CONNECT_S: Final = 5.0
UPGRADE_LOCK: Final = 0x70677761_7264656E
"""Of pg_advisory_lock: "pgwarden" in ASCII; one at a time makes or upgrades a store."""
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What goes wrong before SQLAlchemy wraps it."""


def reason(error: BaseException) -> str:
    """The first line of what went wrong; others may quote a row."""
    if isinstance(error, OSError):
        return reason_of(error)
    return (str(error).strip().splitlines() or ["unknown"])[0].lower()


async def prepare(settings: StoreSettings) -> None:
    """Make our schema if it is missing.

    Raises:
        ConfigError: somebody else owns it, and could put other tables there.
    """
    place = settings.postgres
    connection = await asyncpg.connect(
        host=place.host,
        port=place.port,
        database=place.database,
        user=place.user,
        **_arguments(settings),
    )
    try:
        await connection.execute(f"select pg_advisory_lock({UPGRADE_LOCK})")
        is_ours = await connection.fetchval(
            "select pg_has_role(nspowner, 'usage') from pg_namespace "
            "where nspname = $1",
            SCHEMA,
        )
        if is_ours is None:
            await connection.execute(f"create schema {SCHEMA}")
        elif not is_ours:
            raise ConfigError(
                f'the schema "{SCHEMA}" in database "{place.database}" belongs to '
                f'somebody else than "{place.user}"',
                hint="give the store a database and an owner of its own",
            )
    finally:
        await connection.close()


def engine(settings: StoreSettings) -> AsyncEngine:
    """An engine on a database whose schema is there."""
    place = settings.postgres
    return create_async_engine(
        URL.create(
            "postgresql+asyncpg",
            host=place.host,
            port=place.port,
            database=place.database,
            username=place.user,
        ),
        connect_args=_arguments(settings),
        hide_parameters=True,
        pool_size=1,
        max_overflow=4,
        # A connection that a restart of the server has closed is not a failure.
        pool_pre_ping=True,
    )


def _arguments(settings: StoreSettings) -> dict[str, Any]:
    return {
        # Never from PGPASSWORD or ~/.pgpass: "" is what the settings say.
        "password": settings.password(),
        "ssl": _tls(settings),
        "timeout": CONNECT_S,
        "server_settings": {
            "search_path": SCHEMA,
            "application_name": "pgwarden store",
        },
    }


def _tls(settings: StoreSettings) -> ssl.SSLContext | bool:
    mode, ca = settings.tls.mode, settings.tls.ca
    if mode == "disable":
        return False
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigError(
            f'store CA file "{ca}" can\'t be used: {reason_of(error)}'
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    # As in libpq, "require" with a CA at hand means "verify-ca".
    if mode == "require" and ca is None:
        context.verify_mode = ssl.CERT_NONE
    return context
