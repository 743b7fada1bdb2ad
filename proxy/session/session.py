"""One client's conversation with Postgres after both logins: bytes in, effects out.

`from_frontend` and `from_backend` take what was received; what to do about it is left
in `records`, `to_backend`, `to_frontend` and `ending`, for the shell to carry out:
first the records, then the bytes. The session never imitates Postgres: a refused
message is replaced by one that Postgres itself must reject (`proxy.session.refusal`).
Pure. Next: `proxy.session.requests` and `proxy.session.replies`, the two directions.
Source: https://www.postgresql.org/docs/18/protocol-flow.html
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from proxy.errors import (
    IN_FAILED_TRANSACTION,
    BackendError,
    ErrorReport,
    FrontendError,
)
from proxy.session import framing, progress, unrecorded
from proxy.session.advice import OPENING_BYTES, OPENING_TEXTS
from proxy.session.expected import OWED_EXECUTE, OWED_QUERY, Expected
from proxy.session.names import Execution, NameSpace
from proxy.session.own_rules import AUDIT_IS_UNAVAILABLE
from proxy.session.rate import RULE as RATE_RULE
from proxy.session.refusal import Refusal
from proxy.session.sql_names import PreparedFacts
from proxy.wire.frames import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.audit.records import Message, SessionRecords, Status
    from proxy.policy.decision import Decision
    from proxy.session.advice import Adviser
    from proxy.session.judge import Judge, Judged
    from proxy.session.migrating import Asking, Migrating
    from proxy.session.names import Bound
    from proxy.session.overrun import Overrun
    from proxy.session.own import Desk
    from proxy.session.rate import Rate
    from proxy.session.surroundings import Surroundings
    from proxy.tally import Tally
    from proxy.wire.frames import BindStream

MOST_UNANSWERED = 10_000
"""Messages forwarded and not answered at which reading from the client pauses. Postgres
sends at the latest when its 8 kB buffer is full, which some 1,600 of the smallest
replies fill, so this never waits for what does not come."""


class Limits:
    """Ceilings of one session, each with its reason.

    Attributes:
        statement_bytes: longest text of a Query or Parse.
        statements: prepared statements alive at once: each keeps its facts in memory.
        portals: portals alive at once, likewise.
    """

    __slots__ = ("portals", "statement_bytes", "statements")

    def __init__(
        self,
        *,
        statement_bytes: int = 1024 * 1024,
        statements: int = 5_000,
        portals: int = 5_000,
    ) -> None:
        self.statement_bytes = statement_bytes
        self.statements = statements
        self.portals = portals


class Ending(NamedTuple):
    """Why the session must end now; `report` is sent to the client first, if any."""

    reason: str
    report: ErrorReport | None


class Session:
    """The state of one conversation.

    Attributes:
        records: audit record fragments to write before anything else.
        to_backend: bytes for Postgres, in order, once the records are written.
        to_frontend: bytes for the client, in order.
        ending: set when the session has to end.
        held: the client's further messages wait for an answer of Postgres.
        rate: the statements per minute of the identity, if its role has a limit.
        overrun: what runs for too long and is being stopped.
        ended_s: when the last outcome was recorded, on the shell's clock.
        worked_s: when Postgres last did some work for the client: no empty text, and no
            statement in a transaction that has failed.
        readies: how many ReadyForQuery came.
        in_segment: extended messages were sent behind the last Sync or Query, so that
            a transaction is open, whatever `status` says.
        surroundings: what the judge hangs on beside the policy; None where that is
            nothing, now and later.
        desk: answers the statements that pgwarden answers itself; None for none.
        adviser: says more of what is refused; None for nobody.
        migrating: follows its migrations; None for roles that have none.
        asking: a question of pgwarden's own that is under way in it.
        is_pondered: something outside is being looked at before it may go on.
        withheld: a ReadyForQuery that the client gets once that is done.
        opening: the allowed texts with which the session began, for the adviser.
    """

    def __init__(  # noqa: PLR0913, PLR0915 - all that shell and logins know
        self,
        judge: Judge,
        records: SessionRecords,
        *,
        token: str,
        clock: Callable[[], float],
        tally: Tally,
        limits: Limits | None = None,
        watched: dict[str, str] | None = None,
        rate: Rate | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        """Begin after both logins, with Postgres ready and idle.

        Args:
            judge: verdicts of the policy in force for this session's role.
            records: makes this session's record fragments.
            token: unguessable word of letters and digits, this session's own.
            clock: monotonic seconds.
            tally: where to count.
            limits: ceilings.
            watched: run-time parameters whose report with another value is an alarm.
            rate: the identity's statements per minute, if they are limited.
            surroundings: those that gave the judge.
        """
        self.judge = judge
        self.under = judge.under(quarantined=False)
        self.made = records
        self.clock = clock
        self.tally = tally
        self.limits = limits or Limits()
        self.watched = watched or {}
        self.rate = rate
        self.overrun: Overrun | None = None
        self.ended_s = self.worked_s = clock()
        self.readies = 0
        self.in_segment = False
        self.surroundings = surroundings
        self.may_change = surroundings is not None and not surroundings.are_fixed
        self.desk: Desk | None = None
        self.adviser: Adviser | None = None
        self.migrating: Migrating | None = None
        self.asking: Asking | None = None
        self.is_pondered = False
        self.withheld = b""
        self.opening: list[Judged] = []
        self.quarantined = False
        self.said_fatal = self.said_goodbye = False
        self.statements = NameSpace()
        self.portals = NameSpace()
        self._prepared = PreparedFacts(self.statements)
        self.queue: deque[Expected] = deque()
        self.segment = 0
        self.status = ord("I")
        self.skipping = False
        self.copying_in = self.reading_copy = False
        self.in_doubt = self.skipped_copy = False
        self.last_execution: Execution | None = None
        self.suspended: dict[Bound, Execution] = {}
        self.held = False
        self.records: list[bytes] = []
        self.to_backend: list[bytes] = []
        self.to_frontend: list[bytes] = []
        self.uncommitted: list[Expected] = []
        self.ending: Ending | None = None
        self.decision_s = 0.0
        self.run = 0
        self._token = token
        self._serial = self.statements_denied = 0
        self.unread: list[bytes] = []
        self.unread_bytes = 0
        self.wanted = HEADER_BYTES
        self.passing = self.discarding = 0
        self.bind: BindStream | None = None
        self.backend_rest = b""
        self.backend_passing = 0

    # --- what the shell calls ------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether reading from the client should pause."""
        return self.held or len(self.queue) > MOST_UNANSWERED

    @property
    def is_mid_request(self) -> bool:
        """Whether Postgres has a part of a message of the client, and awaits more."""
        return self.passing > 0

    @property
    def is_mid_reply(self) -> bool:
        """Whether the client has a part of a message of Postgres, and awaits more."""
        return self.backend_passing > 0

    @property
    def statements_recorded(self) -> int:
        """Statement records made so far, refusals included."""
        return self._serial

    def from_frontend(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.ending is not None:
            return
        if self.unread or self.held:
            # A message that is held is among these, so nothing overtakes it.
            self.unread.append(data)
            self.unread_bytes += len(data)
            if self.held or self.unread_bytes < self.wanted:
                return
            data = b"".join(self.unread)
            self.unread = []
        if self.may_change:
            self._look_around()
        try:
            framing.read_frontend(self, data)
        except FrontendError as error:
            self.end("protocol violation by the client", error.report("FATAL"))

    def from_backend(self, data: bytes) -> None:
        """Take bytes from Postgres."""
        if self.ending is not None:
            return
        if self.backend_rest:
            data = self.backend_rest + data
            self.backend_rest = b""
        try:
            if self.asking is not None:
                data = self._answered(self.asking, data)
            framing.read_backend(self, data)
        except BackendError as error:
            self.end(error.message, error.report("FATAL"))
            return
        if self.held and (self.overrun is None or not self.overrun.is_cancelling):
            self.resume()

    def _answered(self, asking: Asking, data: bytes) -> bytes:
        data = asking.take(self, data)
        if asking.is_done:
            self.asking = None
            if self.migrating is not None:
                self.migrating.told(asking)
        return data

    def resume(self) -> None:
        """Look again at the messages that were held; they may have to wait further."""
        if self.is_pondered:
            return
        self.held = False
        if self.withheld:
            self.to_frontend.append(self.withheld)
            self.withheld = b""
        data = b"".join(self.unread)
        self.unread = []
        if data:
            self.from_frontend(data)

    def follow(self, judge: Judge) -> None:
        """Judge by another policy from the next statement on, prepared or not."""
        self.judge = judge
        self.under = judge.under(quarantined=self.quarantined)

    def look_again(self) -> None:
        """Judge by what the surroundings say now: policy, name or hour is another."""
        surroundings = self.surroundings
        if surroundings is not None:
            self.may_change = not surroundings.are_fixed
            self.follow(surroundings.judge())

    def _look_around(self) -> None:
        surroundings = self.surroundings
        if surroundings is not None and surroundings.is_over():
            self.follow(surroundings.judge())

    def refuse_unrecorded(self) -> None:
        """The records could not be written: refuse what they stand for.

        Call before any byte of `to_backend` was sent. ROLLBACK, and COMMIT of a failed
        transaction, still pass, so that nobody is stuck. `records` keeps what must
        still be written when the log is back.
        """
        unrecorded.refuse_unrecorded(self)

    def committed(self) -> None:
        """The records were written: forget how to take their statements back."""
        self.uncommitted.clear()

    def lost(self) -> None:
        """One side is gone: what was not answered has no known outcome."""
        if self.last_execution is not None:
            progress.finish_last(self)
        for expected in self.queue:
            if expected.execution is not None:
                progress.finish(self, expected.execution, "unknown")
        for execution in self.suspended.values():
            progress.finish(self, execution, "ok")
        self.queue.clear()
        self.suspended.clear()

    # --- what requests and replies share -------------------------------------

    def end(self, reason: str, report: ErrorReport | None) -> None:
        """Ask the shell to end the session, once."""
        if self.ending is None:
            self.ending = Ending(reason, report)

    def verdict(self, text: bytes) -> Judged:
        """Judge a text as the session stands now, and count it."""
        started = self.clock()
        judged = self.judge.judge(
            text,
            quarantined=self.quarantined,
            prepared=self._prepared,
        )
        self.decision_s = self.clock() - started
        return judged

    def allow(
        self, judged: Judged, message: Message, pos: int, end: int, names: bytes = b""
    ) -> Expected:
        """Record an allowed statement whose message is `data[pos:end]`."""
        self._serial = serial = self._serial + 1
        self.tally.statement(
            self.judge.role, judged.kind, rule="", decision_s=self.decision_s
        )
        if judged.shadow:
            self.tally.would_refuse(self.judge.role, judged.shadow)
        self.decision_s = 0.0
        execution = Execution(serial, judged, self.clock())
        execution.piece = len(self.to_backend)
        execution.start = pos - self.run
        execution.end = end - self.run
        execution.record = len(self.records)
        expected = Expected(
            OWED_QUERY if message == "query" else OWED_EXECUTE, execution
        )
        self.uncommitted.append(expected)
        if (
            serial <= OPENING_TEXTS
            and self.adviser is not None
            and len(judged.text) <= OPENING_BYTES
        ):
            self.opening.append(judged)
        self.records.append(
            self.made.statement(serial, judged.fragment, message=message, names=names)
        )
        return expected

    def refuse(
        self,
        decision: Decision,
        fragment: bytes,
        message: Message,
        names: bytes = b"",
    ) -> Refusal:
        """Record a refused message and make its stand-in."""
        self._serial = serial = self._serial + 1
        self.tally.statement(
            self.judge.role,
            decision.kind,
            rule=decision.rule,
            decision_s=self.decision_s,
        )
        if self.rate is not None and decision.rule != RATE_RULE:
            self.rate.add(1, self.clock())
        self.records.append(
            self.made.statement(serial, fragment, message=message, names=names)
        )
        self.statements_denied += 1
        if decision.quarantines and not self.quarantined:
            self.quarantined = True
            self.under = self.judge.under(quarantined=True)
        return self._refusal(decision, serial)

    def _refusal(self, decision: Decision, serial: int) -> Refusal:
        return Refusal(
            f"pgwarden_{self._token}_{serial}",
            ErrorReport(
                decision.sqlstate,
                decision.reason,
                detail=f"rule {decision.rule}, audit id {self.made.audit_id(serial)}",
                hint=decision.hint,
                position=decision.position,
            ),
        )

    def take_back(self, serial: int) -> Refusal:
        """The refusal of a statement whose record could not be written."""
        return self._refusal(AUDIT_IS_UNAVAILABLE, serial)

    def record_outcome(self, execution: Execution, status: Status) -> None:
        """Record how a statement ended."""
        self.ended_s = now_s = self.clock()
        if execution.tag or (
            execution.sqlstate and execution.sqlstate != IN_FAILED_TRANSACTION
        ):
            self.worked_s = now_s
        seconds = now_s - execution.started_s
        self.tally.outcome(self.judge.role, status, seconds)
        self.records.append(
            self.made.outcome(
                execution.serial,
                status=status,
                duration_s=seconds,
                tag=execution.tag,
                rows=execution.rows,
                sqlstate=execution.sqlstate,
            )
        )
