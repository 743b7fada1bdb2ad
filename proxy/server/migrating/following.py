"""How a session that runs migrations waits: the part that recorder and gate share.

A change is held until nothing before it is unanswered; then what has to be looked at is
looked at, in the session itself and outside, and only then does the message go on, with
the verdict that came out. While a change is unanswered nothing more is taken from the
client, so that what is known is always what Postgres has said.
Next: `gatekeeper` and `recorder`, which decide; `proxy.session.migrating`, which calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import structlog

from proxy.errors import ErrorReport, PgwardenError
from proxy.migrations.course import FAILED, IDLE
from proxy.migrations.piece import concerns, pieces_of
from proxy.migrations.schema_digest import digest
from proxy.migrations.schema_inside import question, snapshot_of, undone
from proxy.migrations.settings_inside import QUESTION, settings_of
from proxy.policy.refusals import internal_error
from proxy.session.migrating import ask
from proxy.wire.errors_wire import encode_notice

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Mapping, Sequence

    from proxy.migrations.course import Course, Looked
    from proxy.migrations.schema import Snapshot
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Ground
    from proxy.session.judge import Judged
    from proxy.session.migrating import Asking
    from proxy.session.names import Bound
    from proxy.session.session import Session

P = TypeVar("P")
_log = structlog.get_logger("migrations")

SCHEMA_GOOD_S: Final = 2.0
"""A driver prepares in one segment and runs in the next: one look serves both."""
_NOTHING: Final[Mapping[str, str]] = {}


class AskError(PgwardenError):
    """A question in the client's session was refused."""


class Given(NamedTuple, Generic[P]):
    """What was decided on the message that is held.

    Attributes:
        verdict: to go by.
        looked: what the message is; None where nothing is to be known of it.
        progress: what is known once it has left.
    """

    verdict: Judged
    looked: Looked | None
    progress: P


class Seen(NamedTuple):
    """What was looked at before a segment, or a while ago.

    Attributes:
        segment: its number.
        settings: of the session.
        schema: as the session sees it; None where nobody asked.
        at_s: when.
    """

    segment: int
    settings: Mapping[str, str]
    schema: Snapshot | None
    at_s: float


class Following(ABC, Generic[P]):
    """See `proxy.session.migrating.Migrating`."""

    is_recorder: bool

    def __init__(self, link: Link, ground: Ground, course: Course[P]) -> None:
        self.link = link
        self.ground = ground
        self.course = course
        self.seen: Seen | None = None
        self.changes = 0
        self.era = 0
        self.has_changed = False
        self._has_set = False
        self._given: Given[P] | None = None
        self._held: tuple[int, str, bytes, Bound | None] = (0, "", b"", None)
        self._is_open = False
        self._set_in_segment = -1
        self._answer: asyncio.Future[Asking] | None = None
        self._work: asyncio.Task[None] | None = None
        self._is_cancelled = False

    # --- what the session calls ----------------------------------------------

    def attend(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Judged | None:
        """The verdict to go by; None to hold the message."""
        given, self._given = self._given, None
        if session.is_pondered:
            return None
        if session.skipping:
            return self.lenient(judged, session.under)
        # Meanwhile an error may have taken with it what this was about, and another
        # policy, or quarantine, may have come.
        if given is not None and self._held == _which(session, judged, portal):
            if given.looked is not None:
                self.take(session, given.looked, given.progress)
            return given.verdict
        if portal is not None and not (judged.renames and portal.runs_text):
            # What was prepared may stand under a verdict that only a proof can give.
            judged = session.verdict(judged.text)
        return self._attend(session, judged, portal) if judged.statements else judged

    def _attend(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Judged | None:
        is_behind = portal is None and len(session.queue) > 0
        if is_behind and self._is_open:
            return None
        looked = self.look(session, judged, portal, _NOTHING)
        if not looked.changes:
            return self.passing(session, judged, looked)
        if not is_behind:
            self._held = _which(session, judged, portal)
            self._ponder(session, self._decide(session, judged, portal))
        return None

    def begin(self, session: Session, judged: Judged) -> bool:
        """A Parse or Bind; whether it may go on, or is held."""
        if session.in_segment or session.skipping:
            return True
        if session.is_pondered or (self._is_open and session.queue):
            return False
        if not any(map(concerns, judged.statements)) or session.status == FAILED:
            return True
        if session.queue:
            return False
        if self.seen is not None and self.seen.segment == session.segment:
            return True
        self._ponder(session, self._see(session, judged))
        return False

    def lenient(self, judged: Judged, under: str) -> Judged:  # noqa: ARG002 - an interface
        """The verdict on what is only prepared."""
        return judged

    def failed(self) -> None:
        """Something was refused."""
        self.course.failed()
        if self._has_set:
            self.era += 1

    def ready(self, session: Session) -> None:
        """Postgres has answered up to here."""
        is_quiet = not session.queue
        was_kept = self.course.ready(session.status, is_quiet=is_quiet)
        if is_quiet and session.status == IDLE:
            self._has_set = self.has_changed = False
        if not is_quiet or session.in_segment or session.is_pondered:
            return
        self._is_open = False
        if session.status != FAILED and self.wants_aftermath(was_kept=was_kept):
            self._ponder(session, self.aftermath(session))

    def told(self, asking: Asking) -> None:
        """A question has been answered."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(asking)

    # --- what the server calls -----------------------------------------------

    def begin_late(self, session: Session) -> None:
        """Follow a session that was there before."""
        is_idle = session.status == IDLE and not session.queue
        if not is_idle or session.in_segment:
            self.course.begin_late()

    def cancel(self) -> None:
        """The client has asked to cancel: what it waits for is ended as well."""
        self._is_cancelled = True

    def ended(self) -> None:
        """The session is over."""
        if self._work is not None:
            self._work.cancel()

    # --- what recorder and gate do their own way -----------------------------

    @abstractmethod
    def passing(self, session: Session, judged: Judged, looked: Looked) -> Judged:
        """The verdict on what changes nothing."""

    @abstractmethod
    async def decided(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Given[P]:
        """The verdict on a change."""

    @abstractmethod
    def wants_schema(self, judged: Judged) -> bool:
        """Whether the schema has to be looked at before a segment with this."""

    @abstractmethod
    def wants_aftermath(self, *, was_kept: bool) -> bool:
        """Whether there is something to do now that all is answered."""

    @abstractmethod
    async def aftermath(self, session: Session) -> None:
        """Do it."""

    # --- what they share -----------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether a change, or the end of a transaction, is unanswered."""
        return self._is_open

    @property
    def is_cancelled(self) -> bool:
        """Whether the client wants what it waits for to end."""
        return self._is_cancelled

    def look(
        self,
        session: Session,
        judged: Judged,
        portal: Bound | None,
        settings: Mapping[str, str],
    ) -> Looked:
        """What a message is."""
        pieces = pieces_of(judged, portal, settings)
        return self.course.look(pieces, judged.statements, judged.text, session.status)

    def take(self, session: Session, looked: Looked, progress: P) -> None:
        """A message leaves."""
        self.course.take(looked, progress)
        if looked.changes:
            self.changes += 1
            self.has_changed = True
        if looked.changes or looked.ends:
            self._is_open = True
        moves = looked.ends or looked.goes_back
        if looked.sets or looked.changes or moves:
            self._set_in_segment = session.segment
        if looked.sets or (moves and self._has_set):
            self.era += 1
        self._has_set = looked.sets or (self._has_set and not looked.ends)

    async def settings(
        self, session: Session, portal: Bound | None
    ) -> Mapping[str, str]:
        """Those of the session that a proof looks at; empty where nobody can know."""
        if portal is not None:
            seen = self.seen
            is_known = seen is not None and seen.segment == session.segment
            if seen is None or not is_known or self._set_in_segment == session.segment:
                return _NOTHING
            # Postgres has read the constants of its text when it was prepared.
            return seen.settings if portal.era == self.era else _NOTHING
        if session.in_segment or session.status == FAILED:
            return _NOTHING
        return await self.ask_settings()

    async def ask_settings(self) -> Mapping[str, str]:
        """Ask for them now."""
        return settings_of(await self.ask(QUESTION))

    async def schema(self, session: Session) -> Snapshot:
        """The schema as the session sees it now.

        Raises:
            AskError: it can't be read.
            ConfigError: likewise.
        """
        in_block = session.status != IDLE
        scope = self.ground.scope
        try:
            rows = await self.ask(question(scope, in_block=in_block))
        except AskError:
            if session.status == FAILED:
                await self.ask(undone(in_block=in_block))
            raise
        return snapshot_of(scope, rows)

    async def schema_before(
        self, session: Session, portal: Bound | None
    ) -> Snapshot | None:
        """The schema before the message that is held; None where nobody can know."""
        if portal is None:
            if session.in_segment or session.status == FAILED:
                return None
            return await self.schema(session)
        seen = self.seen
        if seen is None or seen.segment != session.segment:
            return None
        return None if self._set_in_segment == session.segment else seen.schema

    async def ask(self, text: str) -> Sequence[Sequence[str | None]]:
        """Ask something in the client's session.

        Raises:
            AskError: it was refused.
        """
        link = self.link
        self._answer = link.server.loop.create_future()
        asking = ask(link.session, text)
        link.after_frontend()
        await self._answer
        self._answer = None
        if asking.error is not None:
            if link.session.status == FAILED:
                self.course.failed()
            sqlstate, message = asking.error
            raise AskError(message, sqlstate=sqlstate)
        return asking.rows

    def say(self, message: str, hint: str = "", severity: str = "NOTICE") -> None:
        """Tell the client."""
        report = ErrorReport("00000", message, hint=hint, severity=severity)
        self.link.tell(encode_notice(report))

    # --- pondering -----------------------------------------------------------

    def _ponder(self, session: Session, work: Coroutine[object, object, None]) -> None:
        session.is_pondered = session.held = True
        self._is_cancelled = False
        self._work = self.link.server.tasks.spawn(self._pondered(session, work))

    async def _pondered(
        self, session: Session, work: Coroutine[object, object, None]
    ) -> None:
        try:
            await work
        finally:
            self._work = None
            session.is_pondered = False
            overrun = session.overrun
            # A cancel that is on its way may not hit what comes next: who sent it
            # releases the client.
            if overrun is None or not overrun.is_cancelling:
                self.link.release()

    async def _decide(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> None:
        try:
            self._given = await self.decided(session, judged, portal)
        except Exception:  # noqa: BLE001 - an error in deciding denies; nothing is lost
            _log.exception("migration_not_decided")
            refused = judged.refused_by(internal_error())
            self._given = Given(refused, None, self.course.progress)

    async def _see(self, session: Session, judged: Judged) -> None:
        settings: Mapping[str, str] = _NOTHING
        schema: Snapshot | None = None
        now_s = self.link.server.clock()
        try:
            settings = await self.ask_settings()
            if self.wants_schema(judged):
                schema = await self._recent_schema(session, now_s)
            await self.seen_to(judged, settings)
        except PgwardenError as error:
            _log.warning("migration_not_seen", error=error.message)
        self.seen = Seen(session.segment, settings, schema, now_s)

    async def seen_to(self, judged: Judged, settings: Mapping[str, str]) -> None:
        """Something more to do before a segment begins."""

    async def _recent_schema(self, session: Session, now_s: float) -> Snapshot:
        seen = self.seen
        if (
            seen is not None
            and seen.schema is not None
            and now_s - seen.at_s < SCHEMA_GOOD_S
            and self.changes == self._changes_seen
        ):
            return seen.schema
        self._changes_seen = self.changes
        return await self.schema(session)

    _changes_seen = -1


def _which(
    session: Session, judged: Judged, portal: Bound | None
) -> tuple[int, str, bytes, Bound | None]:
    """Tells one message, and what it is judged by, from any other."""
    return session.segment, session.under, judged.text, portal


def digest_of(schema: Snapshot) -> str:
    """Its digest; a moment's work."""
    return digest(schema)
