"""What each message of the client does: judge, record, forward or replace.

One handler a message type, for the whole message `data[start:end]`. It returns None to
forward the message as it came, bytes to send in its place, or `HOLD` to wait for an
answer of Postgres first. Pure.
Next: `proxy.session.replies`, the other direction.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.audit.judged import judged_fragment
from proxy.audit.records import names_fragment
from proxy.errors import FrontendError
from proxy.session import own
from proxy.session.advice import advised
from proxy.session.expected import (
    DESCRIBE,
    MAYBE_SYNC,
    OWED_BIND,
    OWED_CLOSE,
    OWED_EXECUTE,
    OWED_PARSE,
    OWED_QUERY,
    SYNC,
    Expected,
)
from proxy.session.migrating import lenient, may_begin, prepare
from proxy.session.owing import (
    end_copy,
    expect,
    refuse_extended,
    refuse_function_call,
    send,
)
from proxy.session.own import HOLD
from proxy.session.own_rules import (
    fit_names,
    fragment,
    missing_portal,
    missing_statement,
    room_for_name,
    too_many,
)
from proxy.session.rate import within_rate
from proxy.session.sql_names import is_uncertain, name_key
from proxy.wire.frames import (
    HEADER_BYTES,
    INT32_BYTES,
    LARGEST_MESSAGE,
    LARGEST_SMALL_MESSAGE,
    check_bind_values,
    check_parse_types,
    leading_string,
    malformed,
    sole_string,
)

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.session.session import Session

SKIPPED: Final = b""
"""Sent in place of what Postgres is known to ignore, and what can't be judged since it
names what an ignored message would have made."""

_ALL_ROWS: Final = b"\0\0\0\0"

QUERY: Final = 0x51  # Q
PARSE: Final = 0x50  # P
BIND: Final = 0x42  # B
EXECUTE: Final = 0x45  # E
DESCRIBE_MESSAGE: Final = 0x44  # D
CLOSE: Final = 0x43  # C
SYNC_MESSAGE: Final = 0x53  # S
FLUSH: Final = 0x48  # H
COPY_DATA: Final = 0x64  # d
COPY_DONE: Final = 0x63  # c
COPY_FAIL: Final = 0x66  # f
FUNCTION_CALL: Final = 0x46  # F
TERMINATE: Final = 0x58  # X


# --- the simple query protocol -----------------------------------------------


def on_query(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Judge a whole text; refuse it whole, or forward it."""
    text = sole_string(data, start + HEADER_BYTES, end)
    judged = session.verdict(text)
    if judged.renames:
        if own.is_own(judged):
            return own.on_own_query(session, judged, start)
        if is_uncertain(session, judged):
            return HOLD
        judged = fit_names(session, judged)
    if session.migrating is not None:
        attended = session.migrating.attend(session, judged, None)
        if attended is None:
            return HOLD
        judged = attended
    if session.rate is not None:
        judged = within_rate(session, judged)
    decision = judged.decision
    session.in_segment = False
    # A Query is a segment of its own: its failure skips nothing that follows.
    session.segment += 1
    if not decision.allowed:
        refusal = session.refuse(advised(session, judged), judged.fragment, "query")
        expect(session, Expected(OWED_QUERY, refusal=refusal))
        return refusal.as_query()
    expected = session.allow(judged, "query", start, end)
    send(session, judged, expected, renames=judged.renames)
    session.segment += 1
    return None


# --- the extended query protocol ---------------------------------------------


def on_parse(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Judge a text that is to be prepared."""
    name = leading_string(data, start + HEADER_BYTES, end)
    text_start = start + HEADER_BYTES + len(name) + 1
    text = leading_string(data, text_start, end)
    check_parse_types(data, text_start + len(text) + 1, end)
    prepared = prepare(session, session.verdict(text))
    if prepared is None:
        return HOLD
    judged = prepared
    instead = None
    if judged.renames:
        if is_uncertain(session, judged):
            return HOLD
        if own.is_own(judged):
            tail = data[text_start + len(text) : end]
            judged, instead = own.prepared_own(session, judged, name, tail)
    session.in_segment = True
    decision = judged.decision
    if decision.allowed and name:
        decision = room_for_name(session, name) or decision
    if not decision.allowed:
        fragment = judged.fragment
        if decision is not judged.decision:
            fragment = judged_fragment(judged.analysis, decision)
        else:
            decision = advised(session, judged)
        return refuse_extended(session, decision, fragment, "parse", name=name)
    if not session.skipping:
        _put_statement(session, name, judged, data[text_start + len(text) + 1 : end])
    return instead


def _put_statement(session: Session, name: bytes, judged: Judged, types: bytes) -> None:
    bound = session.statements.put(name_key(name), judged, segment=session.segment)
    if judged.statements:
        bound.facts = judged.statements[0]
    if name:
        bound.names = names_fragment(statement=name)
    if session.migrating is not None:
        bound.types = types
        bound.era = session.migrating.era
    session.queue.append(Expected(OWED_PARSE, changes=[bound]))


def on_bind(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Look up the verdict on the statement that is bound to a portal."""
    sent, values_start = bind_names(session, data, start, end)
    if sent is None:
        check_bind_values(data, values_start, end)
        if session.migrating is not None and not session.skipping:
            portal = leading_string(data, start + HEADER_BYTES, end)
            session.portals[name_key(portal)].values = data[values_start:end]
    return sent


def bind_names(
    session: Session, data: bytes, start: int, end: int
) -> tuple[bytes | None, int]:
    """What to do with a Bind, by its names alone, and where its values begin."""
    portal_start = start + HEADER_BYTES
    name_start = data.find(0, portal_start, end) + 1
    position = data.find(0, name_start, end) + 1
    if not name_start or not position:
        raise malformed()
    portal = data[portal_start : name_start - 1]
    name = data[name_start : position - 1]
    bound = session.statements.get(name_key(name))
    judged = None if bound is None else bound.judged
    is_open = bound is not None and bound.is_uncertain(session.segment)
    if is_open or not may_begin(session, judged):
        return HOLD, position
    session.in_segment = True
    if bound is None or judged is None:
        if session.skipping:
            return SKIPPED, position
        return refuse_extended(
            session,
            missing_statement(name),
            fragment(missing_statement(name)),
            "bind",
        ), position
    if judged.under != session.under:
        judged = bound.judged = lenient(session, own.judged_again(session, judged))
    if not judged.decision.allowed:
        names = names_fragment(statement=name, portal=portal)
        return refuse_extended(
            session, advised(session, judged), judged.fragment, "bind", names=names
        ), position
    if len(session.portals) >= session.limits.portals and portal:
        decision = too_many("portals", session.limits.portals)
        return refuse_extended(session, decision, fragment(decision), "bind"), position
    if not session.skipping:
        _put_portal(session, portal, name, bound, judged)
    return None, position


def _put_portal(
    session: Session, portal: bytes, name: bytes, bound: Bound, judged: Judged
) -> None:
    opened = session.portals.put(name_key(portal), judged, segment=session.segment)
    if portal or not bound.runs_text:
        opened.names = names_fragment(statement=name, portal=portal)
        opened.runs_text = bound.runs_text
    else:
        opened.names = bound.names
    opened.types = bound.types
    opened.era = bound.era
    session.queue.append(Expected(OWED_BIND, changes=[opened]))


def on_execute(  # noqa: C901, PLR0911, PLR0912 - hot path
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """Record the first run of a portal; let later fetches of it pass."""
    name = leading_string(data, start + HEADER_BYTES, end)
    if end - start != HEADER_BYTES + len(name) + 1 + INT32_BYTES:
        raise malformed()
    session.in_segment = True
    portal = session.portals.get(name_key(name))
    if portal is not None and portal.is_uncertain(session.segment):
        return HOLD
    judged = None if portal is None else portal.judged
    if portal is None or judged is None:
        if session.skipping:
            return SKIPPED
        decision = missing_portal(name)
        return refuse_extended(session, decision, fragment(decision), "execute")
    renames = judged.renames and portal.runs_text
    is_first = portal.execution is None
    if is_first and renames and is_uncertain(session, judged):
        return HOLD
    if judged.under != session.under or (is_first and renames):
        judged = portal.judged = session.verdict(judged.text)
        if renames:
            judged = fit_names(session, judged)
    if is_first and session.migrating is not None:
        portal.is_limited = data[end - INT32_BYTES : end] != _ALL_ROWS
        attended = session.migrating.attend(session, judged, portal)
        if attended is None:
            return HOLD
        judged = attended
    if is_first and session.rate is not None:
        judged = within_rate(session, judged)
    names = portal.names
    if not judged.decision.allowed:
        return refuse_extended(
            session, advised(session, judged), judged.fragment, "execute", names=names
        )
    if not is_first:
        fetch = Expected(OWED_EXECUTE, portal.execution)
        fetch.portal = portal
        expect(session, fetch)
        return None
    expected = session.allow(judged, "execute", start, end, names)
    expected.portal = portal
    if not session.skipping:
        portal.execution = expected.execution
    send(session, judged, expected, renames=renames)
    return None


def on_describe(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward: it tells the columns of what was judged at Parse or Bind."""
    _target(data, start, end)
    session.in_segment = True
    if not session.skipping:
        session.queue.append(DESCRIBE)
    return None


def on_close(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward, and forget the name once Postgres confirms."""
    kind, name = _target(data, start, end)
    session.in_segment = True
    if session.skipping:
        return None
    space = session.statements if kind == ord("S") else session.portals
    changes = []
    if space.get(name_key(name)) is not None:
        changes.append(space.put(name_key(name), None, segment=session.segment))
    session.queue.append(Expected(OWED_CLOSE, changes=changes))
    return None


def on_sync(session: Session, start: int, end: int) -> bytes | None:
    """End the segment: Postgres answers it, whatever happened before."""
    if end - start != HEADER_BYTES:
        raise malformed()
    session.segment += 1
    session.skipping = session.in_segment = False
    session.queue.append(MAYBE_SYNC if session.copying_in else SYNC)
    return None


def on_flush(start: int, end: int) -> bytes | None:
    """Forward: it changes nothing but when the answers come."""
    _check_empty(start, end)
    return None


# --- COPY and the end --------------------------------------------------------


def on_copy_done(session: Session, start: int, end: int) -> bytes | None:
    """Forward, and note where the COPY-in ends among the messages sent."""
    _check_empty(start, end)
    end_copy(session)
    return None


def on_copy_fail(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward, and note where the COPY-in ends among the messages sent."""
    sole_string(data, start + HEADER_BYTES, end)
    end_copy(session)
    return None


def on_terminate(session: Session, start: int, end: int) -> bytes | None:
    """End the session as the client asks; what it sent before is still forwarded."""
    _check_empty(start, end)
    session.said_goodbye = True
    session.end("terminated by the client", None)
    return None


def handle_request(  # noqa: C901, PLR0911, PLR0912 - one way out a message type
    session: Session, kind: int, data: bytes, start: int, end: int
) -> bytes | None:
    """What to do with a whole message of a type that `longest` knows."""
    if kind == BIND:
        return on_bind(session, data, start, end)
    if kind == DESCRIBE_MESSAGE:
        return on_describe(session, data, start, end)
    if kind == EXECUTE:
        return on_execute(session, data, start, end)
    if kind == SYNC_MESSAGE:
        return on_sync(session, start, end)
    if kind == QUERY:
        return on_query(session, data, start, end)
    if kind == PARSE:
        return on_parse(session, data, start, end)
    if kind == CLOSE:
        return on_close(session, data, start, end)
    if kind == FLUSH:
        return on_flush(start, end)
    if kind == COPY_DATA:
        # Forwarded unread: outside a COPY-in, which was judged, Postgres ignores it.
        return None
    if kind == COPY_DONE:
        return on_copy_done(session, start, end)
    if kind == COPY_FAIL:
        return on_copy_fail(session, data, start, end)
    if kind == FUNCTION_CALL:
        return refuse_function_call(session)
    if kind == TERMINATE:
        return on_terminate(session, start, end)
    raise unacceptable(kind, end - start)


_HOLD_DATA: Final = frozenset({QUERY, PARSE, BIND, COPY_DATA, FUNCTION_CALL})
_HOLD_NONE: Final = frozenset(
    {
        EXECUTE,
        DESCRIBE_MESSAGE,
        CLOSE,
        SYNC_MESSAGE,
        FLUSH,
        COPY_DONE,
        COPY_FAIL,
        TERMINATE,
    }
)
_LONGEST: Final = [
    LARGEST_MESSAGE
    if kind in _HOLD_DATA
    else LARGEST_SMALL_MESSAGE
    if kind in _HOLD_NONE
    else -1
    for kind in range(256)
]


def longest(kind: int) -> int:
    """The greatest length that Postgres accepts of a message type; -1 for no type.

    Source: SocketBackend in PostgreSQL src/backend/tcop/postgres.c.
    """
    return _LONGEST[kind]


def unacceptable(kind: int, length: int) -> FrontendError:
    """The error for a message that Postgres would not accept either."""
    if longest(kind) >= 0:
        return FrontendError(f"invalid message length {length}")
    return FrontendError(f"invalid frontend message type {kind}")


# --- shared ------------------------------------------------------------------


def _target(data: bytes, start: int, end: int) -> tuple[int, bytes]:
    """The kind byte (S or P) and name of a Describe or Close."""
    name = sole_string(data, start + HEADER_BYTES + 1, end)
    kind = data[start + HEADER_BYTES]
    if kind not in {ord("S"), ord("P")}:
        message = f"invalid message subtype {kind}"
        raise FrontendError(message)
    return kind, name


def _check_empty(start: int, end: int) -> None:
    if end - start != HEADER_BYTES:
        raise malformed()
