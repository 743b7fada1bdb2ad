"""The messages of login and of status: one frozen dataclass each, both directions.

`decode(body)` is strict (lengths, NULs, nothing left over) and `encode()` gives the
whole message with its header; decode after encode is the identity. What a client
sends raises FrontendError, what an upstream sends BackendError. Imports `codes`,
`cursor` and `proxy.errors`. Next: `proxy.wire.queries` for the messages of
statements, `proxy.wire.errors_wire` for errors and notices.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, Self

from proxy.errors import BackendError, FrontendError
from proxy.wire import codes
from proxy.wire.cursor import LENGTH_WORD, Cursor

_INT32: Final = struct.Struct("!i")
_HEADER: Final = struct.Struct("!BI")


def message(kind: int, body: bytes) -> bytes:
    """Put type byte and length word in front of a body.

    Raises:
        FrontendError: the body is larger than any message may be. A length that
            wraps round 32 bits would turn the rest into new messages
            (pgx, CVE-2024-27304).
    """
    if len(body) > codes.MAX_LARGE_BODY:
        raise FrontendError("message too large", sqlstate="54000")
    return _HEADER.pack(kind, len(body) + LENGTH_WORD) + body


def cstring(text: str | bytes) -> bytes:
    """A string with its NUL; a NUL inside would end it early, so that is refused."""
    raw = text.encode() if isinstance(text, str) else text
    if b"\0" in raw:
        raise FrontendError("a string may not hold a NUL")
    return raw + b"\0"


def _auth(code: int, rest: bytes = b"") -> bytes:
    return message(codes.AUTHENTICATION, _INT32.pack(code) + rest)


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """Login is done; parameters and ReadyForQuery follow."""

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(codes.AUTH_OK)


@dataclass(frozen=True, slots=True)
class AuthenticationCleartext:
    """The server wants the password itself."""

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(codes.AUTH_CLEARTEXT)


@dataclass(frozen=True, slots=True)
class AuthenticationMD5:
    """The server wants an MD5 response over this 4-byte salt."""

    salt: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(codes.AUTH_MD5, self.salt)


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    """The server offers these SASL mechanisms, best first."""

    mechanisms: tuple[str, ...]

    def encode(self) -> bytes:
        """The whole message."""
        names = b"".join(cstring(name) for name in self.mechanisms)
        return _auth(codes.AUTH_SASL, names + b"\0")


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    """One more challenge of the chosen mechanism."""

    data: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(codes.AUTH_SASL_CONTINUE, self.data)


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    """The mechanism's last word, for SCRAM the server's signature."""

    data: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(codes.AUTH_SASL_FINAL, self.data)


@dataclass(frozen=True, slots=True)
class AuthenticationUnsupported:
    """A request we never answer (Kerberos, GSSAPI, SSPI, OAuth of another house)."""

    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        """The whole message."""
        return _auth(self.code, self.data)


Authentication = (
    AuthenticationOk
    | AuthenticationCleartext
    | AuthenticationMD5
    | AuthenticationSASL
    | AuthenticationSASLContinue
    | AuthenticationSASLFinal
    | AuthenticationUnsupported
)


def _mechanisms(cursor: Cursor) -> tuple[str, ...]:
    names: list[str] = []
    while name := cursor.text():
        names.append(name)
    if not names:
        raise cursor.fail("no SASL mechanism is offered")
    return tuple(names)


def decode_authentication(body: bytes) -> Authentication:
    """Decode an 'R' message from an upstream."""
    cursor = Cursor(body, "Authentication", error=BackendError)
    code = cursor.int32()
    found: Authentication
    match code:
        case codes.AUTH_OK:
            found = AuthenticationOk()
        case codes.AUTH_CLEARTEXT:
            found = AuthenticationCleartext()
        case codes.AUTH_MD5:
            found = AuthenticationMD5(cursor.take(4))
        case codes.AUTH_SASL:
            found = AuthenticationSASL(_mechanisms(cursor))
        case codes.AUTH_SASL_CONTINUE:
            found = AuthenticationSASLContinue(cursor.rest())
        case codes.AUTH_SASL_FINAL:
            found = AuthenticationSASLFinal(cursor.rest())
        case _:
            found = AuthenticationUnsupported(code, cursor.rest())
    cursor.end()
    return found


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """The client's choice of mechanism and its first word; `data` None if absent."""

    mechanism: str
    data: bytes | None

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'p' message."""
        cursor = Cursor(body, "SASLInitialResponse")
        mechanism = cursor.text()
        length = cursor.int32()
        if length < -1:
            raise cursor.fail(f"a response of {length} bytes")
        data = None if length == -1 else cursor.take(length)
        cursor.end()
        return cls(mechanism, data)

    def encode(self) -> bytes:
        """The whole message."""
        length = -1 if self.data is None else len(self.data)
        rest = _INT32.pack(length) + (self.data or b"")
        return message(codes.PASSWORD, cstring(self.mechanism) + rest)


@dataclass(frozen=True, slots=True)
class SASLResponse:
    """The client's next word; all of the body."""

    data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'p' message."""
        return cls(body)

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.PASSWORD, self.data)


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """A password or an MD5 response. Never printed: it is a secret."""

    password: bytes = field(repr=False)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'p' message."""
        cursor = Cursor(body, "PasswordMessage")
        password = cursor.cstring()
        cursor.end()
        return cls(password)

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.PASSWORD, cstring(self.password))


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A run-time parameter the server reports."""

    name: str
    value: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of an 'S' message from an upstream."""
        cursor = Cursor(body, "ParameterStatus", error=BackendError)
        found = cls(cursor.text(), cursor.text())
        cursor.end()
        return found

    def encode(self) -> bytes:
        """The whole message."""
        body = cstring(self.name) + cstring(self.value)
        return message(codes.PARAMETER_STATUS, body)


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a CancelRequest must present: 4 bytes of key on 3.0, up to 256 on 3.2."""

    pid: int
    key: bytes = field(repr=False)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'K' message from an upstream."""
        cursor = Cursor(body, "BackendKeyData", error=BackendError)
        pid = cursor.int32()
        key = cursor.rest()
        if not codes.MIN_CANCEL_KEY <= len(key) <= codes.MAX_CANCEL_KEY:
            raise cursor.fail(f"a cancel key of {len(key)} bytes")
        return cls(pid, key)

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.BACKEND_KEY_DATA, _INT32.pack(self.pid) + self.key)


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The server waits for the next command; status is I, T or E."""

    status: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'Z' message from an upstream."""
        cursor = Cursor(body, "ReadyForQuery", error=BackendError)
        status = cursor.take(1)[0]
        cursor.end()
        if status not in {codes.IDLE, codes.IN_TRANSACTION, codes.FAILED_TRANSACTION}:
            raise cursor.fail(f"transaction status {status}")
        return cls(status)

    def encode(self) -> bytes:
        """The whole message."""
        return message(codes.READY_FOR_QUERY, bytes((self.status,)))


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The newest minor version spoken, and protocol options not understood."""

    minor: int
    unrecognised: tuple[str, ...] = ()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body of a 'v' message from an upstream.

        Postgres sends a full version (backend_startup.c) where its documentation says
        a minor one, so both readings are taken.
        """
        cursor = Cursor(body, "NegotiateProtocolVersion", error=BackendError)
        version = cursor.uint32()
        count = cursor.int32()
        if version >> 16 not in {0, codes.PROTOCOL_MAJOR}:
            raise cursor.fail(f"protocol version {version >> 16}.{version & 0xFFFF}")
        if not 0 <= count <= cursor.remaining:
            raise cursor.fail(f"{count} options")
        names = tuple(cursor.text() for _ in range(count))
        cursor.end()
        return cls(version & 0xFFFF, names)

    def encode(self) -> bytes:
        """The whole message."""
        version = codes.PROTOCOL_MAJOR << 16 | self.minor
        body = _INT32.pack(version) + _INT32.pack(len(self.unrecognised))
        names = b"".join(cstring(name) for name in self.unrecognised)
        return message(codes.NEGOTIATE_PROTOCOL_VERSION, body + names)
