"""What each message of Postgres means for what was sent: outcomes, names, the swap.

One handler a message type, `HANDLERS[type](session, data, start, end)`; it returns None
to pass the message on as it came, or bytes to send the client in its place. Rows and
COPY data have no handler: they are never looked at. Pure.
Source: https://www.postgresql.org/docs/18/protocol-flow.html and, for what is skipped
after an error, PostgresMain in PostgreSQL src/backend/tcop/postgres.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import PROTOCOL_VIOLATION, BackendError, ErrorReport
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
    forget_portals,
    head_of,
    lost_track,
    settle,
    skip_segment,
    take,
)
from proxy.session.refusal import LONGEST_TOKEN_ERROR
from proxy.wire.errors_wire import encode_error, parse_error_fields
from proxy.wire.frames import HEADER_BYTES, LARGEST_SMALL_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.session.expected import Expected
    from proxy.session.session import Session

    Handler = Callable[[Session, bytes, int, int], bytes | None]

DATA_ROW: Final = ord("D")
COPY_DATA: Final = ord("d")
ERROR: Final = ord("E")
COMMAND_COMPLETE: Final = ord("C")
READY: Final = ord("Z")
PARAMETER_STATUS: Final = ord("S")

WHOLE: Final = frozenset({ERROR, COMMAND_COMPLETE, READY, PARAMETER_STATUS})
"""Messages that are read, and so held until they are whole."""

LONGEST_PARAMETER: Final = 1024 * 1024
"""A ParameterStatus holds one setting; the server's own limits keep it far smaller."""


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


def on_parse_complete(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The statement's name stands for the new text."""
    settle(session, take(session, OWED_PARSE))
    return None


def on_bind_complete(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The portal stands for the statement."""
    queue = session.queue
    if not queue or session.suspended or queue[0].owed is not OWED_BIND:
        settle(session, take(session, OWED_BIND))
        return None
    for change in queue.popleft().changes or ():
        change.space.settle(change.bound)
    return None


def on_close_complete(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The name is free; a suspended portal behind it has run its course."""
    settle(session, take(session, OWED_CLOSE))
    return None


def on_description(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """RowDescription or NoData answers a Describe; in a Query it is one of several."""
    head = head_of(session)
    if head is not None and head.owed is OWED_DESCRIBE:
        session.queue.popleft()
    elif head is None or (
        head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE
    ):
        raise lost_track("a description")
    return None


def on_pass(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Changes nothing that is tracked here."""
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


def on_empty_query(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The text held no statement."""
    head = head_of(session)
    if head is None or (head.owed is not OWED_QUERY and head.owed is not OWED_EXECUTE):
        raise lost_track("EmptyQueryResponse")
    if head.owed is OWED_EXECUTE:
        session.queue.popleft()
        _complete(session, head)
    return None


def on_portal_suspended(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The portal has more rows: its outcome comes with the last fetch."""
    expected = take(session, OWED_EXECUTE)
    settle(session, expected, completed=1)
    if expected.portal is not None and expected.execution is not None:
        expected.execution.ran = True
        session.suspended[expected.portal] = expected.execution
    return None


def on_error(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """A message failed: end it and what Postgres skips; swap the answer to a token."""
    body = data[start + HEADER_BYTES : end]
    head = head_of(session)
    session.copying_in = session.reading_copy = False
    if b"\0VFATAL\0" in body:
        session.said_fatal = True
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
    if head.owed is not OWED_QUERY and head.owed is not OWED_SYNC:
        skip_segment(session)
    return swapped


def on_ready(  # noqa: C901 - hot path
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """Postgres is done up to a Sync or Query and tells the transaction status."""
    if end - start != HEADER_BYTES + 1:
        message = "invalid ReadyForQuery from the server"
        raise BackendError(message)
    queue = session.queue
    if not queue:
        raise lost_track("ReadyForQuery")
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
            forget_portals(session)
    return None


_IDLE: Final = ord("I")


def _complete(session: Session, expected: Expected) -> None:
    """An Execute ran to its end; at the Sync it may still fail."""
    if session.last_execution is not None:
        finish_last(session)
    session.last_execution = expected.execution
    if session.suspended and expected.portal is not None:
        session.suspended.pop(expected.portal, None)


def _finish_query(session: Session, expected: Expected) -> None:
    for change in reversed(expected.changes or ()):
        change.space.undo(change.bound)
    execution = expected.execution
    if execution is not None:
        finish(session, execution, "error" if execution.sqlstate else "ok")


# --- COPY-in -----------------------------------------------------------------


def on_copy_in(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
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


# --- alarms ------------------------------------------------------------------


def on_parameter_status(
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """Compare with what the session was set up with: another value is an alarm."""
    name, _, value = data[start + HEADER_BYTES : end - 1].partition(b"\0")
    key = name.decode("utf-8", "replace")
    wanted = session.watched.get(key)
    shown = value.decode("utf-8", "replace")
    if wanted is not None and shown != wanted:
        session.records.append(
            session.made.internal(
                "parameter-alarm",
                detail={"parameter": key, "expected": wanted, "reported": shown},
            )
        )
        session.end(
            f"the server reported a changed {key}",
            ErrorReport(
                PROTOCOL_VIOLATION,
                f'parameter "{key}" was changed in a way that pgwarden does not allow',
                hint="the session ends here; what happened is in the audit log",
                severity="FATAL",
            ),
        )
    return None


HANDLERS: Final[dict[int, Handler]] = {
    ord("1"): on_parse_complete,
    ord("2"): on_bind_complete,
    ord("3"): on_close_complete,
    ord("A"): on_pass,
    COMMAND_COMPLETE: on_command_complete,
    ERROR: on_error,
    ord("G"): on_copy_in,
    ord("H"): on_pass,
    ord("I"): on_empty_query,
    ord("N"): on_pass,
    ord("n"): on_description,
    PARAMETER_STATUS: on_parameter_status,
    ord("T"): on_description,
    ord("c"): on_pass,
    ord("s"): on_portal_suspended,
    ord("t"): on_pass,
    READY: on_ready,
}
"""Every message Postgres may send after login, but rows and COPY data. Absent, and so
the end of the session: CopyBothResponse (replication), FunctionCallResponse, and all
that belongs to the login."""
