"""Notice within half a second that the store was changed, in every worker.

Whoever keeps something of the store in memory registers with `on_change`, and reads it
anew when called. While the store can't be read, what is known stays in force, for a
bounded time. Next: `proxy.store.engine`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from proxy.errors import CANNOT_CONNECT_NOW, ConfigError, ErrorReport
from proxy.store.engine import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.store.engine import Store

_log = structlog.get_logger("store")

LOOK_EVERY_S: Final = 0.5
"""A look reads one row. Twenty workers cost a Postgres forty such reads a second."""
READ_EVERY_S: Final = 30.0
"""Everything is read anew this often: somebody may have written past the commands."""


class StoreWatch:
    """One worker's eye on the store."""

    def __init__(
        self, store: Store, *, trusted_for_s: float, clock: Callable[[], float]
    ) -> None:
        """Begin without having looked.

        Args:
            store: an open one.
            trusted_for_s: how long what was read stays in force without it.
            clock: monotonic seconds.
        """
        self.store = store
        self._trusted_for_s = trusted_for_s
        self._clock = clock
        self._callbacks: list[Callable[[Store], Awaitable[None]]] = []
        self._known = ""
        self._read_s = self._told_s = clock()
        self._problem = ""

    def on_change(self, callback: Callable[[Store], Awaitable[None]]) -> None:
        """Call this after each change, at the first look, and now and then.

        It reads what it needs, and is called again if it raises `StoreUnavailable`.
        """
        self._callbacks.append(callback)

    async def look(self) -> None:
        """Tell everybody, if there was a change since the last look.

        Raises:
            StoreUnavailable: it can't be read.
            ConfigError: there is another file or a newer store in its place.
        """
        # Before they read: what changes meanwhile is another generation.
        found = await self.store.generation()
        now_s = self._clock()
        if found != self._known or now_s - self._told_s >= READ_EVERY_S:
            for callback in self._callbacks:
                await callback(self.store)
            self._known, self._told_s = found, now_s
        self._read_s = self._clock()
        if self._problem:
            self._problem = ""
            _log.info("store_is_back")

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except (StoreUnavailable, ConfigError) as error:
                if not self._problem:
                    _log.error("store_unavailable", problem=error.message)
                self._problem = error.message

    def problem(self) -> str:
        """What is wrong with the store now; "" if nothing is."""
        return self._problem

    def refusal(self) -> ErrorReport | None:
        """Why nobody new may come in; None while what is known may be trusted."""
        if self._clock() - self._read_s <= self._trusted_for_s:
            return None
        return ErrorReport(
            CANNOT_CONNECT_NOW,
            "pgwarden can't reach its store, and no longer knows who may come in",
            hint="try again later; its operator finds the reason in its log",
            severity="FATAL",
        )
