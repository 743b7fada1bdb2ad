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
from proxy.session.expected import COPY_END, MAYBE_SYNC, SYNC, Owed
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
    _settle(_take(session, Owed.PARSE))
    return None


def on_bind_complete(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The portal stands for the statement."""
    _settle(_take(session, Owed.BIND))
    return None


def on_close_complete(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The name is free; a suspended portal behind it has run its course."""
    expected = _take(session, Owed.CLOSE)
    for change in expected.changes or ():
        before = change.bound.before
        if before is not None:
            _finish_suspended(session, before)
    _settle(expected)
    return None


def on_description(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """RowDescription or NoData answers a Describe; in a Query it is one of several."""
    head = _head(session)
    if head is not None and head.owed is Owed.DESCRIBE:
        session.queue.popleft()
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
    head = _head(session)
    if head is None or (head.owed is not Owed.QUERY and head.owed is not Owed.EXECUTE):
        raise _lost_track("CommandComplete")
    tag = data[start + HEADER_BYTES : end - 1]
    session.copying_in = False
    head.completed += 1
    execution = head.execution
    if execution is not None:
        execution.tags.append(tag)
        count = tag[tag.rfind(b" ") + 1 :]
        if count.isdigit():
            execution.rows += int(count)
    if head.changes:
        _settle(head, completed=head.completed)
    if head.owed is Owed.EXECUTE:
        session.queue.popleft()
        _finish_execute(session, head, "ok")
    return None


def on_empty_query(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The text held no statement."""
    head = _head(session)
    if head is not None and head.owed is Owed.EXECUTE:
        session.queue.popleft()
        _finish_execute(session, head, "ok")
    return None


def on_portal_suspended(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """The portal has more rows: its outcome comes with the last fetch."""
    expected = _take(session, Owed.EXECUTE)
    if expected.portal is not None and expected.execution is not None:
        expected.execution.ran = True
        session.suspended[expected.portal] = expected.execution
    return None


def on_error(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """A message failed: end it and what Postgres skips; swap the answer to a token."""
    body = data[start + HEADER_BYTES : end]
    head = _head(session)
    session.copying_in = False
    if b"VFATAL\0" in body:
        session.said_fatal = True
    if head is None:
        return None
    swapped = None
    if head.refusal is not None and head.refusal.is_answered_by(body):
        swapped = encode_error(head.refusal.swapped(body))
    elif head.execution is not None:
        head.execution.sqlstate = parse_error_fields(body).get("C", "")
    elif head.owed is Owed.SYNC and session.last_execution is not None:
        # A deferred constraint: what had looked done is rolled back at the Sync.
        session.last_execution.sqlstate = parse_error_fields(body).get("C", "")
        session.record_outcome(session.last_execution, "error")
    if head.owed not in {Owed.QUERY, Owed.SYNC, Owed.MAYBE_SYNC}:
        _skip_segment(session)
    return swapped


def on_ready(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Postgres is done up to a Sync or Query and tells the transaction status."""
    if end - start != HEADER_BYTES + 1:
        message = "invalid ReadyForQuery from the server"
        raise BackendError(message)
    head = _head(session, for_ready=True)
    if head is None:
        raise _lost_track("ReadyForQuery")
    queue = session.queue
    queue.popleft()
    session.status = status = data[start + HEADER_BYTES]
    session.copying_in = False
    if head.owed is Owed.MAYBE_SYNC:
        session.in_doubt = bool(queue)
    elif head.owed is Owed.QUERY:
        _finish_query(session, head)
    if not queue:
        session.in_doubt = False
        if status == _IDLE and (len(session.portals) or session.suspended):
            _forget_portals(session)
    return None


_IDLE: Final = ord("I")


def on_copy_in(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Postgres reads COPY data now, and ignores every Sync until that ends."""
    head = _head(session)
    if head is None or (head.owed is not Owed.QUERY and head.owed is not Owed.EXECUTE):
        raise _lost_track("CopyInResponse")
    queue = session.queue
    for index in range(1, len(queue)):
        if queue[index] is COPY_END:
            return None
        if queue[index] is SYNC:
            queue[index] = MAYBE_SYNC
    session.copying_in = True
    return None


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


# --- shared ------------------------------------------------------------------


def _head(session: Session, *, for_ready: bool = False) -> Expected | None:
    """What the next reply is about."""
    queue = session.queue
    while queue:
        head = queue[0]
        if head.owed is Owed.COPY_END:
            queue.popleft()
        elif session.in_doubt and not for_ready and head.owed is Owed.SYNC:
            # The ReadyForQuery before was this one's: the doubtful Sync had been read
            # as part of the COPY.
            queue.popleft()
            session.in_doubt = False
        else:
            return head
    return None


def _take(session: Session, owed: Owed) -> Expected:
    head = _head(session)
    if head is None or head.owed is not owed:
        raise _lost_track(f"the answer to {owed.name}")
    session.queue.popleft()
    return head


def _settle(expected: Expected, *, completed: int = 0) -> None:
    """Confirm the name changes that `completed` statements have brought about."""
    changes = expected.changes
    if not changes:
        return
    left = []
    for change in changes:
        if change.after <= completed:
            change.space.settle(change.bound)
        else:
            left.append(change)
    expected.changes = left


def _undo(expected: Expected) -> None:
    for change in reversed(expected.changes or ()):
        if change.bound.name == b"" and change.bound.judged is None:
            # A refused Parse of the unnamed statement: Postgres dropped the old one.
            change.space.settle(change.bound)
        else:
            change.space.undo(change.bound)


def _skip_segment(session: Session) -> None:
    """After an error in the extended protocol Postgres ignores all up to a Sync."""
    queue = session.queue
    failed = queue.popleft()
    _undo(failed)
    if failed.owed is Owed.EXECUTE and failed.refusal is None:
        _finish_execute(session, failed, "error")
    skipped = []
    while queue and queue[0].owed not in {Owed.SYNC, Owed.MAYBE_SYNC}:
        skipped.append(queue.popleft())
    for expected in reversed(skipped):
        for change in reversed(expected.changes or ()):
            change.space.undo(change.bound)
    for expected in skipped:
        execution = expected.execution
        if execution is not None and not execution.ran:
            execution.ran = True
            session.record_outcome(execution, "skipped")
            if expected.portal is not None:
                expected.portal.execution = None
    session.skipping = not queue


def _finish_execute(session: Session, expected: Expected, status: str) -> None:
    execution = expected.execution
    if execution is None or execution.finished:
        return
    execution.finished = execution.ran = True
    if expected.portal is not None:
        session.suspended.pop(expected.portal, None)
    session.last_execution = execution
    session.record_outcome(execution, "error" if status == "error" else "ok")


def _finish_query(session: Session, expected: Expected) -> None:
    for change in reversed(expected.changes or ()):
        change.space.undo(change.bound)
    execution = expected.execution
    if execution is not None:
        session.record_outcome(execution, "error" if execution.sqlstate else "ok")


def _finish_suspended(session: Session, portal: object) -> None:
    for suspended, execution in list(session.suspended.items()):
        if suspended is portal and not execution.finished:
            execution.finished = True
            session.record_outcome(execution, "ok")
            del session.suspended[suspended]


def _forget_portals(session: Session) -> None:
    """A portal does not outlive its transaction, unless it was declared WITH HOLD."""
    for execution in session.suspended.values():
        session.record_outcome(execution, "ok")
    session.suspended.clear()
    session.portals.keep([p for p in session.portals if p.is_cursor])


def _lost_track(what: str) -> BackendError:
    return BackendError(
        f"lost track of the conversation with the server at {what}",
        hint="reconnect; if it happens again, report it with the audit log's record",
    )
