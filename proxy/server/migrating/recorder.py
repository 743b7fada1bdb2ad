"""Staging: what runs as a migration is written down as a proof.

One a session. It changes no verdict and refuses nothing; where it can't record, it says
so and lets the migration run. What it takes for the statements of a migration is what
the gate expects of it, because both ask the same recogniser.
Next: `proxy.migrations.recording`, `proxy.migrations.proof`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from msgspec import structs
from typing_extensions import override

from proxy.errors import PgwardenError
from proxy.migrations.course import IDLE, Course
from proxy.migrations.piece import Piece
from proxy.migrations.profile_reading import Happening, Part
from proxy.migrations.proof import (
    SETTINGS,
    LockTaken,
    Origin,
    Outcome,
    Proof,
    ProvenStatement,
    proven_statement,
)
from proxy.migrations.recogniser import Recogniser
from proxy.migrations.recording import Recording
from proxy.migrations.statement import Sent, StatementError
from proxy.server.migrating.following import Following, Given, digest_of

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.migrations.course import Looked
    from proxy.migrations.recording import Recorded
    from proxy.migrations.schema import Snapshot
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Ground
    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.session.session import Session

_log = structlog.get_logger("migrations")
MOST_PIECES: Final = 10_000
"""Statements of one migration."""
_BEGINS: Final = frozenset({Happening.ANNOUNCED, Happening.REVERTED})
_ROLLED_BACK: Final = "a part of its transaction may have been rolled back"
_TOO_MANY: Final = f"a migration has more than {MOST_PIECES:,} statements"
_LOCKS: Final = """SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), l.mode
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c
    ON c.oid OPERATOR(pg_catalog.=) l.relation
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted
    AND n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name
    AND l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock'
ORDER BY 1, 2 LIMIT 500"""


class UnprovableError(PgwardenError):
    """A migration ran that no proof can be about."""


class _Told:
    """What is known of one migration that has been applied, beside its statements."""

    def __init__(
        self, before: Snapshot | None, after: Snapshot, began_at: datetime
    ) -> None:
        self.before = before
        self.after = after
        self.began_at = began_at
        self.locks: tuple[LockTaken, ...] = ()


class Recorder(Following["Recording[Piece]"]):
    """See `proxy.session.migrating.Migrating`."""

    is_recorder = True

    def __init__(self, link: Link, ground: Ground) -> None:
        recording: Recording[Piece] = Recording()
        super().__init__(link, ground, Course(Recogniser(ground.tools), recording))
        self._before: Snapshot | None = None
        self._began_at = ground.now()
        self._told: list[_Told] = []
        self._written = 0
        self._message = 0

    @override
    def passing(self, session: Session, judged: Judged, looked: Looked) -> Judged:
        if judged.decision.allowed:
            self.take(session, looked, self._after(looked))
        return judged

    @override
    async def decided(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Given[Recording[Piece]]:
        progress = self.course.progress
        if not judged.decision.allowed:
            return Given(judged, None, progress)
        try:
            settings = await self.settings(session, portal)
            looked = self.look(session, judged, portal, settings)
            if not progress.pieces and _may_begin(looked):
                self._began_at = self.ground.now()
                self._before = await self.schema_before(session, portal)
        except PgwardenError as error:
            _log.warning("migration_not_seen", error=error.message)
            looked = self.look(session, judged, portal, {})
            self._before = None
        return Given(judged, looked, self._after(looked))

    def _after(self, looked: Looked) -> Recording[Piece]:
        self._message += 1
        pieces = [
            each.numbered(self._message, in_block=looked.in_block)
            for each in looked.pieces
        ]
        progress = self.course.progress
        if looked.is_mixed or self.course.is_uncertain:
            why = Piece(Sent(b""), trouble=_ROLLED_BACK)
            progress = structs.replace(progress, pieces=(why,))
        after = progress.after(
            pieces,
            looked.readings,
            self.course.recogniser.tool_after(looked.after),
            in_transaction=looked.in_block,
        )
        if len(after.pieces) > MOST_PIECES:
            # A session that runs no migration is followed all the same.
            cut = structs.replace(after.pieces[0], trouble=_TOO_MANY)
            after = structs.replace(after, pieces=(cut,))
        return after

    @override
    def wants_schema(self, judged: Judged) -> bool:
        return not self.course.progress.pieces

    @override
    def wants_aftermath(self, *, was_kept: bool) -> bool:
        applied = len(self.course.progress.applied)
        del self._told[applied:]
        is_kept = was_kept and len(self.course.kept.applied) > self._written
        return applied > len(self._told) or is_kept

    @override
    async def aftermath(self, session: Session) -> None:
        applied = self.course.progress.applied
        try:
            if len(applied) > len(self._told):
                await self._look_behind(session, len(applied))
            if session.status == IDLE:
                await self._write()
        except PgwardenError as error:
            self._written = len(self.course.kept.applied)
            self._unrecorded(error.message)

    async def _look_behind(self, session: Session, until: int) -> None:
        after = await self.schema(session)
        told = _Told(self._before, after, self._began_at)
        if session.status != IDLE:
            told.locks = tuple(
                LockTaken(relation or "", mode or "")
                for relation, mode in await self.ask(_LOCKS)
            )
        # Of several that one message has ended, nobody saw what lies between.
        self._told += [told] * (until - len(self._told))
        self._before = None

    async def _write(self) -> None:
        kept = self.course.kept.applied
        while self._written < len(kept):
            recorded, told = kept[self._written], self._told[self._written]
            self._written += 1
            if recorded.pieces and told.before is None:
                raise UnprovableError("nobody saw the schema before it")
            before = told.before or told.after
            proof = self._proof(recorded, told, before)
            proof_id = await self.ground.record(proof, before, told.after)
            self._say_recorded(proof, proof_id)

    def _proof(self, recorded: Recorded[Piece], told: _Told, before: Snapshot) -> Proof:
        ground, request = self.ground, self.link.request
        now = ground.now()
        pieces = recorded.pieces
        first = dict(pieces[0].settings) if pieces else {}
        settings: dict[str, str] = {n: first[n] for n in SETTINGS if n in first}
        if pieces and not settings:
            raise UnprovableError(
                "it began in the middle of a pipeline, where the settings of the "
                "session can't be looked at"
            )
        return Proof(
            origin=Origin.RECORDED,
            tool=recorded.tool,
            name=recorded.name,
            checksum=recorded.checksum,
            environment=ground.settings.environment,
            database=request.database,
            server_version=told.after.server_version,
            identity=request.identity,
            statements=tuple(
                _proven(number, piece, settings, now)
                for number, piece in enumerate(pieces, 1)
            ),
            scope=ground.scope,
            before=digest_of(before),
            after=digest_of(told.after),
            outcome=Outcome.COMMITTED,
            settings=settings,
            in_transaction=recorded.is_transaction,
            with_row=recorded.is_with_row,
            locks=told.locks,
            duration_ms=int((now - told.began_at).total_seconds() * 1000),
            started_at=told.began_at,
            recorded_at=now,
            expires_at=now + ground.valid_for,
        )

    def _say_recorded(self, proof: Proof, proof_id: str) -> None:
        short = proof_id[:12]
        lacks = self.ground.settings.approvals
        self.link.server.metrics.migration("recorded")
        _log.info("migration_recorded", proof=proof_id, migration=proof.name)
        self.say(
            f'pgwarden has recorded migration "{proof.name}" as proof {short}: '
            f"{len(proof.statements)} statements",
            f"pgwarden migration approve {short}" if lacks else "",
        )

    def _unrecorded(self, why: str) -> None:
        self.link.server.metrics.migration("unrecorded")
        _log.warning("migration_not_recorded", why=why)
        self.say(f"pgwarden has not recorded this migration: {why}", severity="WARNING")


def _may_begin(looked: Looked) -> bool:
    return any(
        reading.part is Part.BODY or any(e.happening in _BEGINS for e in reading.events)
        for reading in looked.readings
    )


def _proven(
    number: int, piece: Piece, settings: dict[str, str], now: datetime
) -> ProvenStatement:
    """One statement as a proof has it.

    Raises:
        UnprovableError: it can't be proven.
    """
    if piece.trouble:
        raise UnprovableError(f"statement {number}: {piece.trouble}")
    try:
        found = proven_statement(
            piece.sent, now, message=piece.message, in_block=piece.in_block
        )
    except StatementError as error:
        raise UnprovableError(f"statement {number}: {error}") from None
    differing = {
        name: piece.settings.get(name, "")
        for name in SETTINGS
        if piece.settings.get(name) != settings.get(name)
    }
    return structs.replace(found, settings=differing)
