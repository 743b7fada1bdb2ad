"""When each identity last came in, from where, and by which of its secrets.

Secrets are told apart by a mark that only this store's key can make: a plain hash of a
secret would let whoever reads it try passwords.
Next: `proxy.server.uses`, which gathers them off the path of a login.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, String, Table, delete, insert, select, update

from proxy.store.tables import METADATA, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

last_uses = Table(
    "last_uses",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("proof", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("address", String(64), nullable=False),
)
_MARK_LENGTH: Final = 32
_MOST_ADDRESS: Final = 64


@dataclass(frozen=True, slots=True)
class LastUse:
    """One way in of one identity, the last time it was taken.

    Attributes:
        name: who.
        proof: `proof_of` a secret, or the name of another way in.
        at: when.
        address: the client's.
    """

    name: str
    proof: str
    at: datetime
    address: str


def proof_of(secret: str, key: bytes) -> str:
    """The mark of a secret, in Postgres' form."""
    return hmac.digest(key, secret.encode(), "sha256").hex()[:_MARK_LENGTH]


async def keep(connection: AsyncConnection, uses: Iterable[LastUse]) -> None:
    """Keep the newest of each; needs no change of the generation."""
    table = last_uses
    for use in uses:
        address = use.address[:_MOST_ADDRESS]
        is_this = (table.c.name == use.name) & (table.c.proof == use.proof)
        known = await connection.scalar(select(table.c.at).where(is_this))
        if known is None:
            await connection.execute(
                insert(table).values(
                    name=use.name, proof=use.proof, at=use.at, address=address
                )
            )
        elif known < use.at:
            await connection.execute(
                update(table).where(is_this).values(at=use.at, address=address)
            )


async def read(connection: AsyncConnection) -> list[LastUse]:
    """All of them."""
    rows = await connection.execute(
        select(last_uses.c.name, last_uses.c.proof, last_uses.c.at, last_uses.c.address)
    )
    return [LastUse(*row) for row in rows]


async def forget(connection: AsyncConnection, name: str) -> None:
    """Somebody is removed; a namesake who comes later starts anew."""
    await connection.execute(delete(last_uses).where(last_uses.c.name == name))
