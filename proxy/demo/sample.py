"""Connecting as superuser, and creating the demo's database `shop` with its roles.

The statements are `proxy.demo.roles` (who may what) and `shop.sql` (what there is).
Imports asyncpg, `roles`, `dsn`. Next: `proxy.demo.embedded`, `proxy.demo.foreign`.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from proxy.demo import roles
from proxy.doctor.quoting import quote_name
from proxy.errors import UnavailableError, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.demo.roles import Logins

DATABASE: Final = "shop"
_CONNECT_S: Final = 10.0
_REASONS: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@asynccontextmanager
async def connection(
    url: str, *, who: str = "the superuser"
) -> AsyncIterator[asyncpg.Connection]:
    """A connection of our own, closed at the end.

    Raises:
        UnavailableError: no server there, or it does not let us in.
    """
    try:
        opened = await asyncpg.connect(
            url,
            timeout=_CONNECT_S,
            server_settings={"application_name": "pgwarden demo"},
        )
    except _REASONS as error:
        raise UnavailableError(
            f"can't log in to the upstream as {who}: {_reason(error)}",
            hint="check host, port, user and password of the DSN",
        ) from error
    try:
        yield opened
    finally:
        await opened.close()


def _reason(error: Exception) -> str:
    # asyncio says "[Errno 111] Connect call failed ('127.0.0.1', 5432)".
    if isinstance(error, ConnectionError) and error.errno is not None:
        return f"{os.strerror(error.errno).lower()}: is a server there?"
    return reason_of(error) if isinstance(error, OSError) else str(error) or "no answer"


def shop_script(logins: Logins) -> str:
    """Everything inside the shop: the migrator's objects, and who may read them."""
    objects = Path(__file__).with_name("shop.sql").read_text("utf-8")
    return f"""
        BEGIN;
        SET LOCAL search_path = public;
        {roles.fence_schema(logins)}
        SET LOCAL ROLE {quote_name(logins.migrator.user)};
        {objects}
        GRANT EXECUTE ON FUNCTION order_total(bigint)
            TO {quote_name(logins.reader.user)};
        RESET ROLE;
        {roles.grant_reading(logins)}
        COMMIT;
        ANALYZE;
    """


def database_script(database: str, logins: Logins) -> tuple[str, ...]:
    """Create and fence a database; CREATE DATABASE stands alone, so one by one."""
    name = quote_name(database)
    return (
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'",
        roles.fence_database(database, logins),
    )
