"""Simple queries over a connection that pgwarden itself has dialled.

Doctor and catalogs must be let in exactly as a session is: same packet, same hosts,
same TLS, same refusal to show a password. (asyncpg would send it in clear to whoever
asks.) So they dial with `proxy.server.dial`, and all that is left to do is to send a
Query and read what comes. Next: `proxy.server.catalogs`, `proxy.doctor.probes`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from proxy.errors import BackendError, PgwardenError
from proxy.wire import codes
from proxy.wire.cursor import Cursor
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.queries import Query, terminate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from proxy.server.handshake_side import Dialled

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Of one answer: an access control list of every object of a very large database."""
QUERY_WITHIN_S: Final = 60.0
_LENGTH_WORD: Final = 4


class QueryError(PgwardenError):
    """Postgres refused a query of ours, or the connection is gone (08006)."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message, sqlstate=sqlstate)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave: the first column of each row, and the command tag."""

    rows: tuple[str | None, ...]
    tag: str


class Conversation(asyncio.Protocol):
    """One session of our own; an async context manager that ends it.

    Attributes:
        ready: what the server said when it let us in.
        lost: called once, with the reason, when the session ends and `close` was not
            called; what Postgres held for it is gone then, such as advisory locks.
    """

    def __init__(self, dialled: Dialled) -> None:
        self.ready = dialled.ready
        self._transport = dialled.transport
        self._buffer = bytearray(dialled.ready.leftover)
        self._waiting: asyncio.Future[Answer] | None = None
        self._rows: list[str | None] = []
        self._tag = ""
        self._error: QueryError | None = None
        self._is_lost = False
        self._is_closed = False
        self._was_given_up = False
        self.lost: Callable[[str], None] = lambda _: None
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the session can be asked, as far as is known without asking."""
        return not (self._is_lost or self._is_closed or self._transport.is_closing())

    @property
    def is_busy(self) -> bool:
        """Whether the server may still run a query, though nobody waits for it."""
        return self._waiting is not None or self._was_given_up

    def close(self) -> None:
        """End the session; what it left open, Postgres rolls back."""
        self._is_closed = True
        if not self._transport.is_closing():
            self._transport.write(terminate())
            self._transport.close()

    async def ask(self, text: str) -> Answer:
        """Run one or more statements in one Query.

        Whoever gives up waiting ends the session with it: the answer that would still
        come is not that of the next query.

        Raises:
            QueryError: one of them failed, or there is no answer.
        """
        if self._is_lost:
            raise _gone()
        self._rows, self._tag, self._error = [], "", None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(Query(text.encode()).encode())
        try:
            async with asyncio.timeout(QUERY_WITHIN_S):
                return await self._waiting
        except TimeoutError:
            raise QueryError("57014", "no answer in time") from None
        finally:
            self._was_given_up = self._waiting.cancelled()
            self._waiting = None
            if self._was_given_up:
                self._transport.abort()
                self._end(QueryError("57014", "a query was given up"))

    async def value(self, text: str) -> str:
        """The first column of the one row of a query.

        Raises:
            QueryError: there is none, or it is null.
        """
        answer = await self.ask(text)
        if len(answer.rows) != 1 or answer.rows[0] is None:
            raise QueryError("XX000", "a query of pgwarden's own gave no value")
        return answer.rows[0]

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (message := self._next()) is not None:
                self._received(*message)
        except PgwardenError as error:
            self._transport.abort()
            self._end(QueryError("08P01", error.operator_note or error.message))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self._error or _gone())

    def _end(self, error: QueryError) -> None:
        was_lost, self._is_lost = self._is_lost, True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        if not (was_lost or self._is_closed):
            self.lost(error.message)

    def _next(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) <= _LENGTH_WORD:
            return None
        length = int.from_bytes(buffer[1 : 1 + _LENGTH_WORD], "big", signed=True)
        if not _LENGTH_WORD <= length <= MAX_ANSWER_BYTES:
            raise QueryError("08P01", "the upstream broke the protocol")
        if len(buffer) < 1 + length:
            return None
        body = bytes(buffer[1 + _LENGTH_WORD : 1 + length])
        kind = buffer[0]
        del buffer[: 1 + length]
        return kind, body

    def _received(self, kind: int, body: bytes) -> None:
        match kind:
            case codes.DATA_ROW:
                self._rows.append(_first_column(body))
            case codes.COMMAND_COMPLETE:
                self._tag = body.rstrip(b"\0").decode(errors="replace")
            case codes.ERROR_RESPONSE:
                fields = parse_error_fields(body)
                self._error = QueryError(
                    fields.get("C", "XX000"), fields.get("M", "unknown error")
                )
            case codes.READY_FOR_QUERY:
                self._done()
            case _:
                # RowDescription, notices, reports: nothing that is needed here.
                pass

    def _done(self) -> None:
        waiting = self._waiting
        # It is told here, and is no reason for whatever happens later.
        error, self._error = self._error, None
        if waiting is None or waiting.done():
            return
        if error is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(Answer(tuple(self._rows), self._tag))


def _first_column(body: bytes) -> str | None:
    cursor = Cursor(body, "DataRow", error=BackendError)
    if cursor.int16() < 1:
        return None
    length = cursor.int32()
    return None if length < 0 else cursor.take(length).decode(errors="replace")


def _gone() -> QueryError:
    return QueryError("08006", "the connection to the database is gone")
