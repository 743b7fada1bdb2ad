"""What the sessions of one worker share that follow migrations: ledger, scope, tools.

Next: `proxy.migrations.ledger`, `proxy.migrations.configured`.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.errors import ConfigError
from proxy.migrations import ledger
from proxy.migrations.candidates import Candidate, candidate
from proxy.migrations.configured import scope_of, signing_key_of, trust_of
from proxy.migrations.profile_reading import Part
from proxy.migrations.proof import Usage, Used, sign_proof
from proxy.migrations.settings_inside import CURRENT_SCHEMA
from proxy.migrations.standing import standing
from proxy.server.backup_gate import backup_source_of
from proxy.sql.facts import Access
from proxy.store.engine import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from proxy.migration_settings import MigrationSettings
    from proxy.migrations.course import Looked
    from proxy.migrations.gates import BackupSource
    from proxy.migrations.profile_match import Tools
    from proxy.migrations.proof import Proof
    from proxy.migrations.schema import Scope, Snapshot
    from proxy.migrations.standing import Entry
    from proxy.sql.facts import Facts
    from proxy.store.engine import Store


GOOD_S: Final = 5.0
"""How late a proof may expire. All signatures are looked at anew after that, or when
anything has changed; a script of ten thousand statements asks for each of them."""
MOST_DATABASES: Final = 64


class Worthless(NamedTuple):
    """A proof that lets nothing pass here, and why."""

    candidate: Candidate
    why: str


class Found(NamedTuple):
    """What the ledger has for a database.

    Attributes:
        counting: proofs that let their migrations pass.
        worthless: those that don't, the newest last.
        dead: of a proof, the runs of it that began and were never seen to end, which
            can have left nothing behind if nobody runs them now.
    """

    counting: Sequence[Candidate]
    worthless: Sequence[Worthless]
    dead: Mapping[str, Sequence[str]]


class _Kept(NamedTuple):
    """What was found, and of what: every change of the store renews its generation."""

    mark: tuple[str, tuple[int, int, int]]
    at_s: float
    found: Found


class Ground:
    """One for each worker.

    Attributes:
        settings: the section `migrations`.
        scope: what schema digests are of.
        tools: the profiles.
        backup: says whether there is a fresh backup.
    """

    def __init__(
        self,
        settings: MigrationSettings,
        store: Store,
        tools: Tools,
        *,
        now: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.scope: Scope = scope_of(settings)
        self.tools = tools
        self.backup: BackupSource = backup_source_of(settings.gates.backup)
        self._store = store
        self._bookkeeping = frozenset(settings.bookkeeping)
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._announcing = frozenset(
            known.tool for known in tools.known if known.is_announced
        )

    def now(self) -> datetime:
        """The time on the wall."""
        return datetime.fromtimestamp(self._now(), UTC)

    # --- what counts ---------------------------------------------------------

    async def found(self, database: str) -> Found:
        """What the ledger has for a database, now.

        Raises:
            ConfigError: the public keys, or a row of the ledger, can't be read.
            StoreUnavailable: it can't be reached.
        """
        mark = await self._store.generation(), _mark_of(self.settings.keys)
        kept = self._kept.get(database)
        now_s = self._now()
        if kept and kept.mark == mark and 0 <= now_s - kept.at_s < GOOD_S:
            return kept.found
        found = await self._read(database)
        self._kept[database] = _Kept(mark, now_s, found)
        if len(self._kept) > MOST_DATABASES:
            del self._kept[next(iter(self._kept))]
        return found

    async def _read(self, database: str) -> Found:
        trust = await asyncio.to_thread(trust_of, self.settings)
        async with self._store.reading() as connection:
            rows, problems = await ledger.entries(connection)
        if problems:
            raise ConfigError("\n".join(problems), hint="pgwarden migration verify")
        now = self.now()
        counting, worthless, dead = [], [], {}
        for entry in rows:
            its = standing(entry, trust, now)
            found = candidate(entry.signed.id, its, self._announcing)
            if found is None or (its.serves and database not in its.serves):
                continue
            runs = _dead_runs(entry, found, database)
            why = ledger.spent_reason(entry, database) if runs is None else ""
            if its.counts and database in its.serves and not why:
                counting.append(found)
                dead[found.id] = runs or ()
            else:
                said = why or "; ".join(its.reasons) or str(its.state)
                worthless.append(Worthless(found, said))
        return Found(counting, worthless, dead)

    async def snapshot(self, wanted: str) -> Snapshot | None:
        """The schema of a digest, if it is kept."""
        async with self._store.reading() as connection:
            return await ledger.snapshot(connection, wanted)

    def misplaced(self, statements: Sequence[Facts], looked: Looked) -> str:
        """A table of history, not in its place, that the message's bookkeeping writes.

        What bookkeeping writes, no proof has; so it is held to the tables that hold the
        history here. In another schema the same words would keep it from being written.
        """
        for facts, piece, reading in zip(
            statements, looked.pieces, looked.readings, strict=True
        ):
            if reading.part is not Part.BOOKKEEPING:
                continue
            for use in facts.relations:
                schema = use.schema or piece.settings.get(CURRENT_SCHEMA, "")
                is_history = use.access is not Access.READ and any(
                    known.tables.surely_matches(schema, use.name)
                    for known in self.tools.known
                )
                name = f"{schema}.{use.name}"
                if is_history and name not in self._bookkeeping:
                    return name if schema else f"a schema that is not known: {use.name}"
        return ""

    # --- what is written -----------------------------------------------------

    async def use(  # noqa: PLR0913 - one word on a run
        self,
        proof: Proof,
        proof_id: str,
        *,
        run: str,
        step: Used,
        identity: str,
        database: str,
        detail: Mapping[str, str],
    ) -> None:
        """Write down how far a run has come.

        Raises:
            ConfigError: it begins, and the proof was used meanwhile.
            StoreUnavailable: it can't be written.
        """
        usage = Usage(
            proof=proof_id,
            database=database,
            run=run,
            step=step,
            identity=identity,
            at=self.now(),
        )
        change = Change(
            actor=identity,
            action=f"migration.{step.replace(' ', '-')}",
            subject=proof_id,
            detail={
                "tool": proof.tool,
                "migration": proof.name,
                "database": database,
                "run": run,
                **detail,
            },
        )
        async with self._store.changing(change) as connection:
            await ledger.add_usage(connection, usage)

    async def record(self, proof: Proof, *schemas: Snapshot) -> str:
        """Sign a proof and keep it; its id.

        Raises:
            ConfigError: the signing key can't be read.
            StoreUnavailable: it can't be written.
        """
        key = await asyncio.to_thread(signing_key_of, self.settings)
        signed = sign_proof(proof, key)
        change = Change(
            actor=proof.identity,
            action="migration.record",
            subject=signed.id,
            detail={
                "tool": proof.tool,
                "migration": proof.name,
                "database": proof.database,
                "statements": str(len(proof.statements)),
            },
        )
        async with self._store.changing(change) as connection:
            await ledger.add(connection, signed)
            for schema in schemas:
                await ledger.add_snapshot(connection, schema)
        return signed.id

    @property
    def valid_for(self) -> timedelta:
        """Until a proof that is recorded here expires."""
        return timedelta(days=self.settings.valid_for_d)


def _mark_of(path: Path) -> tuple[int, int, int]:
    """Another one whenever the file is another one."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def new_run() -> str:
    """A name for a run."""
    return secrets.token_hex(8)


def _dead_runs(entry: Entry, found: Candidate, database: str) -> Sequence[str] | None:
    """Runs that began and did not end, and can't have left anything behind.

    Only of a migration that its row of history is committed with: it says COMMITTING
    before it lets a COMMIT pass. None where the proof is spent whatever became of them.
    """
    if not (found.is_transaction and found.is_with_row):
        return None if _uses(entry, database) else ()
    runs = _uses(entry, database)
    ended = {run for run, steps in runs.items() if Used.ROLLED_BACK in steps}
    if any(
        steps - {Used.BEGUN, Used.COMMITTING, Used.ROLLED_BACK}
        for steps in runs.values()
    ):
        return None
    if any(Used.COMMITTING in runs[run] for run in runs.keys() - ended):
        return None
    return sorted(runs.keys() - ended)


def _uses(entry: Entry, database: str) -> dict[str, set[Used]]:
    found: dict[str, set[Used]] = {}
    for use in entry.uses:
        if use.database == database:
            found.setdefault(use.run, set()).add(use.step)
    return found
