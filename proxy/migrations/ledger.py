"""The ledger: proofs, what was said of them, and the schemas that they speak of.

Between the store, which keeps bytes, and `proxy.migrations.standing`, which says what
they are worth. What a row's body says is checked against how the row was found, so that
a row under another proof's name is no part of it. Next: `proxy.store.proofs`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations import uses
from proxy.migrations.proof import (
    APPROVAL,
    PROOF,
    REVOCATION,
    USE,
    Revocation,
    Usage,
    Used,
    is_spent,
    read_approval,
    read_proof,
    read_revocation,
    read_usage,
)
from proxy.migrations.schema import Snapshot
from proxy.migrations.schema_digest import digest
from proxy.migrations.signed import Signed, changed_fields, decoded, encoded, unsigned
from proxy.migrations.standing import Entry, standing, troubles
from proxy.migrations.uses import open_runs
from proxy.store import proofs as store
from proxy.store.proofs import Row

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.migrations.keys import KeyDocument
    from proxy.migrations.standing import Standing, Trust
    from proxy.store.proofs import AsyncConnection

MIN_PREFIX: Final = 6
"""Letters of an id that a person has to type: 24 bits."""
SHOWN_ID: Final = 12
MAX_SNAPSHOT: Final = 256 * 1024 * 1024
"""Bytes of a schema once unpacked: some hundred thousand objects."""


async def add(connection: AsyncConnection, signed: Signed) -> bool:
    """Add a document of any kind, whatever it is worth; whether it was not there yet.

    Raises:
        ConfigError: it can't be read.
        StoreUnavailable: through the connection.
    """
    about = about_of(signed)
    return await store.add(
        connection, Row(signed.id, signed.kind, about, encoded(signed))
    )


def about_of(signed: Signed) -> str:
    """The id of the proof that a document is, or speaks of.

    Raises:
        ConfigError: it can't be read.
    """
    match signed.kind:
        case "proof":
            read_proof(signed)
            return signed.id
        case "approval":
            return read_approval(signed).proof
        case "revocation":
            return read_revocation(signed).proof
        case "use":
            return read_usage(signed).proof
        case _:
            raise ConfigError(f'"{signed.kind:.40}" is no kind of document of ours')


def unsigned_revocation(revocation: Revocation) -> Signed:
    """A revocation where no key is at hand, as in production: it counts as well."""
    return unsigned(REVOCATION, revocation)


async def add_usage(connection: AsyncConnection, usage: Usage) -> None:
    """Write down how far a run has come that a proof let pass.

    In one change of the store (`Store.changing`), so that of two runs at once one is
    refused.

    Raises:
        ConfigError: the run begins, and the proof has been used in this database.
    """
    found, problems = await entries(connection, (usage.proof,))
    if problems or not found:
        raise ConfigError("the proof and what was said of it can't be read")
    if usage.step is Used.BEGUN and is_spent(found[0].uses, usage.database):
        raise ConfigError(spent_reason(found[0], usage.database))
    await add(connection, unsigned(USE, usage))


async def settle(connection: AsyncConnection, usage: Usage) -> None:
    """Write down a person's word on a run whose end nobody saw.

    In one change of the store, as `add_usage`: the run may have ended meanwhile.

    Raises:
        ConfigError: there is no such run, or its end is known.
    """
    found, problems = await entries(connection, (usage.proof,))
    if problems or not found:
        raise ConfigError("the proof and what was said of it can't be read")
    if not usage.settled_by or usage.step is Used.BEGUN:
        raise ConfigError("a word on a run's end says who says so, and how it ended")
    waiting = open_runs(found[0].uses, usage.database)
    if usage.run not in {each.begun.run for each in waiting}:
        raise ConfigError(
            f'no run of proof {usage.proof[:SHOWN_ID]} in "{usage.database}" waits for '
            "a word on its end"
        )
    await add(connection, unsigned(USE, usage))


def spent_reason(entry: Entry, database: str) -> str:
    """Why a proof that was used here lets nothing pass, and what to do; else ""."""
    return uses.spent_reason(entry.signed.id[:SHOWN_ID], entry.uses, database)


async def entries(
    connection: AsyncConnection, about: tuple[str, ...] = ()
) -> tuple[list[Entry], list[str]]:
    """All proofs with what was said of them, oldest first, and a line a broken row."""
    rows = await store.read(connection, about)
    documents, problems = [], []
    for row in rows:
        try:
            documents.append((row, _document(row)))
        except ConfigError as error:
            problems.append(f"ledger row {row.id[:SHOWN_ID]}: {error.message}")
    by_proof: dict[str, dict[str, list[Signed]]] = {}
    for row, signed in documents:
        of_it = by_proof.setdefault(row.about, {})
        of_it.setdefault(signed.kind, []).append(signed)
    # A broken revocation must not bring its proof back.
    broken = {row.about for row in rows if row.kind == REVOCATION}
    found = []
    for proof_id, kinds in by_proof.items():
        for signed in kinds.get(PROOF, []):
            revocations = tuple(kinds.get(REVOCATION, []))
            if proof_id in broken and not revocations:
                revocations = (Signed(REVOCATION, {}, {}, "", ""),)
            approvals = tuple(kinds.get(APPROVAL, []))
            words = tuple(map(read_usage, kinds.get(USE, [])))
            found.append(Entry(signed, approvals, revocations, words))
    return found, problems


def _document(row: Row) -> Signed:
    signed = decoded(row.body)
    if (signed.id, signed.kind, about_of(signed)) != (row.id, row.kind, row.about):
        raise ConfigError("it is under another document's name")
    return signed


async def find(connection: AsyncConnection, prefix: str) -> Entry:
    """The one proof whose id begins so.

    Raises:
        ConfigError: there is none, several, or it can't be read.
    """
    wanted = prefix.strip().lower()
    if len(wanted) < MIN_PREFIX:
        raise ConfigError(f"give at least {MIN_PREFIX} letters of the proof's id")
    rows = await store.starting_with(connection, wanted)
    if not rows:
        raise ConfigError(
            f'there is no proof "{wanted:.70}"', hint="pgwarden migration list"
        )
    if len(rows) > 1:
        raise ConfigError(f'"{wanted}" is the beginning of {len(rows)} proofs')
    found, problems = await entries(connection, (rows[0].id,))
    if len(found) != 1:
        raise ConfigError("\n".join(problems) or "the proof can't be read")
    return found[0]


async def counting(
    connection: AsyncConnection, trust: Trust, *, database: str, now: datetime
) -> list[tuple[Entry, Standing]]:
    """The proofs that let a migration pass in this database now, oldest first.

    None that was used here already.

    Raises:
        ConfigError: a row of the ledger can't be read: it may be a use or a revocation.
    """
    found, problems = await entries(connection)
    if problems:
        raise ConfigError("\n".join(problems), hint="pgwarden migration verify")
    standings = [(entry, standing(entry, trust, now)) for entry in found]
    return [
        (entry, its)
        for entry, its in standings
        if its.counts and database in its.serves and not is_spent(entry.uses, database)
    ]


async def verified(
    connection: AsyncConnection, keys: KeyDocument
) -> tuple[int, list[str]]:
    """How many documents are as they were signed, and a line for each other."""
    rows = await store.read(connection)
    problems = []
    for row in rows:
        name = f"{row.kind} {row.id[:SHOWN_ID]}"
        try:
            signed = _document(row)
        except ConfigError as error:
            problems.append(f"{name}: {error.message}")
            continue
        if signed.kind in {REVOCATION, USE} and not signed.key:
            wrong = changed_fields(signed)
            problems += [f'{name}: field "{each}" was changed' for each in wrong]
            continue
        problems += [f"{name}: {each}" for each in troubles(signed, keys)]
    for digest_ in await store.digests(connection):
        if await snapshot(connection, digest_) is None:
            problems.append(f"schema {digest_[:SHOWN_ID]}: it is not what it was")
    return len(rows) - len(problems), problems


async def packed_schemas(
    connection: AsyncConnection, found: list[Entry]
) -> dict[str, bytes]:
    """The schemas that these proofs begin and end with, as far as they are kept."""
    proofs = [read_proof(each.signed) for each in found]
    wanted = {each.before for each in proofs} | {each.after for each in proofs}
    kept = {name: await store.snapshot(connection, name) for name in sorted(wanted)}
    return {name: body for name, body in kept.items() if body is not None}


async def add_snapshot(connection: AsyncConnection, snapshot: Snapshot) -> str:
    """Keep a schema; its digest."""
    name = digest(snapshot)
    await store.add_snapshot(connection, name, packed(snapshot))
    return name


async def snapshot(connection: AsyncConnection, wanted: str) -> Snapshot | None:
    """The schema of this digest, if it is kept and still is what the digest says."""
    body = await store.snapshot(connection, wanted)
    if body is None:
        return None
    try:
        found = unpacked(body)
    except ConfigError:
        return None
    return found if digest(found) == wanted else None


def packed(snapshot: Snapshot) -> bytes:
    """A schema as it is kept."""
    return zlib.compress(json.encode(snapshot, order="deterministic"))


def unpacked(body: bytes) -> Snapshot:
    """What `packed` gave.

    Raises:
        ConfigError: it is none.
    """
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(body, MAX_SNAPSHOT)
        if unpacker.unconsumed_tail:
            raise ConfigError("the schema is too large")
        return json.decode(plain, type=Snapshot)
    except (zlib.error, msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ConfigError("the schema can't be read") from None
