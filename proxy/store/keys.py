"""Random keys of pgwarden's own: made once, the same for every worker and restart.

Next: `proxy.server.mock_key`, which keeps one here.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from proxy.store.tables import keys

if TYPE_CHECKING:
    from proxy.store.engine import Store

MOCK_SALT: Final = "mock-salt"
"""Key to the salts of unknown names; another one would tell them from known names."""
LAST_USE: Final = "last-use"
"""Key to the marks of secrets in the last uses; see `proxy.store.last_uses`."""
KEY_BYTES: Final = 32


async def key(store: Store, name: str) -> bytes:
    """The key of this name, made where there is none yet.

    Raises:
        StoreUnavailable: it can't be read or made.
    """
    wanted = select(keys.c.secret).where(keys.c.name == name)
    async with store.reading() as connection:
        found = await connection.scalar(wanted)
    if found is not None:
        return bytes(found)
    # Changes wait for each other, so that all who look again see one key.
    async with store.changing() as connection:
        found = await connection.scalar(wanted)
        if found is None:
            found = secrets.token_bytes(KEY_BYTES)
            await connection.execute(insert(keys).values(name=name, secret=found))
    return bytes(found)
