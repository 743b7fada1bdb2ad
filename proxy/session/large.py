"""Messages that are not whole yet, or whose text is over the ceiling.

A large Bind is judged by its names and streamed; COPY data is streamed unread; a text
that is too large is refused by its length and never held. Pure.
Next: `proxy.session.framing`, which passes or discards the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.session.expected import OWED_QUERY, Expected
from proxy.session.owing import expect, refuse_extended, refuse_function_call
from proxy.session.own import HOLD
from proxy.session.own_rules import fragment, too_large
from proxy.session.requests import (
    BIND,
    COPY_DATA,
    FUNCTION_CALL,
    PARSE,
    QUERY,
    bind_names,
)
from proxy.wire.frames import HEADER_BYTES, BindStream, leading_string

if TYPE_CHECKING:
    from proxy.session.session import Session

LARGE_BIND: Final = 64 * 1024
"""A Bind that is not whole by then is judged by its names and streamed."""


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
        return Large(0, refuse_function_call(session))
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
    sent, values_start = bind_names(session, data, start, here)
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
    decision = too_large(end - start - HEADER_BYTES - 1, session.limits.statement_bytes)
    session.discarding = end - here
    if kind == PARSE:
        return Large(
            0,
            refuse_extended(session, decision, fragment(decision), "parse", name=name),
        )
    session.in_segment = False
    session.segment += 1
    refusal = session.refuse(decision, fragment(decision), "query")
    expect(session, Expected(OWED_QUERY, refusal=refusal))
    return Large(0, refusal.as_query())
