"""Reading one message body strictly: every length, one NUL, no byte left over.

`Cursor` walks over bytes that are already complete; `MessageIntake` cuts messages
out of a growing buffer under a ceiling. Both are for the handshakes, tools and
tests; the path of every statement has `proxy.wire.frames`. The error class says
whose fault a bad byte is: FrontendError by default, BackendError for the upstream.
Imports only `proxy.errors`. Next: `proxy.wire.messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import BackendError, FrontendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.errors import PgwardenError

HEADER_LENGTH: Final = 5
"""Type byte and length word."""
LENGTH_WORD: Final = 4


class Cursor:
    """A strict reader over one complete body."""

    __slots__ = ("_data", "_error", "_what", "position")

    def __init__(
        self,
        data: bytes,
        what: str,
        *,
        error: type[PgwardenError] = FrontendError,
    ) -> None:
        self._data = data
        self._what = what
        self._error = error
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.position

    def fail(self, detail: str) -> PgwardenError:
        """The error to raise for this message, in Postgres' own words and code."""
        if issubclass(self._error, BackendError):
            return self._error(
                "the database broke the protocol",
                operator_note=f"bad {self._what} from the upstream: {detail}",
            )
        return self._error(f"invalid message format: {self._what}: {detail}")

    def take(self, count: int) -> bytes:
        """Read exactly `count` bytes."""
        start = self.position
        if count < 0 or count > len(self._data) - start:
            raise self.fail(f"wants {count} bytes where {self.remaining} are left")
        self.position = start + count
        return self._data[start : self.position]

    def int16(self) -> int:
        """Read a signed 16-bit integer."""
        return int.from_bytes(self.take(2), "big", signed=True)

    def uint16(self) -> int:
        """Read a count, which Postgres takes as unsigned (up to 65535 parameters)."""
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        """Read a signed 32-bit integer."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def uint32(self) -> int:
        """Read an unsigned 32-bit integer (an OID, a version)."""
        return int.from_bytes(self.take(4), "big")

    def cstring(self) -> bytes:
        """Read up to the next NUL and step over it; the NUL is not returned."""
        end = self._data.find(b"\0", self.position)
        if end < 0:
            raise self.fail("a string has no terminating NUL")
        text = self._data[self.position : end]
        self.position = end + 1
        return text

    def text(self) -> str:
        """Read a C string that must be valid UTF-8."""
        raw = self.cstring()
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fail("a string is not valid UTF-8") from None

    def rest(self) -> bytes:
        """Read everything that is left."""
        return self.take(self.remaining)

    def end(self) -> None:
        """Insist that nothing is left."""
        if self.remaining:
            raise self.fail(f"{self.remaining} bytes too many at the end")


class MessageIntake:
    """Cuts typed messages out of received bytes, none longer than its ceiling.

    Holds at most one unfinished message plus what came in the last read.
    """

    __slots__ = ("_buffer", "_error", "_limits")

    def __init__(
        self,
        limits: Mapping[int, int],
        *,
        error: type[PgwardenError] = FrontendError,
    ) -> None:
        """Take the ceiling of the body for each message type that is expected.

        A type that is not a key is a violation, told before its body is awaited.
        """
        self._limits = limits
        self._error = error
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """The next whole message as (type, body), or None until more bytes come."""
        buffer = self._buffer
        if not buffer:
            return None
        kind = buffer[0]
        limit = self._limits.get(kind)
        if limit is None:
            raise self._violation(f"unexpected message type {kind}")
        if len(buffer) < HEADER_LENGTH:
            return None
        length = int.from_bytes(buffer[1:HEADER_LENGTH], "big", signed=True)
        if not LENGTH_WORD <= length <= limit + LENGTH_WORD:
            raise self._violation(f"invalid length {length} of message type {kind}")
        if len(buffer) < 1 + length:
            return None
        body = bytes(buffer[HEADER_LENGTH : 1 + length])
        del buffer[: 1 + length]
        return kind, body

    def drain(self) -> bytes:
        """Everything not cut into messages, leaving nothing here."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _violation(self, detail: str) -> PgwardenError:
        if issubclass(self._error, BackendError):
            return self._error(
                "the database broke the protocol", operator_note=f"upstream: {detail}"
            )
        return self._error(detail)
