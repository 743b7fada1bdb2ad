"""Requests and loans in the store, one a row; each step in one change.

A change of the store waits for every other one, in all processes, so that who reads a
grant and writes its next state overwrites nobody, and two approvals of one moment are
two. Next: `proxy.access.lending`, which says what the next state is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import JSON, Column, String, Table, delete, insert, select, update

from proxy.access.grant import Grant, State
from proxy.store.tables import METADATA, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

grants = Table(
    "grants",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("requested_at", Moment, nullable=False, index=True),
    Column("reviewed_at", Moment),
    Column("body", JSON, nullable=False),
)

LIVE: Final = (State.PENDING, State.ACTIVE)
UNREVIEWED: Final = (State.ENDED, State.REVOKED)
MOST_SHOWN: Final = 200
"""Requests that a view lists; the audit log has them all."""
MOST_UNREVIEWED: Final = 1_000


async def read_live(connection: AsyncConnection) -> list[Grant]:
    """All that are pending or active."""
    return await _read(connection, grants.c.state.in_(LIVE), most=None)


async def read_recent(connection: AsyncConnection) -> list[Grant]:
    """What a worker keeps in memory: all that are live or unreviewed, and the last."""
    is_open = grants.c.state.in_(UNREVIEWED) & grants.c.reviewed_at.is_(None)
    found = {
        grant.id: grant
        for some in (
            await read_live(connection),
            await _read(connection, is_open, most=MOST_UNREVIEWED),
            await _read(connection, grants.c.id != "", most=MOST_SHOWN),
        )
        for grant in some
    }
    return sorted(found.values(), key=lambda each: each.requested_at, reverse=True)


async def find(connection: AsyncConnection, grant_id: str) -> Grant | None:
    """The one of this id."""
    found = await _read(connection, grants.c.id == grant_id, most=1)
    return found[0] if found else None


async def add(connection: AsyncConnection, grant: Grant) -> None:
    """Keep a new one; the same id twice is a failure of the store."""
    await connection.execute(insert(grants).values(id=grant.id, **_values(grant)))


async def replace(connection: AsyncConnection, grant: Grant) -> None:
    """Keep the next state of one."""
    await connection.execute(
        update(grants).where(grants.c.id == grant.id).values(**_values(grant))
    )


async def forget(connection: AsyncConnection, before: datetime) -> None:
    """Remove what was never lent and is older than this; the audit log has it."""
    never_lent = grants.c.state.in_((State.DENIED, State.EXPIRED, State.WITHDRAWN))
    await connection.execute(
        delete(grants).where(never_lent & (grants.c.requested_at < before))
    )


async def _read(
    connection: AsyncConnection, condition: object, *, most: int | None
) -> list[Grant]:
    wanted = select(grants.c.body).where(condition)  # type: ignore[arg-type]
    rows = await connection.scalars(
        wanted.order_by(grants.c.requested_at.desc()).limit(most)
    )
    return list(_made(rows))


def _made(bodies: Iterable[object]) -> Sequence[Grant]:
    return [msgspec.convert(body, Grant) for body in bodies]


def _values(grant: Grant) -> dict[str, object]:
    return {
        "state": grant.state,
        "requested_at": grant.requested_at,
        "reviewed_at": grant.reviewed_at,
        "body": msgspec.to_builtins(grant),
    }
