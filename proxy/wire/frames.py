"""Offsets into received bytes: the framing of the hot path, and strict small readers.

A regular message is one type byte, a big-endian int32 length that counts itself, and
the body. Here a message stays where it was received; readers give offsets and slices.
Imports only `proxy.errors`. Next: `proxy.session.framing`.
Source: https://www.postgresql.org/docs/18/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS
"""

from __future__ import annotations

import struct
from typing import Final

from proxy.errors import FrontendError

HEADER: Final = struct.Struct(">BI")
"""Type byte and length, read in place."""
UINT16: Final = struct.Struct(">H")
INT32: Final = struct.Struct(">i")

HEADER_BYTES: Final = 5
LARGEST_MESSAGE: Final = 0x3FFFFFFE
"""PQ_LARGE_MESSAGE_LIMIT is MaxAllocSize - 1: PostgreSQL src/include/libpq/libpq.h."""
LARGEST_SMALL_MESSAGE: Final = 10_000
"""PQ_SMALL_MESSAGE_LIMIT: for every message that holds no data of the user's."""


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
    stop = data.find(0, start, end)
    if stop < 0:
        message = "invalid string in message"
        raise FrontendError(message)
    return data[start:stop]


def check_parse_types(data: bytes, start: int, end: int) -> None:
    """Check the tail of a Parse: an int16 count and as many type OIDs, nothing more.

    Raises:
        FrontendError: the count and the length disagree.
    """
    if end - start < 2 or end - start != 2 + 4 * UINT16.unpack_from(data, start)[0]:
        message = "invalid message format"
        raise FrontendError(message)


def check_bind_values(data: bytes, start: int, end: int) -> None:
    """Check the tail of a whole Bind: format codes, values, result format codes.

    Raises:
        FrontendError: a count or length disagrees with the message's own length.
    """
    try:
        position = start + 2 + 2 * UINT16.unpack_from(data, start)[0]
        (values,) = UINT16.unpack_from(data, position)
        position += 2
        for _ in range(values):
            (length,) = INT32.unpack_from(data, position)
            position += 4
            if length > 0:
                position += length
            elif length < -1:
                position = end + 1
            if position > end:
                break
        if position <= end:
            position += 2 + 2 * UINT16.unpack_from(data, position)[0]
    except struct.error:
        position = end + 1
    if position != end:
        message = "invalid message format"
        raise FrontendError(message)


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
                message = "invalid message format"
                raise FrontendError(message)
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
            message = "invalid message format"
            raise FrontendError(message)

    def _number(self, number: int) -> None:
        if self._field == 4:
            if number < -1:
                message = "invalid message format"
                raise FrontendError(message)
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
