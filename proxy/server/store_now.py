"""Asking the store one thing, from code that does not wait: at a start, in a command.

In a thread with a loop of its own, as a loop may be running here already.
Next: `proxy.store.engine`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from proxy.store import keys
from proxy.store.engine import Store
from proxy.store.identities import Roll, read_roll

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.store_settings import StoreSettings

T = TypeVar("T")


def ask_now(settings: StoreSettings, question: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store, ask, close it.

    Raises:
        ConfigError: it can't be used.
        StoreUnavailable: it can't be reached.
    """

    async def ask() -> T:
        store = await Store.open(settings)
        try:
            return await question(store)
        finally:
            await store.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(ask())).result()


def roll_now(settings: StoreSettings) -> Roll:
    """Everybody in the store."""

    async def question(store: Store) -> Roll:
        async with store.reading() as connection:
            return await read_roll(connection)

    return ask_now(settings, question)


def mock_key_now(settings: StoreSettings) -> bytes:
    """The key to the salts of unknown names."""
    return ask_now(settings, lambda store: keys.key(store, keys.MOCK_SALT))
