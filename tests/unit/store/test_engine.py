"""The store in SQLite: what every store does, and its file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.store.engine import Store, StoreUnavailable
from proxy.store.history import read_history
from proxy.store_settings import StoreSettings
from tests.storing import SCENARIOS, add, roll

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
async def test_it(
    scenario: Callable[[StoreSettings], Awaitable[None]], tmp_path: Path
) -> None:
    await scenario(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))


async def test_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    await add(store)
    files = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - a test
    assert [each.name for each in files] == ["store.db", "store.db-shm", "store.db-wal"]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    await store.close()


async def test_a_store_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    await (await Store.open(settings)).close()
    (tmp_path / "store.db").chmod(0o640)
    with pytest.raises(ConfigError, match="others may read") as caught:
        await Store.open(settings)
    assert "chmod 600" in caught.value.hint


async def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        await Store.open(StoreSettings(url=f"sqlite:///{folder}/store.db"))
    assert not list(folder.iterdir())


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/none/store.db"))


async def test_another_file_is_not_taken_for_a_store(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_text("version: 1\nidentities: []\n" * 100)
    file.chmod(0o600)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await Store.open(StoreSettings(url=f"sqlite:///{file}"))
    assert file.read_text().startswith("version: 1")


async def test_strange_letters_in_the_name(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/a%20%3f%23%25.db")
    store = await Store.open(settings)
    assert (tmp_path / "a ?#%.db").exists()
    await store.close()


async def test_a_store_that_was_removed_does_not_come_back_empty(
    tmp_path: Path,
) -> None:
    """The connection that is open would still answer, for ever."""
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    store = await Store.open(settings)
    await add(store)
    (tmp_path / "store.db").unlink()
    for _ in range(2):
        with pytest.raises(ConfigError, match="no such file"):
            await store.generation()
    assert not (tmp_path / "store.db").exists()
    await store.close()


async def test_a_store_that_was_put_back_counts(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    store = await Store.open(settings)
    await add(store, "ana")
    copy = tmp_path / "copy.db"
    copy.touch(0o600)
    with (
        closing(sqlite3.connect(tmp_path / "store.db")) as whole,
        closing(sqlite3.connect(copy)) as to,
    ):
        whole.backup(to)
    then = await store.generation()
    await add(store, "bea")
    for each in ("-wal", "-shm"):
        (tmp_path / f"store.db{each}").unlink()
    copy.rename(tmp_path / "store.db")
    assert await store.generation() == then
    assert [each.name for each in (await roll(store)).entries] == ["ana"]
    await store.close()


async def test_a_writer_waits_for_another_and_readers_do_not(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    store = await Store.open(settings)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = asyncio.get_running_loop().create_task(add(store))
        for _ in range(20):
            await store.generation()
        assert not waits.done()
        other.execute("COMMIT")
        await waits
    await store.close()


async def test_what_is_no_json_hides_nobody_else(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    for name in ("ana", "bea", "carl"):
        await add(store, name)
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("update identities set entry = '{' where name = 'ana'")
        deep = "[" * 100_000
        other.execute("update identities set entry = ? where name = 'bea'", [deep])
        other.commit()
    found = await roll(store)
    assert [each.name for each in found.entries] == ["carl"]
    assert found.broken == ("ana", "bea")
    await store.close()


async def test_a_time_that_is_none_is_told_of(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    await add(store)
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("update history set at = 'yesterday'")
        other.commit()

    async def read() -> None:
        async with store.reading() as connection:
            await read_history(connection)

    with pytest.raises(StoreUnavailable, match="can't be understood"):
        await read()
    await store.close()


async def test_a_file_that_is_replaced_under_many_readers(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    other = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/other.db"))
    await add(other, "bea")
    await other.close()
    (tmp_path / "other.db").rename(tmp_path / "store.db")
    for each in ("-wal", "-shm"):
        (tmp_path / f"store.db{each}").unlink(missing_ok=True)
    rolls = await asyncio.gather(*[roll(store) for _ in range(8)])
    assert {each.name for found in rolls for each in found.entries} == {"bea"}
    await store.close()
