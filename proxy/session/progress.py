"""How replies move the queue: what each is about, what an error takes with it.

Names become real or are undone here, and outcomes are recorded, each exactly once.
Pure. Next: `proxy.session.replies`, the handlers that call this.
Source: PostgresMain in PostgreSQL src/backend/tcop/postgres.c, for what is skipped
after an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import BackendError
from proxy.session.expected import (
    COPY_END,
    MAYBE_SYNC,
    OWED_MAYBE_SYNC,
    OWED_PARSE,
    OWED_SYNC,
    SYNC,
    Owed,
)

if TYPE_CHECKING:
    from proxy.audit.records import Status
    from proxy.session.expected import Expected
    from proxy.session.names import Execution
    from proxy.session.session import Session

AMID_COPY: Final = frozenset({OWED_MAYBE_SYNC, Owed.COPY_END})
SYNCS: Final = frozenset({OWED_SYNC, OWED_MAYBE_SYNC})


def head_of(session: Session) -> Expected | None:
    """What the next reply is about, ReadyForQuery apart."""
    queue = session.queue
    if session.in_doubt:
        # Any Sync before was answered before: a doubtful one had been read amid the
        # COPY, and its entry is left over.
        session.in_doubt = False
        while queue and (queue[0] is SYNC or queue[0].owed in AMID_COPY):
            queue.popleft()
    while queue:
        head = queue[0]
        if head is not COPY_END and head is not MAYBE_SYNC:
            return head
        # No Sync that was answered: its ReadyForQuery had come first.
        queue.popleft()
    return None


def take(session: Session, owed: Owed) -> Expected:
    """Take off the message that this reply answers.

    Raises:
        BackendError: the reply answers something else.
    """
    head = head_of(session)
    if head is None or head.owed is not owed:
        raise lost_track(f"the answer to {owed.name}")
    session.queue.popleft()
    return head


def settle(session: Session, expected: Expected, *, completed: int = 0) -> None:
    """Confirm the name changes that `completed` statements have brought about."""
    if not expected.changes:
        return
    left = []
    for bound in expected.changes:
        if bound.after > completed:
            left.append(bound)
            continue
        before = bound.before
        if session.suspended and before is not None and before in session.suspended:
            finish(session, session.suspended.pop(before), "ok")
        bound.space.settle(bound)
    expected.changes = left


def undo(expected: Expected) -> None:
    """Take back what a message that failed would have done to names."""
    for bound in reversed(expected.changes):
        if expected.owed is OWED_PARSE and bound.name == b"":
            # Postgres drops the unnamed statement before it looks at the new text.
            bound.judged = None
            bound.space.settle(bound)
        else:
            bound.space.undo(bound)


def skip_segment(session: Session) -> None:
    """After an error in the extended protocol Postgres ignores all up to a Sync."""
    if session.last_execution is not None:
        finish_last(session)
    queue = session.queue
    failed = queue.popleft()
    undo(failed)
    if failed.execution is not None:
        finish(session, failed.execution, "error")
        if failed.portal is not None:
            session.suspended.pop(failed.portal, None)
    skipped = []
    while queue and queue[0].owed not in SYNCS:
        skipped.append(queue.popleft())
    for expected in reversed(skipped):
        for bound in reversed(expected.changes):
            bound.space.undo(bound)
    for expected in skipped:
        execution = expected.execution
        if execution is not None and not execution.ran:
            finish(session, execution, "skipped")
            if expected.portal is not None:
                expected.portal.execution = None
    session.skipping = not queue
    session.skipped_copy = bool(queue) and queue[0] is MAYBE_SYNC


def finish(session: Session, execution: Execution, status: Status) -> None:
    """Record the outcome of a run, once."""
    if not execution.finished:
        execution.finished = execution.ran = True
        session.record_outcome(execution, status)


def finish_last(session: Session) -> None:
    """The statement that completed last is followed by another message's success.

    Its outcome waits for that: at the Sync a deferred constraint may still fail it.
    """
    execution = session.last_execution
    if execution is not None:
        session.last_execution = None
        finish(session, execution, "error" if execution.sqlstate else "ok")


def lost_track(what: str) -> BackendError:
    """Replies and queue disagree, so the session can't go on."""
    return BackendError(
        f"lost track of the conversation with the server at {what}",
        hint="reconnect; if it happens again, report it with the audit log's record",
    )
