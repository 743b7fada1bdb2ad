"""The watch: who is called when, and what holds while the store is away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.server.store_watch import READ_EVERY_S, StoreWatch
from proxy.store.engine import Store, StoreUnavailable
from proxy.store_settings import StoreSettings
from tests.storing import add, roll

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_each_change_is_told_once(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    watch = StoreWatch(store, trusted_for_s=60, clock=Clock())
    told: list[list[str]] = []

    async def read(changed: Store) -> None:
        told.append([each.name for each in (await roll(changed)).entries])

    watch.on_change(read)
    await watch.look()
    await watch.look()
    assert told == [[]]
    await add(store, "ana")
    await watch.look()
    await watch.look()
    assert told == [[], ["ana"]]
    await store.close()


async def test_what_was_written_past_the_commands_counts_too(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    await add(store, "ana")
    clock = Clock()
    watch = StoreWatch(store, trusted_for_s=60, clock=clock)
    told: list[int] = []

    async def read(changed: Store) -> None:
        told.append(len((await roll(changed)).entries))

    watch.on_change(read)
    await watch.look()
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("DELETE FROM identities")
        other.commit()
    clock.now_s += READ_EVERY_S - 1
    await watch.look()
    assert told == [1]
    clock.now_s += 1
    await watch.look()
    await watch.look()
    assert told == [1, 0]
    await store.close()


async def test_who_could_not_read_is_told_again(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    watch = StoreWatch(store, trusted_for_s=60, clock=Clock())
    calls = 0

    async def read(_: Store) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreUnavailable("not now")

    watch.on_change(read)
    with pytest.raises(StoreUnavailable):
        await watch.look()
    await watch.look()
    await watch.look()
    assert calls == 2
    await store.close()


async def test_what_is_known_is_trusted_for_a_while(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    clock = Clock()
    watch = StoreWatch(store, trusted_for_s=60, clock=clock)
    await watch.look()
    (tmp_path / "store.db").rename(tmp_path / "away.db")
    clock.now_s += 60
    with pytest.raises(ConfigError):
        await watch.look()
    assert watch.refusal() is None
    clock.now_s += 1
    refusal = watch.refusal()
    assert refusal is not None
    assert refusal.sqlstate == "57P03"
    assert str(tmp_path) not in refusal.message
    (tmp_path / "away.db").rename(tmp_path / "store.db")
    await watch.look()
    assert watch.refusal() is None
    await store.close()


async def test_a_store_that_is_damaged_is_not_trusted_for_ever(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    clock = Clock()
    watch = StoreWatch(store, trusted_for_s=60, clock=clock)
    await watch.look()
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("DROP TABLE state")
    with pytest.raises(StoreUnavailable):
        await watch.look()
    clock.now_s += 61
    assert watch.refusal() is not None
    await store.close()
