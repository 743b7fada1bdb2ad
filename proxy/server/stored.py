"""What one worker has of the store: the watch, the identities, what it owes to it.

Identities are read again after each change. Last uses are gathered in memory and
written every few seconds, off the path of a login. What the history says is written
into the audit log by whichever worker comes first. Next: `proxy.server.store_watch`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

import structlog

from proxy.errors import ConfigError
from proxy.server.reload import take_roll
from proxy.server.store_watch import StoreWatch
from proxy.server.trail import event_record
from proxy.store import keys
from proxy.store.engine import Store, StoreUnavailable
from proxy.store.history import audit
from proxy.store.identities import read_roll
from proxy.store.last_uses import LastUse, keep, proof_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest
    from proxy.store.history import Event
    from proxy.store.identities import Roll
    from proxy.store_settings import StoreSettings

_log = structlog.get_logger("store")

PAY_EVERY_S: Final = 5.0
"""How late a last use may be. A login costs the store nothing, thousands one write."""


class Stored:
    """The store of one worker, opened before it serves."""

    def __init__(
        self,
        store: Store,
        settings: StoreSettings,
        *,
        roll: Roll,
        use_key: bytes,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.roll = roll
        self.watch = StoreWatch(
            store, trusted_for_s=settings.trusted_for_s, clock=clock
        )
        self._use_key = use_key
        self._uses: dict[tuple[str, str], LastUse] = {}
        self._server: Server | None = None

    @classmethod
    async def open(cls, settings: StoreSettings, clock: Callable[[], float]) -> Self:
        """Open the store and read who is in it.

        Raises:
            ConfigError: it can't be used.
            StoreUnavailable: it can't be reached.
        """
        store = await Store.open(settings)
        try:
            async with store.reading() as connection:
                roll = await read_roll(connection)
            use_key = await keys.key(store, keys.LAST_USE)
        except BaseException:
            await store.close()
            raise
        return cls(store, settings, roll=roll, use_key=use_key, clock=clock)

    def works(self, server: Server) -> list[Coroutine[object, object, None]]:
        """What keeps this server informed, to be run while it serves."""
        self._server = server
        self.watch.on_change(self._read_roll)
        self.watch.on_change(self._tell_history)
        return [self.watch.follow(), self._pay()]

    async def close(self) -> None:
        """Write what is owed, as far as it can be, and close."""
        await self._write_uses()
        await self.store.close()

    def came_in(self, request: LoginRequest, address: str) -> None:
        """Somebody's session begins."""
        server = self._server
        identity = server.identities.find(request.identity) if server else None
        if identity is None:
            return
        proof = request.authentication
        if "scram" in proof and request.matched_secret < len(identity.secrets):
            secret = identity.secrets[request.matched_secret].encode()
            proof = proof_of(secret, self._use_key)
        use = LastUse(identity.name, proof, datetime.now(UTC), address)
        self._uses[use.name, use.proof] = use

    async def _read_roll(self, store: Store) -> None:
        server = self._server
        if server is None or server.settings.identities is not None:
            return
        async with store.reading() as connection:
            roll = await read_roll(connection)
        if roll != self.roll:
            self.roll = roll
            take_roll(server, roll)

    async def _tell_history(self, store: Store) -> None:
        while await audit(store, self._write):
            pass

    def _write(self, events: Sequence[Event]) -> bool:
        """Into the audit log, now: what the store calls told must not be lost."""
        server = self._server
        if server is None or not server.committer.is_available:
            return False
        for event in events:
            server.committer.record(event_record(event))
        server.committer.commit()
        return server.committer.is_available

    async def _pay(self) -> None:
        while True:
            await asyncio.sleep(PAY_EVERY_S)
            await self._write_uses()
            try:
                await self._tell_history(self.store)
            except (StoreUnavailable, ConfigError):
                continue  # the watch tells of it

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        is_kept = False
        try:
            async with self.store.writing() as connection:
                await keep(connection, uses.values())
            is_kept = True
        except (StoreUnavailable, ConfigError):
            _log.debug("last_uses_wait", count=len(uses))
        finally:
            if not is_kept:
                # One a secret at most, so that they may wait; newer ones count.
                self._uses = {**uses, **self._uses}
