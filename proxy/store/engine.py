"""The store: small state that must last, in SQLite or Postgres, behind one API.

`Store.reading` and `Store.changing` give a transaction as a SQLAlchemy connection; a
change also writes its line of history and renews the generation, by which every worker
notices. Whatever goes wrong is a `StoreUnavailable` without any parameter in its text.
Next: `tables`, `upgrade`, and one file a subject.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import UnavailableError
from proxy.store import postgres, sqlite
from proxy.store.tables import STATE_ID, history, state
from proxy.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from proxy.store_settings import StoreSettings

PATIENCE_S: Final = 10.0
"""For one transaction: longer than SQLite waits for another writer, short enough for a
person at a terminal."""


class StoreUnavailable(UnavailableError):  # noqa: N818 - named for what it says
    """The store can't be read or written now."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history: who did what to whom.

    Attributes:
        actor: who, as "root@host" for the command line.
        action: what, as "identity.add".
        subject: to whom or what, a name.
        detail: further plain values; never a secret.
    """

    actor: str
    action: str
    subject: str
    detail: dict[str, str] = field(default_factory=dict)


class Store:
    """An open store; for one event loop."""

    def __init__(self, engine: AsyncEngine, settings: StoreSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._file = sqlite.file_mark(settings)
        self._opening = asyncio.Lock()

    @property
    def place(self) -> str:
        """Where it is, for people; holds no password."""
        return self._settings.url

    @classmethod
    async def open(cls, settings: StoreSettings) -> Self:
        """Open the store; make it, or bring its tables up to date, where needed.

        Raises:
            ConfigError: it is a newer pgwarden's, or not safe where it is.
            StoreUnavailable: it can't be reached or read.
        """
        async with _told(settings.url):
            return cls(await _opened(settings), settings)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the store and changes nothing.

        Raises:
            StoreUnavailable: it can't be read.
        """
        async with _told(self.place):
            await self._same_file()
            async with self._engine.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes what nobody needs to notice, such as a last use.

        Raises:
            StoreUnavailable: it can't be written.
        """
        async with _told(self.place):
            await self._same_file()
            engine = self._engine.execution_options(**{sqlite.WRITES: True})
            async with engine.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def changing(self, *changes: Change) -> AsyncIterator[AsyncConnection]:
        """A change, one at a time over all processes; all of it or nothing.

        Args:
            changes: lines of history; more may be added inside with `note`.

        Raises:
            StoreUnavailable: it can't be written; nothing has changed.
        """
        async with self.writing() as connection:
            # Locks the row in Postgres; SQLite has one writer as it is.
            await connection.execute(
                update(state)
                .where(state.c.id == STATE_ID)
                .values(generation=secrets.token_hex(16))
            )
            for change in changes:
                await note(connection, change)
            yield connection

    async def generation(self) -> str:
        """Another one after each change; cheap enough to ask twice a second.

        Raises:
            StoreUnavailable: it can't be read.
        """
        async with self.reading() as connection:
            found = await connection.scalar(
                select(state.c.generation).where(state.c.id == STATE_ID)
            )
        return str(found)

    async def _same_file(self) -> None:
        """Go on with the file that has the name now, if it was replaced."""
        if sqlite.file_mark(self._settings) == self._file:
            return
        async with self._opening:
            found = sqlite.file_mark(self._settings)
            if found == self._file:
                return
            engine = await _opened(self._settings, make=False)
            old, self._engine, self._file = self._engine, engine, found
            await old.dispose()


async def note(connection: AsyncConnection, change: Change) -> None:
    """Add a line to the history, in the transaction of the change."""
    await connection.execute(
        insert(history).values(
            at=datetime.now(UTC),
            actor=change.actor,
            action=change.action,
            subject=change.subject,
            detail=change.detail,
            is_audited=False,
        )
    )


async def _opened(settings: StoreSettings, *, make: bool = True) -> AsyncEngine:
    if settings.file is not None:
        sqlite.check_file(settings.file, make=make)
        await asyncio.to_thread(sqlite.use_wal, settings.file)
        engine = sqlite.engine(settings.file)
    else:
        await postgres.prepare(settings)
        engine = postgres.engine(settings)
    try:
        await upgrade(engine, place=settings.url)
    except BaseException:
        await engine.dispose()
        raise
    return engine


@asynccontextmanager
async def _told(place: str) -> AsyncIterator[None]:
    """Limit the time, and say what went wrong without what was being written."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except TimeoutError:
        raise StoreUnavailable(
            f'the store "{place}" did not answer in {PATIENCE_S:g} s'
        ) from None
    except ValueError:
        # A time or a JSON text that somebody else wrote there.
        raise StoreUnavailable(
            f'the store "{place}" holds something that can\'t be understood'
        ) from None
    except SQLAlchemyError as error:
        # "from None": the cause of it quotes rows, and rows hold secrets.
        reason = _reason(error)
        raise StoreUnavailable(
            f'the store "{place}" can\'t be used: {reason}'
        ) from None
    except (*postgres.FAILURES, *sqlite.FAILURES) as error:
        reason = postgres.reason(error)
        raise StoreUnavailable(
            f'the store "{place}" can\'t be used: {reason}'
        ) from None


def _reason(error: SQLAlchemyError) -> str:
    """The database's own first line; what follows may quote a row."""
    original = getattr(error, "orig", None)
    cause = getattr(original, "__cause__", None) or original or error
    return (str(cause).strip().splitlines() or ["unknown"])[0].lower()
