"""Identities in the store, for the commands. Next: `proxy.store.identities`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.cli.roster import Uses
from proxy.server.store_now import ask_now, roll_now
from proxy.store import history, identities, keys, last_uses
from proxy.store.engine import note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.cli.roster import Entries
    from proxy.store.engine import Change, Store
    from proxy.store.history import Event
    from proxy.store.identities import Roll
    from proxy.store_settings import StoreSettings


class StoreRoster:
    """The store that the settings name."""

    def __init__(
        self, settings: StoreSettings, check: Callable[[Entries, Entries], None]
    ) -> None:
        self._settings = settings
        self._check = check

    @property
    def place(self) -> str:
        """Its address."""
        return self._settings.url

    def read(self) -> Roll:
        """Everybody."""
        return roll_now(self._settings)

    def uses(self) -> Uses:
        """When they last came in."""
        return uses_now(self._settings)

    def history(self, name: str) -> list[Event]:
        """What was changed, newest first."""
        return history_now(self._settings, name)

    def change(
        self, changes: Sequence[Change], edit: Callable[[Entries], Entries]
    ) -> None:
        """Change what `edit` changes, one command at a time."""

        async def work(store: Store) -> None:
            async with store.changing(*changes) as connection:
                roll = await identities.read_roll(connection)
                before = {each.name: each for each in roll.entries}
                # Who can't be understood is nobody, and may be removed or replaced.
                after = edit(dict(before))
                self._check(before, after)
                for name in before.keys() - after.keys():
                    await identities.remove(connection, name)
                    await last_uses.forget(connection, name)
                for name, entry in after.items():
                    if before.get(name) == entry:
                        continue
                    if name in before:
                        await identities.replace(connection, entry)
                    else:
                        await identities.add(connection, entry)

        ask_now(self._settings, work)

    def remove_broken(self, change: Change) -> None:
        """Remove a row that can't be understood.

        Raises:
            ConfigError: there is none of this name.
        """

        async def work(store: Store) -> None:
            async with store.changing(change) as connection:
                await identities.remove(connection, change.subject)
                await last_uses.forget(connection, change.subject)

        ask_now(self._settings, work)


def uses_now(settings: StoreSettings) -> Uses:
    """What the store knows of last uses."""

    async def work(store: Store) -> Uses:
        async with store.reading() as connection:
            found = await last_uses.read(connection)
        return Uses(tuple(found), await keys.key(store, keys.LAST_USE))

    return ask_now(settings, work)


def history_now(settings: StoreSettings, name: str) -> list[Event]:
    """What the store knows of changes."""

    async def work(store: Store) -> list[Event]:
        async with store.reading() as connection:
            return await history.read_history(connection, subject=name)

    return ask_now(settings, work)


def note_now(settings: StoreSettings, changes: Sequence[Change]) -> None:
    """Write the history of a change that was made elsewhere, in a file."""

    async def work(store: Store) -> None:
        async with store.changing() as connection:
            for change in changes:
                await note(connection, change)

    ask_now(settings, work)
