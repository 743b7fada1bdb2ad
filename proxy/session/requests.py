"""What each message of the client does: judge, record, forward or replace.

One handler a message type, `HANDLERS[type](session, data, start, end)`, for the whole
message `data[start:end]`. It returns None to forward the message as it came, bytes to
send in its place, or `HOLD` to wait for an answer of Postgres first. Pure.
Next: `proxy.session.replies`, the other direction.
Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from typing_extensions import override

from proxy.audit.judged import judged_fragment
from proxy.audit.records import names_fragment
from proxy.errors import (
    AUDIT_UNAVAILABLE,
    DENIED,
    TOO_LARGE,
    UNDEFINED_CURSOR,
    UNDEFINED_PREPARED_STATEMENT,
    FrontendError,
)
from proxy.policy.decision import Decision
from proxy.session.expected import (
    COPY_END,
    DESCRIBE,
    MAYBE_SYNC,
    SYNC,
    Change,
    Expected,
    Owed,
)
from proxy.session.refusal import RESERVED_STATEMENT
from proxy.sql.facts import Analysis, Facts, Kind
from proxy.wire.frames import (
    HEADER_BYTES,
    INT32,
    LARGEST_MESSAGE,
    LARGEST_SMALL_MESSAGE,
    BindStream,
    check_bind_values,
    check_parse_types,
    leading_string,
    sole_string,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.audit.records import Message
    from proxy.session.judge import Judged
    from proxy.session.names import Bound, NameSpace
    from proxy.session.session import Session

    Handler = Callable[[Session, bytes, int, int], bytes | None]

HOLD: Final = b"hold"
"""Sentinel, compared by identity: wait before handling this message."""
DROP: Final = b""
NAME_BYTES: Final = 63
"""NAMEDATALEN - 1: Postgres compares no more of a name."""
LARGE_BIND: Final = 64 * 1024
"""A Bind that is not whole by then is judged by its names and streamed."""

QUERY: Final = ord("Q")
PARSE: Final = ord("P")
BIND: Final = ord("B")
EXECUTE: Final = ord("E")
DESCRIBE_MESSAGE: Final = ord("D")
CLOSE: Final = ord("C")
SYNC_MESSAGE: Final = ord("S")
FLUSH: Final = ord("H")
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")
FUNCTION_CALL: Final = ord("F")
TERMINATE: Final = ord("X")

_NOTHING: Final = Analysis((), "")


class PreparedFacts(Mapping[str, Facts]):
    """The session's prepared statements as `Judge.judge` wants them."""

    __slots__ = ("_statements",)

    def __init__(self, statements: NameSpace) -> None:
        self._statements = statements

    @override
    def __getitem__(self, name: str) -> Facts:
        bound = self._statements.get(_key(name.encode("utf-8", "surrogatepass")))
        if bound is None or bound.facts is None:
            raise KeyError(name)
        return bound.facts

    @override
    def __iter__(self) -> Iterator[str]:
        return (bound.name.decode("utf-8", "replace") for bound in self._statements)

    @override
    def __len__(self) -> int:
        return len(self._statements)


# --- the simple query protocol -----------------------------------------------


def on_query(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Judge a whole text; refuse it whole, or forward it."""
    text = sole_string(data, start + HEADER_BYTES, end)
    judged = session.verdict(text)
    if judged.renames and _is_uncertain(session, judged):
        return HOLD
    decision = judged.decision
    # A Query is a segment of its own: its failure skips nothing that follows.
    session.segment += 1
    if not decision.allowed:
        refusal = session.refuse(decision, judged.fragment, "query")
        _expect(session, Expected(Owed.QUERY, refusal=refusal))
        return refusal.as_query()
    expected = session.allow(judged, "query", start, end)
    _send(session, judged, expected, renames=judged.renames)
    session.segment += 1
    return None


def on_function_call(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Refuse: it runs any function by number, with no text to judge."""
    return _refuse_function_call(session)


def _refuse_function_call(session: Session) -> bytes:
    decision = Decision(
        allowed=False,
        rule="protocol.function-call",
        reason="the fast-path function call of the protocol is not allowed",
        sqlstate=DENIED,
        hint="call the function in a SELECT",
        kind=Kind.UNKNOWN,
    )
    session.segment += 1
    refusal = session.refuse(decision, _fragment(decision), "function_call")
    _expect(session, Expected(Owed.QUERY, refusal=refusal))
    return refusal.as_query()


# --- the extended query protocol ---------------------------------------------


def on_parse(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Judge a text that is to be prepared."""
    name = leading_string(data, start + HEADER_BYTES, end)
    text_start = start + HEADER_BYTES + len(name) + 1
    text = leading_string(data, text_start, end)
    check_parse_types(data, text_start + len(text) + 1, end)
    judged = session.verdict(text)
    if judged.renames and _is_uncertain(session, judged):
        return HOLD
    decision = judged.decision
    if decision.allowed and name:
        decision = _room_for_name(session, name) or decision
    if not decision.allowed:
        fragment = judged.fragment
        if decision is not judged.decision:
            fragment = judged_fragment(judged.analysis, decision)
        return _refuse_extended(session, decision, fragment, "parse", name=name)
    if not session.skipping:
        bound = session.statements.set(_key(name), judged, segment=session.segment)
        if judged.statements:
            bound.facts = judged.statements[0]
        change = Change(session.statements, bound, after=0)
        session.queue.append(Expected(Owed.PARSE, changes=[change]))
    return None


def on_bind(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Look up the verdict on the statement that is bound to a portal."""
    sent, values_start = _bind_names(session, data, start, end)
    if sent is None:
        check_bind_values(data, values_start, end)
    return sent


def _bind_names(
    session: Session, data: bytes, start: int, end: int
) -> tuple[bytes | None, int]:
    """What to do with a Bind, by its names alone, and where its values begin."""
    portal = leading_string(data, start + HEADER_BYTES, end)
    position = start + HEADER_BYTES + len(portal) + 1
    name = leading_string(data, position, end)
    position += len(name) + 1
    key = _key(name)
    statements = session.statements
    if statements.is_uncertain(key, segment=session.segment):
        return HOLD, position
    bound = statements.get(key)
    judged = None if bound is None else bound.judged
    if bound is None or judged is None:
        return _refuse_extended(
            session,
            _missing_statement(name),
            _fragment(_missing_statement(name)),
            "bind",
        ), position
    if judged.under != session.under:
        judged = bound.judged = session.verdict(judged.text)
    if not judged.decision.allowed:
        return _refuse_extended(
            session,
            judged.decision,
            judged.fragment,
            "bind",
            names=names_fragment(statement=name, portal=portal),
        ), position
    if len(session.portals) >= session.limits.portals and portal:
        decision = _too_many("portals", session.limits.portals)
        return _refuse_extended(
            session, decision, _fragment(decision), "bind"
        ), position
    if not session.skipping:
        opened = session.portals.set(_key(portal), judged, segment=session.segment)
        opened.statement_name = name
        opened.runs_text = bound.runs_text
        change = Change(session.portals, opened, after=0)
        session.queue.append(Expected(Owed.BIND, changes=[change]))
    return None, position


def on_execute(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Record the first run of a portal; let later fetches of it pass."""
    name = leading_string(data, start + HEADER_BYTES, end)
    if end - start != HEADER_BYTES + len(name) + 1 + INT32.size:
        message = "invalid message format"
        raise FrontendError(message)
    key = _key(name)
    if session.portals.is_uncertain(key, segment=session.segment):
        return HOLD
    portal = session.portals.get(key)
    judged = None if portal is None else portal.judged
    if portal is None or judged is None:
        decision = _missing_portal(name)
        return _refuse_extended(session, decision, _fragment(decision), "execute")
    renames = judged.renames and portal.runs_text
    is_first = portal.execution is None
    if is_first and renames and _is_uncertain(session, judged):
        return HOLD
    if judged.under != session.under or (is_first and renames):
        judged = portal.judged = session.verdict(judged.text)
    names = b""
    if name or portal.statement_name:
        names = names_fragment(statement=portal.statement_name, portal=name)
    if not judged.decision.allowed:
        return _refuse_extended(
            session, judged.decision, judged.fragment, "execute", names=names
        )
    if not is_first:
        _expect(
            session, Expected(Owed.EXECUTE, execution=portal.execution, portal=portal)
        )
        return None
    expected = session.allow(judged, "execute", start, end, names)
    expected.portal = portal
    if not session.skipping:
        portal.execution = expected.execution
    _send(session, judged, expected, renames=renames)
    return None


def on_describe(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward: it tells the columns of what was judged at Parse or Bind."""
    _target(data, start, end)
    if not session.skipping:
        session.queue.append(DESCRIBE)
    return None


def on_close(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward, and forget the name once Postgres confirms."""
    kind, name = _target(data, start, end)
    if session.skipping:
        return None
    space = session.statements if kind == ord("S") else session.portals
    changes = []
    if space.get(_key(name)) is not None:
        bound = space.set(_key(name), None, segment=session.segment)
        changes.append(Change(space, bound, after=0))
    session.queue.append(Expected(Owed.CLOSE, changes=changes))
    return None


def on_sync(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """End the segment: Postgres answers it, whatever happened before."""
    _check_empty(start, end)
    session.segment += 1
    session.skipping = False
    session.queue.append(MAYBE_SYNC if session.copying_in else SYNC)
    return None


def on_flush(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Forward: it changes nothing but when the answers come."""
    _check_empty(start, end)
    return None


# --- COPY and the end --------------------------------------------------------


def on_copy_data(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Forward unread: outside a COPY-in, which was judged, Postgres ignores it."""
    return None


def on_copy_done(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """Forward, and note where the COPY-in ends among the messages sent."""
    _check_empty(start, end)
    _end_copy(session)
    return None


def on_copy_fail(session: Session, data: bytes, start: int, end: int) -> bytes | None:
    """Forward, and note where the COPY-in ends among the messages sent."""
    sole_string(data, start + HEADER_BYTES, end)
    _end_copy(session)
    return None


def _end_copy(session: Session) -> None:
    session.copying_in = False
    if any(_may_copy_in(expected) for expected in session.queue):
        session.queue.append(COPY_END)


def _may_copy_in(expected: Expected) -> bool:
    execution = expected.execution
    return execution is not None and execution.judged.copies_in


def on_terminate(
    session: Session,
    data: bytes,
    start: int,
    end: int,
) -> bytes | None:
    """End the session as the client asks; what it sent before is still forwarded."""
    _check_empty(start, end)
    session.end("terminated by the client", None)
    return None


HANDLERS: Final[dict[int, Handler]] = {
    QUERY: on_query,
    PARSE: on_parse,
    BIND: on_bind,
    EXECUTE: on_execute,
    DESCRIBE_MESSAGE: on_describe,
    CLOSE: on_close,
    SYNC_MESSAGE: on_sync,
    FLUSH: on_flush,
    COPY_DATA: on_copy_data,
    COPY_DONE: on_copy_done,
    COPY_FAIL: on_copy_fail,
    FUNCTION_CALL: on_function_call,
    TERMINATE: on_terminate,
}
"""Every message that a client may send once it is logged in."""

LONGEST: Final = {
    kind: LARGEST_MESSAGE
    if kind in {QUERY, PARSE, BIND, COPY_DATA, FUNCTION_CALL}
    else LARGEST_SMALL_MESSAGE
    for kind in HANDLERS
}
"""What Postgres accepts: SocketBackend in PostgreSQL src/backend/tcop/postgres.c."""


def unacceptable(kind: int, length: int) -> FrontendError:
    """The error for a message that Postgres would not accept either."""
    if kind in HANDLERS:
        return FrontendError(f"invalid message length {length}")
    return FrontendError(f"invalid frontend message type {kind}")


# --- messages that are not whole, or too large -------------------------------


class Large(NamedTuple):
    """What to do with a message that is not whole.

    `wanted` is how many bytes of it are needed first, or 0: then `sent` is as a handler
    returns it, for the part that is there, and the session passes or discards the rest.
    """

    wanted: int
    sent: bytes | None = None


def begin_large(  # noqa: PLR0911 - one way out a message type
    session: Session, kind: int, data: bytes, start: int, end: int
) -> Large:
    """Begin with a message that is not whole yet, or is over the ceiling for texts."""
    here = min(end, len(data))
    whole = end - start
    if kind == COPY_DATA:
        session.passing = end - here
        return Large(0)
    if kind == FUNCTION_CALL:
        session.discarding = end - here
        return Large(0, _refuse_function_call(session))
    if kind in {QUERY, PARSE}:
        if whole - 1 <= session.limits.statement_bytes:
            return Large(whole)
        return _refuse_too_large(session, kind, data, start, end)
    if kind == BIND:
        if here - start < min(LARGE_BIND, whole):
            return Large(min(LARGE_BIND, whole))
        return _begin_bind(session, data, start, end)
    return Large(whole)


def _begin_bind(session: Session, data: bytes, start: int, end: int) -> Large:
    here = min(end, len(data))
    sent, values_start = _bind_names(session, data, start, here)
    if sent is HOLD:
        return Large(0, sent)
    if sent is not None:
        session.discarding = end - here
        return Large(0, sent)
    stream = BindStream()
    stream.feed(data[values_start:here])
    if end == here:
        stream.finish()
    else:
        session.bind = stream
        session.passing = end - here
    return Large(0)


def _refuse_too_large(
    session: Session, kind: int, data: bytes, start: int, end: int
) -> Large:
    here = min(end, len(data))
    name = b""
    if kind == PARSE:
        if here - start < min(LARGE_BIND, end - start):
            return Large(min(LARGE_BIND, end - start))
        name = leading_string(data, start + HEADER_BYTES, here)
    decision = Decision(
        allowed=False,
        rule="limit.statement-size",
        reason=f"the statement has {end - start - HEADER_BYTES - 1} bytes, "
        f"at most {session.limits.statement_bytes} are allowed",
        sqlstate=TOO_LARGE,
        hint="send the data by COPY or as parameters, or split the statement",
        kind=Kind.UNKNOWN,
    )
    session.discarding = end - here
    if kind == PARSE:
        return Large(
            0,
            _refuse_extended(
                session, decision, _fragment(decision), "parse", name=name
            ),
        )
    session.segment += 1
    refusal = session.refuse(decision, _fragment(decision), "query")
    _expect(session, Expected(Owed.QUERY, refusal=refusal))
    return Large(0, refusal.as_query())


# --- when the audit log can't be written -------------------------------------


def refuse_unrecorded(session: Session) -> None:
    """See `Session.refuse_unrecorded`."""
    decision = Decision(
        allowed=False,
        rule="audit.unavailable",
        reason="the audit log can't be written, so nothing may run unrecorded",
        sqlstate=AUDIT_UNAVAILABLE,
        kind=Kind.UNKNOWN,
    )
    for item in reversed(session.uncommitted):
        expected = item.expected
        execution = expected.execution
        if execution is None or _ends_transaction(session, execution.judged):
            continue
        refusal = session.take_back(item)
        piece = session.to_backend[item.piece]
        simple = expected.owed is Owed.QUERY
        instead = refusal.as_query() if simple else refusal.as_parse(unnamed=False)
        session.to_backend[item.piece] = (
            piece[: item.start] + instead + piece[item.end :]
        )
        session.records[item.record] = session.made.statement(
            execution.serial,
            judged_fragment(execution.judged.analysis, decision),
            message="query" if simple else "execute",
        )
        for change in reversed(expected.changes or ()):
            change.space.undo(change.bound)
        if expected.portal is not None:
            expected.portal.execution = None
        expected.refusal = refusal
        expected.execution = None
        expected.changes = None
    session.uncommitted.clear()


def _ends_transaction(session: Session, judged: Judged) -> bool:
    """ROLLBACK, or COMMIT of a failed transaction: may pass unrecorded."""
    if len(judged.statements) != 1:
        return False
    what = judged.statements[0].transaction
    return what == "rollback" or (what == "commit" and session.status == ord("E"))


# --- shared ------------------------------------------------------------------


def _refuse_extended(
    session: Session,
    decision: Decision,
    fragment: bytes,
    message: Message,
    *,
    name: bytes | None = None,
    names: bytes = b"",
) -> bytes:
    """Refuse a Parse (with its `name`), Bind or Execute."""
    if name:
        names = names_fragment(statement=name)
    refusal = session.refuse(decision, fragment, message, names)
    unnamed = name == b""
    changes = None
    if unnamed and not session.skipping:
        # Postgres drops the unnamed statement before it looks at the new text.
        bound = session.statements.set(b"", None, segment=session.segment)
        changes = [Change(session.statements, bound, after=0)]
    _expect(session, Expected(Owed.PARSE, refusal=refusal, changes=changes))
    return refusal.as_parse(unnamed=unnamed)


def _expect(session: Session, expected: Expected) -> None:
    if not session.skipping:
        session.queue.append(expected)


def _send(
    session: Session, judged: Judged, expected: Expected, *, renames: bool
) -> None:
    """Note what is owed for a recorded statement that is about to be forwarded."""
    if session.skipping:
        # Postgres ignores everything up to the next Sync, this too.
        if expected.execution is not None:
            session.record_outcome(expected.execution, "skipped")
        return
    if renames:
        _rename(session, judged, expected)
    session.queue.append(expected)


def _rename(session: Session, judged: Judged, expected: Expected) -> None:
    """Speculatively carry out what SQL does to the session's names."""
    changes: list[Change] = []
    for number, facts in enumerate(judged.statements):
        for effect in facts.names:
            verb = effect.verb
            if verb == "prepare" and effect.name is not None:
                bound = _set(session, session.statements, effect.name, judged)
                bound.facts = facts.prepared
                bound.runs_text = False
                changes.append(Change(session.statements, bound, after=number + 1))
            elif verb == "declare" and effect.name is not None:
                bound = _set(session, session.portals, effect.name, judged)
                bound.is_cursor = True
                bound.runs_text = False
                changes.append(Change(session.portals, bound, after=number + 1))
            else:
                for space, bound in _closed(session, verb, effect.name):
                    changes.append(Change(space, bound, after=number + 1))
    expected.changes = changes


def _set(session: Session, space: NameSpace, name: str, judged: Judged) -> Bound:
    return space.set(_key(name.encode()), judged, segment=session.segment)


def _closed(
    session: Session, verb: str, name: str | None
) -> Iterator[tuple[NameSpace, Bound]]:
    spaces = {
        "deallocate": [session.statements],
        "close": [session.portals],
        "discard": [session.statements, session.portals],
    }
    for space in spaces.get(verb, []):
        keys = (
            [bound.name for bound in space] if name is None else [_key(name.encode())]
        )
        for key in keys:
            if space.get(key) is not None:
                yield space, space.set(key, None, segment=session.segment)


def _is_uncertain(session: Session, judged: Judged) -> bool:
    """Whether an EXECUTE names something that may or may not exist by now."""
    return any(
        session.statements.is_uncertain(
            _key(effect.name.encode()), segment=session.segment
        )
        for facts in judged.analysis.statements
        for effect in facts.names
        if effect.verb == "execute" and effect.name is not None
    )


def _room_for_name(session: Session, name: bytes) -> Decision | None:
    if name == RESERVED_STATEMENT:
        return Decision(
            allowed=False,
            rule="session.reserved-name",
            reason=f'statement name "{_shown(name)}" is pgwarden\'s own',
            sqlstate=DENIED,
            hint="use another name",
        )
    if len(session.statements) >= session.limits.statements:
        return _too_many("prepared statements", session.limits.statements)
    return None


def _too_many(what: str, most: int) -> Decision:
    return Decision(
        allowed=False,
        rule="limit.names",
        reason=f"the session has {most} {what} already, which is the most allowed",
        sqlstate=TOO_LARGE,
        hint="close those that are no longer needed",
    )


def _missing_statement(name: bytes) -> Decision:
    which = (
        f'prepared statement "{_shown(name)}"' if name else "unnamed prepared statement"
    )
    return Decision(
        allowed=False,
        rule="session.unknown-prepared-statement",
        reason=f"{which} does not exist",
        sqlstate=UNDEFINED_PREPARED_STATEMENT,
        kind=Kind.EXECUTE,
    )


def _missing_portal(name: bytes) -> Decision:
    return Decision(
        allowed=False,
        rule="session.unknown-portal",
        reason=f'portal "{_shown(name)}" does not exist',
        sqlstate=UNDEFINED_CURSOR,
        kind=Kind.CURSOR,
    )


def _fragment(decision: Decision) -> bytes:
    return judged_fragment(_NOTHING, decision)


def _key(name: bytes) -> bytes:
    return name[:NAME_BYTES]


def _shown(name: bytes) -> str:
    return name[:NAME_BYTES].decode("utf-8", "replace")


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
        message = "invalid message format"
        raise FrontendError(message)
