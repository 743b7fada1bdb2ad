"""From received bytes to whole messages and runs of bytes, in both directions.

Every message of the client goes to `proxy.session.requests`; what Postgres sends is
walked by its headers, and rows and COPY data never leave this module. What is only
passed on stays the slice it was received in. Pure; these two loops are the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import BackendError
from proxy.session.large import begin_large
from proxy.session.own import HOLD
from proxy.session.replies import (
    COPY_DATA,
    DATA_ROW,
    handle_reply,
    is_enough,
    is_read,
)
from proxy.session.requests import handle_request, longest, unacceptable
from proxy.wire.frames import HEADER_BYTES, uint32_at

if TYPE_CHECKING:
    from mypy_extensions import i64

    from proxy.session.session import Session


def read_frontend(session: Session, data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - hot path
    """Handle the whole messages in `data`; keep what is left for the next call.

    Raises:
        FrontendError: a message is malformed.
    """
    begin, session.run = _continue_large(session, data)
    pos: i64 = begin
    size: i64 = len(data)
    most: i64 = session.limits.statement_bytes
    wanted = HEADER_BYTES
    try:
        while pos + HEADER_BYTES <= size:
            kind = data[pos]
            length = uint32_at(data, pos + 1)
            end = pos + 1 + length
            if length < 4 or length > longest(kind):
                raise unacceptable(kind, length)
            if end > size or length > most:
                large = begin_large(session, kind, data, pos, end)
                if large.wanted:
                    wanted = large.wanted
                    break
                sent = large.sent
                end = min(end, size)
            else:
                sent = handle_request(session, kind, data, pos, end)
            if sent is not None:
                if sent is HOLD:
                    session.held = True
                    break
                if session.run < pos:
                    session.to_backend.append(data[session.run : pos])
                if sent:
                    session.to_backend.append(sent)
                session.run = end
            pos = end
            if session.ending is not None:
                break
    finally:
        # What came before a malformed message is forwarded: it is recorded already.
        if session.run < pos:
            whole = not session.run and pos == size
            session.to_backend.append(data if whole else data[session.run : pos])
    if pos < size and session.ending is None:
        session.unread = [data[pos:]]
        session.unread_bytes = size - pos
        session.wanted = wanted


def _continue_large(session: Session, data: bytes) -> tuple[int, int]:
    """Take what belongs to a large message; where the next one and the run begin."""
    if session.discarding:
        pos = min(session.discarding, len(data))
        session.discarding -= pos
        return pos, pos
    if not session.passing:
        return 0, 0
    pos = min(session.passing, len(data))
    session.passing -= pos
    if session.bind is not None:
        session.bind.feed(data[:pos])
        if not session.passing:
            session.bind.finish()
            session.bind = None
    return pos, 0


def read_backend(session: Session, data: bytes) -> None:  # noqa: C901 - hot path
    """Walk the messages in `data`, pass them on, handle those that are tracked."""
    size: i64 = len(data)
    passing: i64 = session.backend_passing
    pos = min(passing, size)
    session.backend_passing = passing - pos
    run: i64 = 0
    while pos + HEADER_BYTES <= size:
        kind = data[pos]
        length = uint32_at(data, pos + 1)
        end = pos + 1 + length
        if kind == DATA_ROW or kind == COPY_DATA:  # noqa: PLR1714, SIM109 - fast
            pos = end
            continue
        if length < 4:
            message = "invalid message length from the server"
            raise BackendError(message)
        if end > size and is_read(kind) and not is_enough(kind, length, size - pos):
            break
        swapped = handle_reply(session, kind, data, pos, min(end, size))
        if swapped is not None:
            if run < pos:
                session.to_frontend.append(data[run:pos])
            session.to_frontend.append(swapped)
            run = end
        pos = end
        if session.ending is not None:
            break
    if pos > size:
        session.backend_passing = pos - size
        pos = size
    if run < pos:
        whole = not run and pos == size
        session.to_frontend.append(data if whole else data[run:pos])
    if pos < size and session.ending is None:
        session.backend_rest = data[pos:]
