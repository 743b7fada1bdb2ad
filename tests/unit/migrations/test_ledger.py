"""The ledger: what is found, what is believed of it, and that a proof passes once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.proof import Usage, Used, is_spent
from proxy.migrations.schema_digest import digest
from proxy.migrations.signed import encoded
from proxy.store.engine import Store
from proxy.store.proofs import Row, add
from proxy.store_settings import StoreSettings
from tests.unit.migrations.made import AFTER, NOW, approval, recorded, trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.migrations.signed import Signed

PROOF = recorded()


def usage(step: Used, run: str = "r1", database: str = "shop") -> Usage:
    return Usage(
        proof=PROOF.id, database=database, run=run, step=step, identity="m", at=NOW
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    yield opened
    await opened.close()


async def put(store: Store, *documents: Signed) -> None:
    async with store.changing() as connection:
        for each in documents:
            await ledger.add(connection, each)


async def use(store: Store, *words: Usage) -> None:
    for each in words:
        async with store.changing() as connection:
            await ledger.add_usage(connection, each)


async def counting(store: Store, database: str = "shop") -> list[str]:
    async with store.reading() as connection:
        found = await ledger.counting(connection, trust(), database=database, now=NOW)
    return [entry.signed.id for entry, _ in found]


async def test_only_what_is_approved_counts_and_only_in_its_database(
    store: Store,
) -> None:
    assert await counting(store) == []
    await put(store, PROOF)
    assert await counting(store) == []
    await put(store, approval(PROOF), approval(recorded(database="crm")))
    assert await counting(store) == [PROOF.id]
    assert await counting(store, "crm") == []


async def test_a_proof_passes_once_in_each_database(store: Store) -> None:
    """Else a migration that only changes data could be run again and again."""
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN), usage(Used.ROLLED_BACK))
    assert await counting(store) == [PROOF.id]
    await use(store, usage(Used.BEGUN, "r2"))
    assert await counting(store) == []
    with pytest.raises(ConfigError, match='was used in "shop" already'):
        await use(store, usage(Used.BEGUN, "r3"))
    await use(store, usage(Used.COMMITTED, "r2"), usage(Used.BEGUN, "r4", "other"))
    assert await counting(store) == []


async def test_of_two_runs_at_once_one_is_refused(store: Store) -> None:
    await put(store, PROOF, approval(PROOF))
    both = await asyncio.gather(
        *(use(store, usage(Used.BEGUN, run)) for run in ("r1", "r2", "r3")),
        return_exceptions=True,
    )
    assert [type(each) for each in both].count(ConfigError) == 2
    assert both.count(None) == 1


@pytest.mark.parametrize(
    ("steps", "spent"),
    [
        ([], False),
        ([Used.BEGUN], True),
        ([Used.ROLLED_BACK], False),
        ([Used.BEGUN, Used.ROLLED_BACK], False),
        ([Used.BEGUN, Used.COMMITTED], True),
        ([Used.BEGUN, Used.PARTIAL], True),
        ([Used.BEGUN, Used.COMMITTED, Used.ROLLED_BACK], True),
        ([Used.PARTIAL, Used.ROLLED_BACK], True),
    ],
)
def test_what_leaves_a_proof_unspent(steps: list[Used], *, spent: bool) -> None:
    words = [usage(step) for step in steps]
    assert is_spent(words, "shop") is spent
    assert is_spent(words, "other") is False


def settled(step: Used, run: str = "r1", by: str = "ana", **changed: Any) -> Usage:
    return structs.replace(usage(step, run), settled_by=by, **changed)


async def settle(store: Store, word: Usage) -> None:
    async with store.changing() as connection:
        await ledger.settle(connection, word)


async def spent_reason(store: Store, database: str = "shop") -> str:
    async with store.reading() as connection:
        return ledger.spent_reason(await ledger.find(connection, PROOF.id), database)


async def test_a_person_s_word_ends_a_run_whose_end_nobody_saw(store: Store) -> None:
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN))
    assert await counting(store) == []
    await settle(store, settled(Used.ROLLED_BACK, note="killed at noon"))
    assert await counting(store) == [PROOF.id]
    assert await spent_reason(store) == ""
    await use(store, usage(Used.BEGUN, "r2"))
    await settle(store, settled(Used.COMMITTED, "r2"))
    assert await counting(store) == []
    async with store.reading() as connection:
        entry = await ledger.find(connection, PROOF.id)
    assert [each.settled_by for each in entry.uses] == ["", "ana", "", "ana"]
    assert entry.uses[1].note == "killed at noon"


@pytest.mark.parametrize(
    "word",
    [
        settled(Used.ROLLED_BACK, "r9"),
        settled(Used.ROLLED_BACK, database="crm"),
        settled(Used.ROLLED_BACK, by=""),
        settled(Used.BEGUN),
        settled(Used.BEGUN, "r9"),
    ],
)
async def test_no_word_on_what_is_no_open_run(store: Store, word: Usage) -> None:
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN))
    with pytest.raises(ConfigError):
        await settle(store, word)
    assert await counting(store) == []


@pytest.mark.parametrize("end", [Used.COMMITTED, Used.PARTIAL, Used.ROLLED_BACK])
async def test_what_ended_stays_as_it_ended(store: Store, end: Used) -> None:
    """Else a committed run could be called rolled back, and run once more."""
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN), usage(end))
    before = await counting(store)
    for step in (Used.ROLLED_BACK, Used.COMMITTED):
        with pytest.raises(ConfigError, match="waits for a word"):
            await settle(store, settled(step))
    assert await counting(store) == before


async def test_a_run_that_commits_after_all_uses_the_proof_up(store: Store) -> None:
    """Somebody called it rolled back while it still ran."""
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN))
    await settle(store, settled(Used.ROLLED_BACK))
    await use(store, usage(Used.COMMITTED))
    assert await counting(store) == []
    assert "as ana said, committed" in await spent_reason(store)


async def test_of_two_words_at_once_one_is_refused(store: Store) -> None:
    await put(store, PROOF, approval(PROOF))
    await use(store, usage(Used.BEGUN))
    both = await asyncio.gather(
        settle(store, settled(Used.ROLLED_BACK)),
        settle(store, settled(Used.COMMITTED, by="bea")),
        return_exceptions=True,
    )
    assert [type(each) for each in both].count(ConfigError) == 1


async def test_why_it_is_spent_and_what_to_do(store: Store) -> None:
    await put(store, PROOF, approval(PROOF))
    assert await spent_reason(store) == ""
    await use(store, usage(Used.BEGUN))
    said = await spent_reason(store)
    assert f'proof {PROOF.id[:12]} was used in "shop" already' in said
    assert "begun 2026-11-20T12:00:00+00:00 by m, no end seen" in said
    assert f"pgwarden migration settle {PROOF.id[:12]} shop" in said
    assert await spent_reason(store, "crm") == ""
    await use(store, usage(Used.COMMITTED))
    said = await spent_reason(store)
    assert "by m, committed 2026-11-20T12:00:00+00:00" in said
    assert said.endswith("record it anew on staging")


async def test_a_use_of_no_proof_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        await use(store, usage(Used.BEGUN))


async def test_where_a_row_can_t_be_read_nothing_counts(store: Store) -> None:
    """It may be the revocation, or the use."""
    await put(store, PROOF, approval(PROOF))
    async with store.changing() as connection:
        await add(connection, Row("e" * 64, "use", PROOF.id, b"{"))
    with pytest.raises(ConfigError, match="ledger row eeee"):
        await counting(store)


async def test_a_document_under_another_name_is_none(store: Store) -> None:
    other = recorded(name="other")
    async with store.changing() as connection:
        body = encoded(other)
        await add(connection, Row(PROOF.id, "proof", PROOF.id, body))
    async with store.reading() as connection:
        found, problems = await ledger.entries(connection)
    assert found == []
    assert "under another document's name" in problems[0]


async def test_schemas_are_kept_by_their_digest(store: Store) -> None:
    for _ in range(2):
        async with store.changing() as connection:
            assert await ledger.add_snapshot(connection, AFTER) == digest(AFTER)
    async with store.reading() as connection:
        assert await ledger.snapshot(connection, digest(AFTER)) == AFTER
        assert await ledger.snapshot(connection, "0" * 64) is None
        assert await ledger.verified(connection, trust().keys) == (0, [])
