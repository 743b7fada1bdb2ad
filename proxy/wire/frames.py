"""Offsets into received bytes: the framing of the hot path, and strict small readers.

A regular message is one type byte, a big-endian int32 length that counts itself, and
the body. Here a message stays where it was received; readers give offsets and slices.
Imports only `proxy.errors`. Next: `proxy.session.framing`.
Source: https://www.postgresql.org/docs/18/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import FrontendError

if TYPE_CHECKING:
    # Machine integers where this module is compiled, plain ones where it is not.
    from mypy_extensions import i64

HEADER_BYTES: Final = 5
INT32_BYTES: Final = 4
LARGEST_MESSAGE: Final = 0x3FFFFFFE
"""PQ_LARGE_MESSAGE_LIMIT is MaxAllocSize - 1: PostgreSQL src/include/libpq/libpq.h."""
LARGEST_SMALL_MESSAGE: Final = 10_000
"""PQ_SMALL_MESSAGE_LIMIT: for every message that holds no data of the user's."""


def uint16_at(data: bytes, at: i64) -> i64:
    """The big-endian unsigned 16-bit number at an offset.

    Raises:
        IndexError: it is not whole.
    """
    high: i64 = data[at]
    low: i64 = data[at + 1]
    return high << 8 | low


def uint32_at(data: bytes, at: i64) -> i64:
    """The big-endian unsigned 32-bit number at an offset.

    Raises:
        IndexError: it is not whole.
    """
    first: i64 = data[at]
    second: i64 = data[at + 1]
    third: i64 = data[at + 2]
    fourth: i64 = data[at + 3]
    return first << 24 | second << 16 | third << 8 | fourth


def sole_string(data: bytes, start: int, end: int) -> bytes:
    """The C string that fills `data[start:end]`, without its NUL.

    Raises:
        FrontendError: the NUL is missing or is not the last byte.
    """
    if data.find(0, start, end) != end - 1:
        message = "invalid string in message"
        raise FrontendError(message)
    return data[start : end - 1]


def leading_string(data: bytes, start: int, end: int) -> bytes:
    """The C string at `start`, without its NUL; the next field is behind the NUL.

    Raises:
        FrontendError: there is no NUL before `end`.
    """
    if start < end and data[start] == 0:
        return b""
    stop = data.find(0, start, end)
    if stop < 0:
        message = "invalid string in message"
        raise FrontendError(message)
    return data[start:stop]


def check_parse_types(data: bytes, start: i64, end: i64) -> None:
    """Check the tail of a Parse: an int16 count and as many type OIDs, nothing more.

    Raises:
        FrontendError: the count and the length disagree.
    """
    if end - start < 2 or end - start != 2 + 4 * uint16_at(data, start):
        raise malformed()


def check_bind_values(data: bytes, start: i64, end: i64) -> None:
    """Check the tail of a whole Bind: format codes, values, result format codes.

    Raises:
        FrontendError: a count or length disagrees with the message's own length.
    """
    if start + 2 > end:
        raise malformed()
    at = start + 2 + 2 * uint16_at(data, start)
    if at + 2 > end:
        raise malformed()
    values = uint16_at(data, at)
    at += 2
    while values > 0:
        if at + 4 > end:
            raise malformed()
        length = uint32_at(data, at)
        at += 4
        if length < 0x80000000:
            at += length
        elif length != _NULL:
            raise malformed()
        values -= 1
    if at + 2 > end or at + 2 + 2 * uint16_at(data, at) != end:
        raise malformed()


_NULL: Final = 0xFFFFFFFF
"""The length -1, which stands for NULL; there is no other negative one."""


def malformed() -> FrontendError:
    """Lengths and counts in a message of the client disagree."""
    return FrontendError("invalid message format")


class BindStream:
    """The same check for a Bind too large to be held: fed piece by piece.

    Feed everything behind the two names; `finish` when the message's length is
    reached. Holds at most four bytes.
    """

    __slots__ = ("_field", "_left", "_partial", "_skip", "_values")

    def __init__(self) -> None:
        self._partial = b""
        self._skip = 0
        self._values = 0
        self._left = 3
        self._field = 2

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            FrontendError: a length is impossible.
        """
        position = 0
        size = len(data)
        while position < size:
            if self._skip:
                step = min(self._skip, size - position)
                self._skip -= step
                position += step
                continue
            if not self._field:
                raise malformed()
            wanted = self._field - len(self._partial)
            self._partial += data[position : position + wanted]
            position += wanted
            if len(self._partial) == self._field:
                self._number(int.from_bytes(self._partial, "big", signed=True))
                self._partial = b""

    def finish(self) -> None:
        """Check that the message ended where its last field did.

        Raises:
            FrontendError: it ended in the middle of a field, or too early.
        """
        if self._field or self._skip or self._partial:
            raise malformed()

    def _number(self, number: int) -> None:
        if self._field == 4:
            if number < -1:
                raise malformed()
            self._skip = max(number, 0)
            self._values -= 1
        else:
            count = number & 0xFFFF
            self._left -= 1
            if self._left == 1:
                self._values = count
            else:
                self._skip = 2 * count
        if self._values:
            self._field = 4
        else:
            self._field = 2 if self._left else 0
