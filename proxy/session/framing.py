"""From received bytes to whole messages and runs of bytes, in both directions.

Every message type of the client has a handler in `proxy.session.requests`; what
Postgres sends is walked by its headers and only the messages in
`proxy.session.replies.HANDLERS` are looked at. What is only passed on stays the slice
it was received in. Pure; these two loops are the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import BackendError
from proxy.session import replies, requests
from proxy.session.large import begin_large
from proxy.session.replies import COPY_DATA, DATA_ROW
from proxy.wire.frames import HEADER, HEADER_BYTES

if TYPE_CHECKING:
    from proxy.session.session import Session


def read_frontend(session: Session, data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - hot path
    """Handle the whole messages in `data`; keep what is left for the next call.

    Raises:
        FrontendError: a message is malformed.
    """
    pos, session.run = _continue_large(session, data)
    size = len(data)
    out = session.to_backend
    handlers = requests.HANDLERS
    longest = requests.LONGEST
    most = session.limits.statement_bytes
    unpack = HEADER.unpack_from
    wanted = HEADER_BYTES
    try:
        while pos + HEADER_BYTES <= size:
            kind, length = unpack(data, pos)
            end = pos + 1 + length
            handler = handlers.get(kind)
            if handler is None or length < 4 or length > longest[kind]:
                raise requests.unacceptable(kind, length)
            if end > size or length > most:
                large = begin_large(session, kind, data, pos, end)
                if large.wanted:
                    wanted = large.wanted
                    break
                sent = large.sent
                end = min(end, size)
            else:
                sent = handler(session, data, pos, end)
            if sent is not None:
                if sent is requests.HOLD:
                    session.held = True
                    break
                if session.run < pos:
                    out.append(data[session.run : pos])
                if sent:
                    out.append(sent)
                session.run = end
            pos = end
            if session.ending is not None:
                break
    finally:
        # What came before a malformed message is forwarded: it is recorded already.
        if session.run < pos:
            out.append(data[session.run : pos])
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


def read_backend(session: Session, data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - hot path
    """Walk the messages in `data`, pass them on, handle those that are tracked."""
    size = len(data)
    pos = min(session.backend_passing, size)
    session.backend_passing -= pos
    run = 0
    out = session.to_frontend
    handlers = replies.HANDLERS
    unpack = HEADER.unpack_from
    while pos + HEADER_BYTES <= size:
        kind, length = unpack(data, pos)
        end = pos + 1 + length
        if kind == DATA_ROW or kind == COPY_DATA:  # noqa: PLR1714, SIM109 - fast
            pos = end
            continue
        if length < 4:
            message = "invalid message length from the server"
            raise BackendError(message)
        handler = handlers.get(kind)
        if handler is None:
            message = f"unexpected message type {kind:#04x} from the server"
            raise BackendError(message)
        if end > size:
            if kind in replies.WHOLE and not replies.is_enough(
                kind, length, size - pos
            ):
                break
            swapped = handler(session, data, pos, size)
        else:
            swapped = handler(session, data, pos, end)
        if swapped is not None:
            if run < pos:
                out.append(data[run:pos])
            out.append(swapped)
            run = end
        pos = end
        if session.ending is not None:
            break
    if pos > size:
        session.backend_passing = pos - size
        pos = size
    if run < pos:
        out.append(data[run:pos] if run or pos < size else data)
    if pos < size and session.ending is None:
        session.backend_rest = data[pos:]
