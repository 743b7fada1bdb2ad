"""How far the runs of a session have come, written into the ledger.

A proof is good for one run in each database. So the ledger says that one begins before
its first statement leaves, and how it ended once Postgres has said so; a run whose end
nobody saw counts as one that may have taken effect. Next: `proxy.migrations.ledger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from proxy.errors import PgwardenError
from proxy.migrations.proof import Used
from proxy.server.migrating.ground import new_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.migrations.candidates import Candidate
    from proxy.migrations.following import Progress
    from proxy.migrations.proof import Proof
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Ground

_log = structlog.get_logger("migrations")


class _Run:
    """One of them; those that began alike are told apart by what comes next."""

    def __init__(
        self, candidate: Candidate, run: str, *, alike: frozenset[str], point: str
    ) -> None:
        self.candidate = candidate
        self.run = run
        self.alike = alike
        self.point = point
        self.is_touched = False
        self.is_committing = False

    @property
    def way_back(self) -> str:
        """What takes it back, once it is applied: a command, or a restore."""
        if self.candidate.has_way_back:
            return f"pgwarden migration show {self.candidate.id[:12]} --way-back"
        return f"restore to {self.point}"


class Runs:
    """Those of one session.

    Attributes:
        dead: of a proof, runs that can have left nothing behind, see `ground`.
    """

    def __init__(self, link: Link, ground: Ground, *, say: Callable[..., None]) -> None:
        """Begin without any.

        Args:
            link: of the session.
            ground: has the ledger.
            say: tells the client something, with a hint.
        """
        self.dead: Mapping[str, Sequence[str]] = {}
        self._link = link
        self._ground = ground
        self._tell = say
        self._open: dict[str, _Run] = {}

    @property
    def are_open(self) -> bool:
        """Whether one goes on."""
        return bool(self._open)

    @property
    def can_be_lost(self) -> bool:
        """Whether another deploy may take one for dead that goes on.

        As long as it has not said that it may be committed, see `ground`.
        """
        return any(
            run.candidate.is_transaction and run.candidate.is_with_row
            for run in self._open.values()
        )

    def proof_of(self, proof_id: str) -> Proof | None:
        """The proof of a run that goes on."""
        found = self._open.get(proof_id)
        return None if found is None else found.candidate.proof

    async def begin(
        self,
        candidates: Sequence[Candidate],
        evidence: Mapping[str, str],
        *,
        point: str,
    ) -> None:
        """Say that these begin.

        Args:
            candidates: all that fit so far; one of them will turn out to be it.
            evidence: what the gates found.
            point: what a restore would stop at, in words.

        Raises:
            ConfigError: one was used meanwhile.
            StoreUnavailable: the ledger can't be written.
        """
        alike = frozenset(each.id for each in candidates)
        for each in candidates:
            for run in self.dead.get(each.id, ()):
                why = {"why": "it ended before anything could be committed"}
                await self._say(each, run, Used.ROLLED_BACK, why)
            made = _Run(each, new_run(), alike=alike, point=point)
            await self._say(each, made.run, Used.BEGUN, evidence)
            self._open[each.id] = made

    async def committing(self, proof_id: str) -> None:
        """All of it has run as proven, and its COMMIT may come."""
        found = self._open.get(proof_id)
        if found is None or not found.candidate.is_with_row or found.is_committing:
            return
        found.is_committing = True
        await self._say(found.candidate, found.run, Used.COMMITTING, {})

    def want_end(self, kept: Progress) -> bool:
        """Whether one has ended, or has come further, by what is committed."""
        return any(self._end_of(each, kept) is not None for each in self._open.values())

    async def end(self, kept: Progress) -> None:
        """Say how those ended that have."""
        steps = {key: self._end_of(run, kept) for key, run in self._open.items()}
        for key, step in steps.items():
            if step is None:
                continue
            run = self._open[key]
            await self._ended(run, step)
            if step is Used.COMMITTED:
                self._tell(
                    f'migration "{run.candidate.name}" is applied; '
                    f"way back: {run.way_back}",
                    f"or restore to {run.point}" if run.candidate.has_way_back else "",
                )
            del self._open[key]

    async def over(self, kept: Progress, *, is_unknown: bool) -> None:
        """The session is over: what goes on has ended where it stands.

        Args:
            kept: what is committed.
            is_unknown: something was unanswered, so that nobody knows.
        """
        if is_unknown:
            self.lose_sight()
        stays = {cursor.proof.id: cursor.position for cursor in kept.cursors}
        for key, run in list(self._open.items()):
            ended = self._end_of(run, kept)
            touched = run.is_touched or stays.get(key, 0) > 0
            await self._ended(
                run, ended or (Used.PARTIAL if touched else Used.ROLLED_BACK)
            )
        self._open.clear()

    def lose_sight(self) -> None:
        """Nobody knows how these ended: the ledger waits for a person's word."""
        for key in self._open:
            _log.warning("migration_end_not_seen", proof=key)
            self._link.server.metrics.migration("unknown")
        self._open.clear()

    def drifted(self, proof_id: str, found: str) -> None:
        """The schema is not what it was on staging: for the record."""
        run = self._open[proof_id]
        proof = run.candidate.proof
        self._link.server.metrics.migration("drifted")
        self._note(
            "migration.drift",
            {
                "proof": proof_id,
                "migration": proof.name,
                "expected": proof.after,
                "found": found,
            },
        )

    def _end_of(self, run: _Run, kept: Progress) -> Used | None:
        """How a run has ended by what is committed; None where it goes on."""
        ended = {each.id for each in kept.ended}
        if run.candidate.id in ended:
            return Used.COMMITTED
        if run.alike & ended:
            return Used.ROLLED_BACK
        position = {cursor.proof.id: cursor.position for cursor in kept.cursors}
        if kept.is_running and run.candidate.id in position:
            run.is_touched = run.is_touched or position[run.candidate.id] > 0
            return None
        if kept.is_running and position:
            return Used.ROLLED_BACK  # it was another one
        return Used.PARTIAL if run.is_touched else Used.ROLLED_BACK

    async def _ended(self, run: _Run, step: Used) -> None:
        detail = {"way_back": run.way_back} if step is Used.COMMITTED else {}
        try:
            await self._say(run.candidate, run.run, step, detail)
        except PgwardenError as error:
            key = run.candidate.id
            _log.error("migration_end_not_kept", proof=key, error=error.message)

    async def _say(
        self, candidate: Candidate, run: str, step: Used, detail: Mapping[str, str]
    ) -> None:
        request = self._link.request
        if step is not Used.COMMITTING:
            self._link.server.metrics.migration(step.replace(" ", "_"))
        await self._ground.use(
            candidate.proof,
            candidate.id,
            run=run,
            step=step,
            identity=request.identity,
            database=request.database,
            detail=detail,
        )

    def _note(self, purpose: str, detail: Mapping[str, str]) -> None:
        self._link.note(self._link.records.internal(purpose, detail=detail))
