"""Production: what changes anything runs only as part of a proven migration.

One a session. It asks the follower whether a proof has this statement in this place,
the gates before the first one, and the rules for proven migrations; all of them have to
say yes. What is not proven is refused, or goes by the rules where the policy says so.
Next: `proxy.migrations.follower`, `gates`, and `following` for how a session waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs
from typing_extensions import override

from proxy.errors import (
    GATE_UNSATISFIED,
    PgwardenError,
)
from proxy.migrations.candidates import Candidates
from proxy.migrations.course import FAILED, IDLE, Course
from proxy.migrations.follower import HISTORY, NOT_PROVEN, Follower
from proxy.migrations.following import Progress, Unproven
from proxy.migrations.recogniser import Recogniser
from proxy.server.migrating.choice import wanted_of
from proxy.server.migrating.following import Following, Given, digest_of
from proxy.server.migrating.gates import GateError, Gates
from proxy.server.migrating.refusing import (
    AMID,
    DRIFT,
    MIXED,
    SEVERAL,
    UNCERTAIN,
    UNSEEN,
    Commands,
    cancelled,
    fails_anyway,
    has_several,
    is_of_proof,
    narrowed,
    refused,
    surviving,
    told_of,
    unavailable,
    worthless_that_fits,
)
from proxy.server.migrating.runs import Runs
from proxy.sql.facts import Flag

if TYPE_CHECKING:
    from collections.abc import Container, Coroutine, Mapping, Sequence

    from proxy.migrations.candidates import Candidate
    from proxy.migrations.course import Looked
    from proxy.migrations.following import Followed
    from proxy.migrations.gates import GateAnswer
    from proxy.migrations.schema import Snapshot
    from proxy.policy.decision import Decision
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Ground, Worthless
    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.session.session import Session


class Gatekeeper(Following[Progress]):
    """See `proxy.session.migrating.Migrating`."""

    is_recorder = False

    def __init__(self, link: Link, ground: Ground) -> None:
        """Begin, with nothing having happened."""
        course: Course[Progress] = Course(Recogniser(ground.tools), Progress())
        super().__init__(link, ground, course)
        self._candidates = Candidates()
        self._follower = Follower(self._candidates, Commands(link))
        self._worthless: tuple[Worthless, ...] = ()
        self._gates = Gates(self)
        self._runs = Runs(link, ground, say=self.say)
        self._looked_at = 0
        self._drifted = ""
        self._hurry: Mapping[str, str] = {}

    # --- what changes nothing ------------------------------------------------

    @override
    def passing(self, session: Session, judged: Judged, looked: Looked) -> Judged:
        if not judged.decision.allowed:
            return judged
        followed = self._followed(looked)
        why = followed.unproven or self._unfit_to_commit(session, looked, followed)
        if why is not None:
            return refused(judged, why)
        self.take(session, looked, followed.progress)
        return judged

    def _unfit_to_commit(
        self, session: Session, looked: Looked, followed: Followed
    ) -> Unproven | None:
        course = self.course
        commits = any(p.transaction in {"commit", "prepare"} for p in looked.pieces)
        # What has failed is rolled back by COMMIT, if nothing sent since then helps it.
        if not commits or (session.status == FAILED and not course.may_have_recovered):
            return None
        if len(followed.progress.ended) > self._looked_at:
            return UNSEEN
        if course.is_uncertain and course.progress != course.kept:
            return UNCERTAIN
        if self._drifted:
            return Unproven(
                DRIFT, self._drifted, "ROLLBACK; then compare: pgwarden migration drift"
            )
        return None

    def _followed(self, looked: Looked) -> Followed:
        progress = self.course.progress
        if self.course.is_uncertain:
            progress = structs.replace(progress, is_uncertain=True)
        self._follower.progress = progress
        return self._follower.follow(
            looked.pieces,
            looked.readings,
            in_transaction=looked.is_one,
            commits_itself=looked.is_one and not looked.in_block,
        )

    @override
    def lenient(self, judged: Judged, under: str) -> Judged:
        surroundings = self.link.session.surroundings
        if judged.decision.allowed or not judged.statements or surroundings is None:
            return judged
        session = self.link.session
        proven = surroundings.proven_judge().judge(
            judged.text, quarantined=session.quarantined
        )
        return proven.standing_under(under) if proven.decision.allowed else judged

    # --- what changes something ----------------------------------------------

    @override
    async def decided(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Given[Progress]:
        try:
            given = await self._weighed(session, judged, portal)
        except GateError as error:
            return self._held_back(judged, error.decision(judged.kind))
        except PgwardenError as error:
            return self._held_back(judged, unavailable(error, judged.kind))
        if self.is_cancelled:
            decision = cancelled(judged.kind)
            return Given(judged.refused_by(decision), None, self.course.progress)
        return given

    async def _weighed(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Given[Progress]:
        """The verdict, once proofs, rules and gates have been asked.

        Raises:
            GateError: a gate says no.
            PgwardenError: something can't be asked.
        """
        course = self.course
        settings = await self.settings(session, portal)
        looked = self.look(session, judged, portal, settings)
        if fails_anyway(session, looked, portal):
            return Given(judged, None, course.progress)
        if looked.is_mixed:
            return self._unproven(judged, looked, MIXED)
        if not course.progress.is_running:
            await self._renew()
        followed = self._followed(looked)
        why = followed.unproven or self._unfit(session, judged, looked, followed)
        if why is not None:
            return self._unproven(judged, looked, why)
        # What is the tool's alone, and of no migration, is nobody's proof.
        is_proven = is_of_proof(course.progress, looked, followed)
        proven = self._proven(session, judged) if is_proven else judged
        if not proven.decision.allowed:
            return Given(proven, None, course.progress)
        progress = followed.progress
        if followed.begins:
            schema = await self.schema_before(session, portal)
            if schema is None:
                return self._unproven(judged, looked, AMID)
            kept = await self._passed(surviving(followed), schema)
            progress = narrowed(progress, {each.id for each in kept})
        else:
            await self._gates.still_hold(may_return=not self._runs.can_be_lost)
        if portal is None and not looked.in_block:
            await self.seen_to(judged, settings)
        return Given(proven, looked, progress)

    def _unfit(
        self, session: Session, judged: Judged, looked: Looked, followed: Followed
    ) -> Unproven | None:
        if has_several(self.course.progress, followed):
            return SEVERAL
        misplaced = self.ground.misplaced(judged.analysis.statements, looked)
        if misplaced:
            return Unproven(
                HISTORY,
                f"it keeps a tool's history in {misplaced}, which is none of the "
                'tables in "migrations.bookkeeping"',
                "Set search_path as the tool does; or name its table in the settings.",
            )
        return self._unfit_to_commit(session, looked, followed)

    async def _passed(
        self, fitting: Container[str], schema: Snapshot
    ) -> Sequence[Candidate]:
        begins = [each for each in self._candidates.all() if each.id in fitting]
        kept = await self._gates.pass_(begins, schema)
        # Another deploy may have run meanwhile, that this one has waited for.
        await self._renew()
        kept = [each for each in kept if self._candidates.find(each.id)]
        if not kept:
            raise GateError(
                "migration.deploy",
                f'migration "{begins[0].name}" was run meanwhile by another deploy',
                "look at what has been applied",
                sqlstate=GATE_UNSATISFIED,
            )
        gates = self._gates
        await self._runs.begin(kept, gates.evidence, point=gates.way_back)
        first = kept[0]
        self.say(
            f'migration "{first.name}" follows proof {first.id[:12]}; {gates.way_back}'
        )
        return kept

    def _proven(self, session: Session, judged: Judged) -> Judged:
        surroundings = session.surroundings
        if surroundings is None:
            return judged
        return surroundings.proven_judge().judge(
            judged.text, quarantined=session.quarantined
        )

    async def _renew(self) -> None:
        found = await self.ground.found(self.link.request.database)
        self._candidates = Candidates(found.counting)
        self._follower.proofs = self._candidates
        self._worthless = tuple(found.worthless)
        self._runs.dead = found.dead

    @property
    def has_own_changes(self) -> bool:
        """Whether its transaction has changed what others can't see: by the rules."""
        return self.has_changed and not self._must_be_proven()

    def _must_be_proven(self) -> bool:
        """By the policy of now, not by that of the login."""
        wanted = wanted_of(self.link)
        return wanted is not None and wanted.proofs == "require"

    def _unproven(
        self, judged: Judged, looked: Looked, why: Unproven
    ) -> Given[Progress]:
        """What goes by the rules where it may, and is refused else."""
        progress = self.course.progress
        worthless = worthless_that_fits(looked, self._worthless)
        why = told_of(worthless, why)
        allowed = judged.decision.allowed
        # Half of what is one transaction is never left behind, whatever the rules say.
        is_half = any(c.position and c.proof.is_transaction for c in progress.cursors)
        if allowed and not is_half and not self._must_be_proven():
            if progress.is_running:
                # Whatever comes now is no longer the migration that was proven.
                progress = structs.replace(progress, cursors=())
            return Given(judged, looked, progress)
        is_plain = not allowed and not progress.is_running and why.rule == NOT_PROVEN
        if is_plain and worthless is None:
            return Given(judged, None, progress)
        return Given(refused(judged, why), None, progress)

    def _held_back(self, judged: Judged, decision: Decision) -> Given[Progress]:
        """A gate says no: by the rules alone it may still pass, where they decide."""
        if judged.decision.allowed and not self._must_be_proven():
            # Not followed on, so that what only a proof lets pass does not.
            return Given(judged, None, self.course.progress)
        # It is proven, or nobody could say: no reason to keep the session from trying
        # again.
        return Given(judged.refused_by(decision), None, self.course.progress)

    # --- CONCURRENTLY --------------------------------------------------------

    @override
    async def seen_to(self, judged: Judged, settings: Mapping[str, str]) -> None:
        """No time-out ends what would leave an invalid index behind."""
        if not any(Flag.CONCURRENTLY in facts.flags for facts in judged.statements):
            return
        limits = {n: settings[n] for n in ("lock_timeout", "statement_timeout")
                  if settings.get(n, "0") != "0"}  # fmt: skip
        if limits and not self._hurry:
            self._hurry = limits
            await self._set(dict.fromkeys(limits, "0"))

    async def _set(self, values: Mapping[str, str]) -> None:
        calls = ", ".join(
            f"pg_catalog.set_config('{name}', '{value}', false)"
            for name, value in values.items()
            if value.isalnum()
        )
        await self.ask(f"SELECT {calls}")

    # --- behind it -----------------------------------------------------------

    @override
    def wants_schema(self, judged: Judged) -> bool:
        return not self.course.progress.is_running

    @override
    def wants_aftermath(self, *, was_kept: bool) -> bool:
        ended = len(self.course.progress.ended)
        self._looked_at = min(self._looked_at, ended)
        if was_kept:
            self._drifted = ""
        return (
            ended > self._looked_at
            or bool(self._hurry)
            or (was_kept and self._runs.want_end(self.course.kept))
        )

    @override
    async def aftermath(self, session: Session) -> None:
        is_idle = session.status == IDLE
        if self._hurry and is_idle:
            values, self._hurry = self._hurry, {}
            await self._set(values)
        progress = self.course.progress
        if len(progress.ended) > self._looked_at:
            await self._compared(session, progress)
            self._looked_at = len(progress.ended)
        if is_idle:
            if self.course.is_lost:
                self._runs.lose_sight()
            await self._runs.end(self.course.kept)
            if not self._runs.are_open:
                await self._gates.close()

    async def _compared(self, session: Session, progress: Progress) -> None:
        try:
            await self._compare(session, progress)
        except PgwardenError as error:
            # What nobody can look at is not committed.
            self._drifted = f"what it has done can't be looked at: {error.message}"

    async def _compare(self, session: Session, progress: Progress) -> None:
        """Whether the schema is what it was on staging after this."""
        last = progress.ended[-1]
        found = digest_of(await self.schema(session))
        wanted = self._runs.proof_of(last.id)
        if wanted is None or found == wanted.after:
            for each in progress.ended[self._looked_at :]:
                await self._runs.committing(each.id)
            return
        said = (
            f'after migration "{last.name}" the schema is not what it was on staging: '
            f"its digest is {found[:12]}, and was {wanted.after[:12]}"
        )
        if session.status == IDLE:
            self._runs.drifted(last.id, found)
            self.say(said, "compare: pgwarden migration drift", severity="WARNING")
        else:
            self._drifted = said

    def note_gate(self, answer: GateAnswer) -> None:
        """A gate was shut: for the record, with what is for the operator alone."""
        detail = {"gate": answer.gate, "state": str(answer.state),
                  "detail": answer.detail, **dict(answer.evidence)}  # fmt: skip
        link = self.link
        link.server.metrics.migration("gate")
        link.note(link.records.internal("migration.gate", detail=detail))

    @override
    def cancel(self) -> None:
        super().cancel()
        self._gates.cancel()

    @override
    def ended(self) -> None:
        super().ended()
        course = self.course
        is_unknown = course.is_lost or (self.is_open and not course.has_come_to_nothing)
        work = self._runs.over(self.course.kept, is_unknown=is_unknown)
        self.link.server.tasks.start(self._close_after(work))

    async def _close_after(self, work: Coroutine[object, object, None]) -> None:
        await work
        await self._gates.close()
