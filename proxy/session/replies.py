"""What each message of Postgres means for what was sent: outcomes, names, the swap.

One handler a message type; it returns None to pass the message on as it came, or bytes
to send the client in its place. Rows and COPY data have none: they are never looked at.
Pure.
Source: https://www.postgresql.org/docs/18/protocol-flow.html and, for what is skipped
after an error, PostgresMain in PostgreSQL src/backend/tcop/postgres.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import BackendError
from proxy.session.expected import (
    COPY_END,
    MAYBE_SYNC,
    OWED_BIND,
    OWED_CLOSE,
    OWED_DESCRIBE,
    OWED_EXECUTE,
    OWED_PARSE,
    OWED_QUERY,
    OWED_SYNC,
    SYNC,
)
from proxy.session.progress import (
    AMID_COPY,
    finish,
    finish_last,
    head_of,
    lost_track,
    settle,
    skip_segment,
    take,
)
from proxy.session.refusal import LONGEST_TOKEN_ERROR
from proxy.session.reports import on_parameter_status
from proxy.wire.errors_wire import encode_error, parse_error_fields
from proxy.wire.frames import HEADER_BYTES, LARGEST_SMALL_MESSAGE

if TYPE_CHECKING:
    from proxy.session.expected import Expected
    from proxy.session.session import Session

DATA_ROW: Final = 0x44  # D
COPY_DATA: Final = 0x64  # d
ERROR: Final = 0x45  # E
COMMAND_COMPLETE: Final = 0x43  # C
READY: Final = 0x5A  # Z
PARAMETER_STATUS: Final = 0x53  # S

BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
COPY_DONE: Final = 0x63  # c
COPY_IN: Final = 0x47  # G
COPY_OUT: Final = 0x48  # H
EMPTY_QUERY: Final = 0x49  # I
NO_DATA: Final = 0x6E  # n
NOTICE: Final = 0x4E  # N
NOTIFICATION: Final = 0x41  # A
PARAMETER_DESCRIPTION: Final = 0x74  # t
PARSE_COMPLETE: Final = 0x31  # 1
PORTAL_SUSPENDED: Final = 0x73  # s
ROW_DESCRIPTION: Final = 0x54  # T

LONGEST_PARAMETER: Final = 1024 * 1024
"""A ParameterStatus holds one setting; the server's own limits keep it far smaller."""


def is_read(kind: int) -> bool:
    """Whether a message is read, and so held until it is whole."""
    return kind in {ERROR, COMMAND_COMPLETE, READY, PARAMETER_STATUS}


def is_enough(kind: int, length: int, here: int) -> bool:
    """Whether a message of type `kind` that is not whole can be handled already.

    Raises:
        BackendError: it is larger than such a message can be.
    """
    if kind == ERROR:
        # Never the answer to a token; its fields that matter here come first.
        return here >= LONGEST_TOKEN_ERROR
    most = LONGEST_PARAMETER if kind == PARAMETER_STATUS else LARGEST_SMALL_MESSAGE
    if length > most:
        message = f"a message of type {chr(kind)!r} from the server is too long"
        raise BackendError(message)
    return False


# --- progress ----------------------------------------------------------------


def on_parse_complete(session: Session) -> bytes | None:
    """The statement's name stands for the new text."""
    settle(session, take(session, OWED_PARSE))
    return None


def on_bind_complete(session: Session) -> bytes | None:
    """The portal stands for the statement."""
    queue = session.queue
    if not queue or session.suspended or queue[0].owed is not OWED_BIND:
        settle(session, take(session, OWED_BIND))
        return None
    for bound in queue.popleft().changes:
        bound.space.settle(bound)
    return None


def on_close_complete(session: Session) -> bytes | None:
    """The name is free; a suspended portal behind it has run its course."""
    settle(session, take(session, OWED_CLOSE))
    return None


def on_description(session: Session) -> bytes | None:
    """RowDescription or NoData answers a Describe; in a Query it is one of several."""
    head = head_of(session)
    if head is not None and head.owed is OWED_DESCRIBE:
        session.queue.popleft()
    elif head is None or (
        head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE
    ):
        raise lost_track("a description")
    return None


# --- the end of a statement --------------------------------------------------


def on_command_complete(
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """One statement is done: note its tag, confirm what it did to names."""
    head = head_of(session)
    if head is None or (head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE):
        raise lost_track("CommandComplete")
    if session.reading_copy:
        _copy_done(session)
    tag = data[start + HEADER_BYTES : end - 1]
    head.completed += 1
    execution = head.execution
    if execution is not None:
        execution.tag = tag
        count = tag[tag.rfind(b" ") + 1 :]
        if count.isdigit():
            execution.rows += int(count)
    if head.changes:
        settle(session, head, completed=head.completed)
    if head.owed is OWED_EXECUTE:
        session.queue.popleft()
        _complete(session, head)
    return None


def on_empty_query(session: Session) -> bytes | None:
    """The text held no statement."""
    head = head_of(session)
    if head is None or (head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE):
        raise lost_track("EmptyQueryResponse")
    if head.owed is OWED_EXECUTE:
        session.queue.popleft()
        _complete(session, head)
    return None


def on_portal_suspended(session: Session) -> bytes | None:
    """The portal has more rows: its outcome comes with the last fetch."""
    expected = take(session, OWED_EXECUTE)
    settle(session, expected, completed=1)
    if expected.portal is not None and expected.execution is not None:
        expected.execution.ran = True
        session.worked_s = session.clock()
        session.suspended[expected.portal] = expected.execution
    return None


def on_error(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """A message failed: end it and what Postgres skips; swap the answer to a token."""
    body = data[start + HEADER_BYTES : end]
    head = head_of(session)
    session.copying_in = session.reading_copy = False
    if b"\0VFATAL\0" in body:
        session.said_fatal = True
    if session.migrating is not None:
        session.migrating.failed()
    if head is None:
        return None
    swapped = None
    execution = head.execution
    if head.refusal is not None and head.refusal.is_answered_by(body):
        swapped = encode_error(head.refusal.swapped(body))
    elif head.owed is OWED_SYNC:
        # A deferred constraint: what had looked done is rolled back at the Sync.
        execution = session.last_execution
    if execution is not None:
        execution.sqlstate = parse_error_fields(body).get("C", "")
    if session.overrun is not None and swapped is None:
        swapped = session.overrun.swapped(session, head, body)
    if head.owed is not OWED_QUERY and head.owed is not OWED_SYNC:
        skip_segment(session)
    return swapped


def on_ready(  # noqa: C901, PLR0912 - hot path
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """Postgres is done up to a Sync or Query and tells the transaction status."""
    if end - start != HEADER_BYTES + 1:
        message = "invalid ReadyForQuery from the server"
        raise BackendError(message)
    queue = session.queue
    if not queue:
        raise lost_track("ReadyForQuery")
    session.readies += 1
    head = queue.popleft()
    while head is COPY_END and queue:
        head = queue.popleft()
    session.status = status = data[start + HEADER_BYTES]
    if session.last_execution is not None:
        finish_last(session)
    if head.owed is OWED_QUERY:
        _finish_query(session, head)
    elif head is MAYBE_SYNC:
        _doubt(session)
    elif head is not SYNC:
        raise lost_track("ReadyForQuery")
    if status == _IDLE and session.suspended:
        for execution in session.suspended.values():
            finish(session, execution, "ok")
        session.suspended.clear()
    while queue and queue[0] is COPY_END:
        queue.popleft()
    if not queue:
        session.in_doubt = False
        if status == _IDLE and len(session.portals):
            session.portals.keep_held()
    if session.migrating is not None:
        was_pondered = session.is_pondered
        session.migrating.ready(session)
        if session.is_pondered and not was_pondered:
            # The client goes on, or away, only once what it did is written down.
            session.withheld = data[start:end]
            return b""
    return None


_IDLE: Final = 0x49  # I


def _complete(session: Session, expected: Expected) -> None:
    """An Execute ran to its end; at the Sync it may still fail."""
    if session.last_execution is not None:
        finish_last(session)
    session.last_execution = expected.execution
    if session.suspended and expected.portal is not None:
        session.suspended.pop(expected.portal, None)


def _finish_query(session: Session, expected: Expected) -> None:
    for bound in reversed(expected.changes):
        bound.space.undo(bound)
    execution = expected.execution
    if execution is not None:
        finish(session, execution, "error" if execution.sqlstate else "ok")


# --- COPY-in -----------------------------------------------------------------


def on_copy_in(session: Session) -> bytes | None:
    """Postgres reads COPY data now, and ignores every Sync until that ends."""
    head = head_of(session)
    if head is None or (head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE):
        raise lost_track("CopyInResponse")
    session.reading_copy = True
    queue = session.queue
    for index in range(1, len(queue)):
        if queue[index] is COPY_END:
            return None
        if queue[index] is SYNC:
            queue[index] = MAYBE_SYNC
    session.copying_in = True
    return None


def _copy_done(session: Session) -> None:
    """The COPY-in succeeded, so every Sync before its CopyDone was ignored."""
    session.reading_copy = session.copying_in = False
    queue = session.queue
    head = queue.popleft()
    while queue and (queue[0] is MAYBE_SYNC or queue[0] is COPY_END):
        if queue.popleft() is COPY_END:
            break
    queue.appendleft(head)


def _doubt(session: Session) -> None:
    """A ReadyForQuery after a COPY-in that failed: whose is it?

    Either of the Sync sent amid the COPY, or that one was ignored and this is the next
    Sync's. What was sent between the two ran in the first case, and was skipped in the
    second.
    """
    queue = session.queue
    if session.skipped_copy:
        session.skipped_copy = False
        following = next((one for one in queue if one.owed not in AMID_COPY), SYNC)
        if following is not SYNC:
            raise lost_track("what was sent after a COPY that failed")
    session.in_doubt = bool(queue)


def handle_reply(  # noqa: C901, PLR0911 - one way out a message type
    session: Session, kind: int, data: bytes, start: int, end: int
) -> bytes | None:
    """Take one message of Postgres; rows and COPY data don't come here.

    Raises:
        BackendError: it does not belong after the login (CopyBothResponse, which is
            replication's, and FunctionCallResponse do not), or answers nothing.
    """
    if kind == BIND_COMPLETE:
        return on_bind_complete(session)
    if kind == ROW_DESCRIPTION or kind == NO_DATA:  # noqa: PLR1714, SIM109 - fast
        return on_description(session)
    if kind == COMMAND_COMPLETE:
        return on_command_complete(session, data, start, end)
    if kind == READY:
        return on_ready(session, data, start, end)
    if kind == PARSE_COMPLETE:
        return on_parse_complete(session)
    if kind == CLOSE_COMPLETE:
        return on_close_complete(session)
    if kind == ERROR:
        return on_error(session, data, start, end)
    if kind == PARAMETER_STATUS:
        return on_parameter_status(session, data, start, end)
    if kind == PORTAL_SUSPENDED:
        return on_portal_suspended(session)
    if kind == EMPTY_QUERY:
        return on_empty_query(session)
    if kind == COPY_IN:
        return on_copy_in(session)
    if kind in _PASSED:
        return None
    message = f"unexpected message type {kind:#04x} from the server"
    raise BackendError(message)


_PASSED: Final = frozenset(
    {COPY_OUT, COPY_DONE, NOTICE, NOTIFICATION, PARAMETER_DESCRIPTION}
)
"""These change nothing that is tracked here."""
