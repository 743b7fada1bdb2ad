"""The time that a session takes: for how long Postgres works, or waits for the client.

Looked at about once a second, so that a statement needs no timer of its own; what is
told is never too much, and at most a second or two too little. Pure; the time comes in
with the call. Next: `proxy.server.overtime`, which acts on it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from proxy.session.expected import COPY_END, DESCRIBE, MAYBE_SYNC, SYNC, Owed

if TYPE_CHECKING:
    from proxy.session.expected import Expected
    from proxy.session.session import Session

_IDLE: Final = ord("I")
_FAILED: Final = ord("E")
_OF_PIPELINE: Final = frozenset({Owed.PARSE, Owed.BIND, Owed.DESCRIBE, Owed.CLOSE})
_MOST_LOOKED_AT: Final = 100


class Watch:
    """What was seen of one session at the last look.

    Attributes:
        work: what Postgres works on, as far as can be told, or None.
        running_s: for how long it does, whatever it waits for: locks, COPY data, a
            client that does not read.
        idle_s: for how long a transaction has been open in which the client does
            nothing; 0 if it is not so.
    """

    __slots__ = (
        "_busy_s",
        "_head",
        "_mark",
        "_segment",
        "_since_s",
        "idle_s",
        "running_s",
        "work",
    )

    def __init__(self) -> None:
        self.work: Expected | None = None
        self.running_s = 0.0
        self.idle_s = 0.0
        self._head: Expected | None = None
        self._mark = (0, 0)
        self._since_s = 0.0
        self._busy_s = 0.0
        self._segment = (-1, 0.0)

    def look(self, session: Session, *, answered: int, now_s: float) -> None:
        """Look again.

        Args:
            session: the session.
            answered: bytes sent to the client so far.
            now_s: the shell's clock.
        """
        head = owed_next(session)
        # Describe is one shared object: only an answer tells two of them apart.
        mark = (session.readies, answered if head is DESCRIBE else 0)
        is_same = head is not None and head is self._head and mark == self._mark
        self._mark = mark
        self._head = head
        if head is None:
            self.work = None
            self.running_s = 0.0
        else:
            if not is_same:
                self.work = _work(session, head)
                self._since_s = _begun_s(session, self.work, now_s)
            elif not _is_half_sent(session):
                self._busy_s = now_s
            self.running_s = now_s - self._since_s
        self.idle_s = self._idle(session, now_s, is_working=is_same)

    def _idle(self, session: Session, now_s: float, *, is_working: bool) -> float:
        is_over = session.status == _IDLE and not session.in_segment
        # While it is pondered the client waits, and not the other way round.
        if is_over or session.is_pondered:
            self._segment = (-1, 0.0)
            return 0.0
        since_s = max(session.worked_s, self._busy_s)
        if session.status == _IDLE:
            # An implicit transaction: it lasts until the client sends a Sync.
            readies, begun_s = self._segment
            if readies != session.readies:
                begun_s = now_s
                self._segment = (session.readies, begun_s)
            since_s = max(since_s, begun_s)
        if not _is_half_sent(session) and (is_working or _does_work(session)):
            return 0.0
        return now_s - since_s


def owed_next(session: Session) -> Expected | None:
    """What Postgres works on; see `proxy.session.progress.head_of`."""
    for expected in session.queue:
        if expected is COPY_END:
            continue
        if session.in_doubt and (expected is SYNC or expected is MAYBE_SYNC):
            # It may have been answered before.
            continue
        return expected
    return None


def _work(session: Session, head: Expected) -> Expected:
    """The first of the segment that runs something, or else its first message.

    Answers to a Parse and a Bind come together with that to the Execute.
    """
    if head.owed in _OF_PIPELINE:
        for expected in islice(session.queue, _MOST_LOOKED_AT):
            if expected.execution is not None:
                return expected
            if expected.owed not in _OF_PIPELINE:
                break
    return head


def _begun_s(session: Session, work: Expected, now_s: float) -> float:
    """Since when Postgres works on this, as far as can be told; rather too late."""
    execution = work.execution
    if execution is None or execution.ran or session.last_execution is not None:
        return now_s
    return max(execution.started_s, session.ended_s)


def _is_half_sent(session: Session) -> bool:
    """Whether Postgres waits for the rest of a message, and for nothing else."""
    return session.is_mid_request and len(session.queue) == 1


def _does_work(session: Session) -> bool:
    """Whether anything is unanswered that runs more than an empty text.

    In a transaction that has failed nothing does: Postgres only says so (25P02).
    """
    return session.status != _FAILED and any(
        expected.execution is not None and expected.execution.judged.statements
        for expected in session.queue
    )
