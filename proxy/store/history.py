"""The history: reading it, and telling the audit log of it once.

Next: `proxy.server.trail`, which writes what it finds here into the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from proxy.store.tables import history

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from proxy.store.engine import Store

MOST_AT_ONCE: Final = 500
"""Lines of one transaction; the rest follows at the next look."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history; see `proxy.store.engine.Change` for its words."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, str]


async def read_history(
    connection: AsyncConnection, *, subject: str = "", most: int = MOST_AT_ONCE
) -> list[Event]:
    """The last lines, the newest first; of one subject or of all."""
    wanted = _events().order_by(history.c.id.desc()).limit(most)
    if subject:
        wanted = wanted.where(history.c.subject == subject)
    return _made(await connection.execute(wanted))


async def audit(store: Store, write: Callable[[Sequence[Event]], bool]) -> int:
    """Hand lines that no audit log has to `write`; returns how many it took.

    One process at a time, so that a line is taken once; if this one ends between the
    two, it is taken again: twice is better than never.

    Args:
        store: where they are.
        write: writes them, the oldest first; says whether it could.

    Raises:
        StoreUnavailable: the store can't be read or written.
    """
    is_new = history.c.is_audited.is_(False)
    async with store.reading() as connection:
        if await connection.scalar(select(history.c.id).where(is_new).limit(1)) is None:
            return 0
    async with store.writing() as connection:
        wanted = _events().where(is_new).order_by(history.c.id).limit(MOST_AT_ONCE)
        # Without it, two workers on Postgres would both read, and both write.
        events = _made(await connection.execute(wanted.with_for_update()))
        if not events or not write(events):
            return 0
        await connection.execute(
            update(history)
            .where(history.c.id.in_([event.number for event in events]))
            .values(is_audited=True)
        )
    return len(events)


def _events() -> Select[tuple[int, datetime, str, str, str, dict[str, str]]]:
    return select(
        history.c.id,
        history.c.at,
        history.c.actor,
        history.c.action,
        history.c.subject,
        history.c.detail,
    )


def _made(rows: object) -> list[Event]:
    return [Event(*row) for row in rows]  # type: ignore[attr-defined]
