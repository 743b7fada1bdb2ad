"""What every store must do, in SQLite and in Postgres: run by tests of both."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from proxy.auth.identities import IdentityEntry
from proxy.auth.secrets import make_secret
from proxy.errors import ConfigError
from proxy.store import grants, history, identities, keys, last_uses, proofs
from proxy.store.engine import Change, Store, StoreUnavailable
from proxy.store.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Connection

    from proxy.store.history import Event
    from proxy.store_settings import StoreSettings

SUBJECTS = (
    grants.grants,
    identities.identities,
    last_uses.last_uses,
    proofs.proofs,
    proofs.snapshots,
)
"""Tables are known to the metadata once their file is imported."""
ADDED = Change("root@host", "identity.add", "ana", {"role": "developer"})


def entry(name: str = "ana", **changed: object) -> IdentityEntry:
    secret = make_secret(f"of {name}", salt=b"sixteen bytes ..", iterations=4096)
    values = {"name": name, "role": "developer", "secret": secret.encode()}
    return IdentityEntry.model_validate({**values, **changed})


async def add(store: Store, name: str = "ana", **changed: object) -> None:
    change = Change("root@host", "identity.add", name)
    async with store.changing(change) as connection:
        await identities.add(connection, entry(name, **changed))


async def roll(store: Store) -> identities.Roll:
    async with store.reading() as connection:
        return await identities.read_roll(connection)


async def keeps_what_is_put_in(settings: StoreSettings) -> None:
    whole = entry(
        networks=["10.0.0.0/8", "2001:db8::/32"],
        valid_until="2030-01-01T00:00:00+02:00",
        disabled=True,
    )
    store = await Store.open(settings)
    async with store.changing(ADDED) as connection:
        await identities.add(connection, whole)
    await store.close()
    store = await Store.open(settings)
    assert (await roll(store)).entries == (whole,)
    changed = entry(role="migrator")
    async with store.changing(ADDED) as connection:
        await identities.replace(connection, changed)
    assert (await roll(store)).entries == (changed,)
    async with store.changing(ADDED) as connection:
        await identities.remove(connection, "ana")
    assert (await roll(store)).entries == ()
    await store.close()


async def changes_all_or_nothing(settings: StoreSettings) -> None:
    store = await Store.open(settings)
    await add(store)
    before = await store.generation()
    with pytest.raises(ConfigError, match='there is an identity "ana" already'):
        await add(store)

    async def half_wrong() -> None:
        async with store.changing(ADDED) as connection:
            await identities.add(connection, entry("carl"))
            await identities.replace(connection, entry("bea"))

    with pytest.raises(ConfigError, match='no identity "bea"'):
        await half_wrong()
    assert await store.generation() == before
    assert [each.name for each in (await roll(store)).entries] == ["ana"]
    async with store.reading() as connection:
        assert len(await history.read_history(connection)) == 1
    await store.close()


async def tells_each_change(settings: StoreSettings) -> None:
    """Another store, as another process has it, sees another generation."""
    ours, theirs = await Store.open(settings), await Store.open(settings)
    seen = [await ours.generation()]
    for name in ("ana", "bea", "carl"):
        await add(theirs, name)
        seen.append(await ours.generation())
    async with theirs.writing():
        pass
    seen.append(await ours.generation())
    different = [a != b for a, b in itertools.pairwise(seen)]
    assert different == [True, True, True, False]
    await ours.close()
    await theirs.close()


async def opens_for_many_at_once(settings: StoreSettings) -> None:
    """A new store: one makes it, nobody fails, and keys are the same for all."""
    stores = await asyncio.gather(*[Store.open(settings) for _ in range(6)])
    found = await asyncio.gather(*[keys.key(each, keys.MOCK_SALT) for each in stores])
    assert len(set(found)) == 1
    assert len(found[0]) == keys.KEY_BYTES
    await asyncio.gather(*[add(each, f"n{i}") for i, each in enumerate(stores)])
    assert len((await roll(stores[0])).entries) == 6
    for each in stores:
        await each.close()
    again = await Store.open(settings)
    assert await keys.key(again, keys.MOCK_SALT) == found[0]
    assert await keys.key(again, keys.LAST_USE) != found[0]
    await again.close()


async def loses_no_update(settings: StoreSettings) -> None:
    """Who reads and then writes in one change overwrites nobody."""
    stores = await asyncio.gather(*[Store.open(settings) for _ in range(3)])
    await add(stores[0], role="r0")

    async def count_up(store: Store) -> None:
        for _ in range(5):
            async with store.changing(ADDED) as connection:
                known = (await identities.read_roll(connection)).find("ana")
                assert known is not None
                number = int(known.role.removeprefix("r"))
                await identities.replace(connection, entry(role=f"r{number + 1}"))

    await asyncio.gather(*[count_up(each) for each in stores])
    (found,) = (await roll(stores[0])).entries
    assert found.role == "r15"
    for each in stores:
        await each.close()


async def hands_history_to_one_log(settings: StoreSettings) -> None:
    stores = await asyncio.gather(*[Store.open(settings) for _ in range(3)])
    for number in range(10):
        await add(stores[0], f"n{number}")
    written: list[Event] = []

    def broken(_: Sequence[Event]) -> bool:
        return False

    def write(events: Sequence[Event]) -> bool:
        written.extend(events)
        return True

    assert await history.audit(stores[1], broken) == 0
    counts = await asyncio.gather(*[history.audit(each, write) for each in stores])
    assert sorted(counts) == [0, 0, 10]
    assert [each.subject for each in written] == [f"n{n}" for n in range(10)]
    assert {each.actor for each in written} == {"root@host"}
    for each in stores:
        await each.close()


async def refuses_one_broken_row(settings: StoreSettings) -> None:
    store = await Store.open(settings)
    await add(store, "ana")
    await add(store, "bea")
    async with store.changing(ADDED) as connection:
        await connection.execute(
            text("""update identities set entry = '{"role": "r"}' where name = 'ana'""")
        )
    found = await roll(store)
    assert [each.name for each in found.entries] == ["bea"]
    (problem,) = found.problems
    assert 'store: identity "ana"' in problem
    async with store.changing(ADDED) as connection:
        await identities.remove(connection, "ana")
    assert not (await roll(store)).problems
    await store.close()


async def refuses_a_newer_store(settings: StoreSettings) -> None:
    store = await Store.open(settings)
    async with store.changing() as connection:
        await connection.execute(text("update alembic_version set version_num = 'x9'"))
    await store.close()
    with pytest.raises(ConfigError, match=r'newer pgwarden .*"x9"'):
        await Store.open(settings)


async def tells_no_secret_when_it_fails(settings: StoreSettings) -> None:
    store = await Store.open(settings)
    secret = entry().secret
    assert secret
    with pytest.raises(StoreUnavailable) as caught:
        async with store.changing() as connection:
            await connection.execute(
                identities.identities.insert().values(
                    name="ana", entry={"secret": secret}, changed_at=None
                )
            )
    error = caught.value
    said = f"{error} {error!r} {error.__cause__!r} {error.operator_note}"
    assert secret not in said
    assert "SCRAM" not in said
    await store.close()


async def is_what_the_revisions_make(settings: StoreSettings) -> None:
    """A table or column without its revision, or the other way round."""
    assert {each.name for each in SUBJECTS} <= set(METADATA.tables)

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection)
        return compare_metadata(context, METADATA)

    store = await Store.open(settings)
    async with store.reading() as connection:
        assert await connection.run_sync(differences) == []
    await store.close()


async def only_ever_adds_to_the_ledger(settings: StoreSettings) -> None:
    """A document once, in the order of coming; a row never changes nor goes."""
    store = await Store.open(settings)
    rows = [
        proofs.Row("a" * 64, "proof", "a" * 64, b"\0one\xff"),
        proofs.Row("b" * 64, "approval", "a" * 64, b"two"),
        proofs.Row("c" * 64, "proof", "c" * 64, b""),
    ]
    for row in (*rows, rows[0], rows[1]):
        async with store.changing(ADDED) as connection:
            is_new = row not in await proofs.read(connection)
            assert await proofs.add(connection, row) == is_new
            await proofs.add_snapshot(connection, "d" * 64, b"schema")
    async with store.reading() as connection:
        assert await proofs.read(connection) == rows
        assert await proofs.read(connection, ["a" * 64]) == rows[:2]
        assert await proofs.starting_with(connection, "ccc") == rows[2:]
        assert await proofs.starting_with(connection, "%") == []
        assert await proofs.snapshot(connection, "d" * 64) == b"schema"
        assert await proofs.digests(connection) == ["d" * 64]
    for table in ("proofs", "schema_snapshots"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET body = body"):
            with pytest.raises(StoreUnavailable, match="only ever added to"):
                async with store.changing() as connection:
                    await connection.execute(text(statement))
    async with store.reading() as connection:
        assert await proofs.read(connection) == rows
    await store.close()


SCENARIOS: list[Callable[[StoreSettings], Awaitable[None]]] = [
    keeps_what_is_put_in,
    changes_all_or_nothing,
    tells_each_change,
    opens_for_many_at_once,
    loses_no_update,
    hands_history_to_one_log,
    refuses_one_broken_row,
    refuses_a_newer_store,
    tells_no_secret_when_it_fails,
    only_ever_adds_to_the_ledger,
    is_what_the_revisions_make,
]
