"""The messages of statements, as objects: for tools and tests, not for the hot path.

The conversation works on offsets into the received bytes (`proxy.wire.frames`); these
dataclasses say the same in a form that is easy to write down in a test.
`decode(body)` is strict, `encode()` gives the whole message.
Imports `codes`, `cursor`, `messages`. Next: `proxy.session.session`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from proxy.errors import FrontendError
from proxy.wire import codes
from proxy.wire.cursor import Cursor
from proxy.wire.messages import cstring, message

_INT16: Final = struct.Struct("!h")
_UINT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")
_UINT32: Final = struct.Struct("!I")
_MAX_COUNT: Final = 0xFFFF
"""Counts are 16 bits; Postgres reads them unsigned (65535 parameters at most)."""
STATEMENT: Final = ord("S")
PORTAL: Final = ord("P")


def _count(number: int) -> bytes:
    if number > _MAX_COUNT:
        raise FrontendError(f"{number} parameters, {_MAX_COUNT} at most")
    return _UINT16.pack(number)


@dataclass(frozen=True, slots=True)
class Query:
    """A simple query: any number of statements."""

    text: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        cursor = Cursor(body, "Query")
        found = cls(cursor.cstring())
        cursor.end()
        return found

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.QUERY, cstring(self.text))


@dataclass(frozen=True, slots=True)
class Parse:
    """One statement to prepare; name "" is the unnamed one."""

    name: bytes
    text: bytes
    parameter_types: tuple[int, ...] = ()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        cursor = Cursor(body, "Parse")
        name, text = cursor.cstring(), cursor.cstring()
        types = tuple(cursor.uint32() for _ in range(cursor.uint16()))
        cursor.end()
        return cls(name, text, types)

    def encode(self) -> bytes:
        """The whole message."""
        types = b"".join(_UINT32.pack(oid) for oid in self.parameter_types)
        head = cstring(self.name) + cstring(self.text)
        return message(codes.PARSE, head + _count(len(self.parameter_types)) + types)


@dataclass(frozen=True, slots=True)
class Bind:
    """A prepared statement with its parameters becomes a portal; None is NULL."""

    portal: bytes
    statement: bytes
    parameters: tuple[bytes | None, ...] = ()
    parameter_formats: tuple[int, ...] = ()
    result_formats: tuple[int, ...] = ()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body; the number of formats must be 0, 1 or that of parameters."""
        cursor = Cursor(body, "Bind")
        portal, statement = cursor.cstring(), cursor.cstring()
        formats = tuple(cursor.int16() for _ in range(cursor.uint16()))
        count = cursor.uint16()
        if len(formats) > 1 and len(formats) != count:
            raise cursor.fail(f"{len(formats)} formats but {count} parameters")
        parameters = tuple(cls._parameter(cursor) for _ in range(count))
        results = tuple(cursor.int16() for _ in range(cursor.uint16()))
        cursor.end()
        return cls(portal, statement, parameters, formats, results)

    @staticmethod
    def _parameter(cursor: Cursor) -> bytes | None:
        length = cursor.int32()
        if length < -1:
            raise cursor.fail(f"a parameter of {length} bytes")
        return None if length == -1 else cursor.take(length)

    def encode(self) -> bytes:
        """The whole message."""
        parts = [cstring(self.portal), cstring(self.statement)]
        parts.append(_count(len(self.parameter_formats)))
        parts.extend(_INT16.pack(code) for code in self.parameter_formats)
        parts.append(_count(len(self.parameters)))
        for value in self.parameters:
            parts.append(_INT32.pack(-1 if value is None else len(value)))
            parts.append(value or b"")
        parts.append(_count(len(self.result_formats)))
        parts.extend(_INT16.pack(code) for code in self.result_formats)
        return message(codes.BIND, b"".join(parts))


@dataclass(frozen=True, slots=True)
class Describe:
    """What does this statement (S) or portal (P) look like?"""

    kind: int
    name: bytes = b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        return cls(*_target(Cursor(body, "Describe")))

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.DESCRIBE, bytes((self.kind,)) + cstring(self.name))


@dataclass(frozen=True, slots=True)
class Close:
    """Forget this statement (S) or portal (P)."""

    kind: int
    name: bytes = b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        return cls(*_target(Cursor(body, "Close")))

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.CLOSE, bytes((self.kind,)) + cstring(self.name))


def _target(cursor: Cursor) -> tuple[int, bytes]:
    kind = cursor.take(1)[0]
    if kind not in {STATEMENT, PORTAL}:
        raise cursor.fail(f"subtype {kind}")
    name = cursor.cstring()
    cursor.end()
    return kind, name


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; `max_rows` 0 is no limit."""

    portal: bytes = b""
    max_rows: int = 0

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        cursor = Cursor(body, "Execute")
        found = cls(cursor.cstring(), cursor.int32())
        cursor.end()
        return found

    def encode(self) -> bytes:
        """The whole message."""
        body = cstring(self.portal) + _INT32.pack(self.max_rows)
        return message(codes.EXECUTE, body)


@dataclass(frozen=True, slots=True)
class CopyFail:
    """COPY-in is given up, with the reason."""

    reason: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode a body."""
        cursor = Cursor(body, "CopyFail")
        found = cls(cursor.cstring())
        cursor.end()
        return found

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.COPY_FAIL, cstring(self.reason))


def sync() -> bytes:
    """A whole Sync."""
    return message(codes.SYNC, b"")


def flush() -> bytes:
    """A whole Flush."""
    return message(codes.FLUSH, b"")


def terminate() -> bytes:
    """A whole Terminate."""
    return message(codes.TERMINATE, b"")
