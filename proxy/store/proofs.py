"""The ledger in the store: documents as they were signed, only ever added.

A row is found by what its columns say, and believed only for what its body says: the
columns are for looking up. Nothing here changes or removes a row, and triggers keep
others from it who do so by mistake; that a document is not another one, its signature
says. Next: `proxy.migrations.ledger`, which reads the bodies.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Column, LargeBinary, String, Table, cast, insert, select

from proxy.store.tables import METADATA, SERIAL, Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    # Told on: who adds to the ledger needs no other word of the store's database.
    from sqlalchemy.ext.asyncio import (
        AsyncConnection as AsyncConnection,  # noqa: PLC0414 - an export
    )

proofs = Table(
    "proofs",
    METADATA,
    Column("number", SERIAL, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    # Of an approval or a revocation: the proof's; of a proof: its own.
    Column("about", String(64), nullable=False, index=True),
    Column("added_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
snapshots = Table(
    "schema_snapshots",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""Schemas by their digest, to show how another one differs."""


class Row(NamedTuple):
    """One document: what it is, of which proof, and its bytes."""

    id: str
    kind: str
    about: str
    body: bytes


async def add(connection: AsyncConnection, row: Row) -> bool:
    """Add a document; whether it was not there yet."""
    found = await connection.scalar(select(proofs.c.id).where(proofs.c.id == row.id))
    if found is not None:
        return False
    await connection.execute(
        insert(proofs).values(**row._asdict(), added_at=datetime.now(UTC))
    )
    return True


async def read(connection: AsyncConnection, about: Sequence[str] = ()) -> list[Row]:
    """All documents in the order of their coming; of these proofs, if any are named."""
    condition = [proofs.c.about.in_(about)] if about else []
    return await _read(connection, *condition)


async def starting_with(connection: AsyncConnection, prefix: str) -> list[Row]:
    """The proofs whose id begins so."""
    is_proof = proofs.c.kind == "proof"
    return await _read(
        connection, is_proof, proofs.c.id.startswith(prefix, autoescape=True)
    )


async def _read(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> list[Row]:
    # SQLite would hand out whatever somebody else put there: a text is no bytes.
    body = cast(proofs.c.body, LargeBinary)
    columns = (proofs.c.id, proofs.c.kind, proofs.c.about, body)
    rows = await connection.execute(
        select(*columns).where(*conditions).order_by(proofs.c.number)
    )
    return [Row(str(i), str(k), str(a), bytes(data)) for i, k, a, data in rows]


async def add_snapshot(connection: AsyncConnection, digest: str, body: bytes) -> None:
    """Keep a schema, unless one of this digest is there."""
    if await snapshot(connection, digest) is None:
        await connection.execute(insert(snapshots).values(digest=digest, body=body))


async def snapshot(connection: AsyncConnection, digest: str) -> bytes | None:
    """The schema of this digest."""
    found = await connection.scalar(
        select(cast(snapshots.c.body, LargeBinary)).where(snapshots.c.digest == digest)
    )
    return None if found is None else bytes(found)


async def digests(connection: AsyncConnection) -> list[str]:
    """The digests of all schemas that are kept."""
    return list(await connection.scalars(select(snapshots.c.digest)))
