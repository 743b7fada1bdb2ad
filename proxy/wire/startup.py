"""The first packet of a connection, which has no type byte: startup, TLS, cancel.

Decoding is strict where Postgres is lenient: a key given twice is refused (its last
one wins, a careless reader takes the first and authenticates somebody else) and so is
a byte behind the terminator. `parse_options` splits `options` exactly as
the server splits its command line. Imports `codes`, `cursor`, `messages` and
`proxy.errors`. Next: `proxy.session.login`.
https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from proxy.errors import FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, FrontendError
from proxy.wire import codes
from proxy.wire.cursor import LENGTH_WORD, Cursor
from proxy.wire.messages import cstring

_INT32: Final = struct.Struct("!i")
_PROTOCOL_OPTION: Final = "_pq_."
_WHITE_SPACE: Final = " \t\n\v\f\r"
"""What isspace() takes in the C locale; Python's own idea of space is wider."""


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """A wish to begin a session.

    Attributes:
        minor: the minor protocol version asked for; the major one is 3.
        parameters: every key but the protocol options, in the order given.
        protocol_options: names of the `_pq_.` keys; no server knows one yet.
    """

    minor: int
    parameters: dict[str, str]
    protocol_options: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The whole packet."""
        pairs = [*self.parameters.items(), *((o, "") for o in self.protocol_options)]
        body = b"".join(cstring(key) + cstring(value) for key, value in pairs)
        version = codes.PROTOCOL_MAJOR << 16 | self.minor
        return _packet(version, body + b"\0")


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """May we speak TLS?"""

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(codes.SSL_REQUEST)


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """May we speak GSSAPI encryption? (libpq 18 may ask this first)"""

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(codes.GSSENC_REQUEST)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop what the session with this process id and key is running."""

    pid: int
    key: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(codes.CANCEL_REQUEST, _INT32.pack(self.pid) + self.key)


FirstPacket = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest


def _packet(code: int, body: bytes = b"") -> bytes:
    packet = _INT32.pack(code) + body
    if len(packet) > codes.MAX_STARTUP_BODY:
        raise FrontendError("startup packet too large", sqlstate="54000")
    return _INT32.pack(len(packet) + LENGTH_WORD) + packet


def packet_length(buffer: bytes | bytearray) -> int | None:
    """Length of the first packet with its length word, or None until that is there.

    Raises:
        FrontendError: no startup packet may be that long or that short.
    """
    if len(buffer) < LENGTH_WORD:
        return None
    (length,) = _INT32.unpack_from(buffer)
    if not LENGTH_WORD + 4 <= length <= codes.MAX_STARTUP_BODY + LENGTH_WORD:
        raise FrontendError("invalid length of startup packet")
    return int(length)


def decode_first_packet(packet: bytes) -> FirstPacket:
    """Decode a whole first packet, length word included.

    Raises:
        FrontendError: 0A000 for another major version, 08P01 for a bad layout.
    """
    cursor = Cursor(packet, "startup packet")
    if cursor.int32() != len(packet):
        raise cursor.fail("the length does not fit")
    code = cursor.uint32()
    match code:
        case codes.SSL_REQUEST:
            cursor.end()
            return SSLRequest()
        case codes.GSSENC_REQUEST:
            cursor.end()
            return GSSENCRequest()
        case codes.CANCEL_REQUEST:
            return _cancel(cursor)
        case _:
            return _startup(cursor, code)


def _cancel(cursor: Cursor) -> CancelRequest:
    pid = cursor.int32()
    key = cursor.rest()
    if not codes.MIN_CANCEL_KEY <= len(key) <= codes.MAX_CANCEL_KEY:
        raise cursor.fail(f"a cancel key of {len(key)} bytes")
    return CancelRequest(pid, key)


def unsupported_version(version: int) -> FrontendError:
    """What Postgres 18 says to another major version (backend_startup.c)."""
    return FrontendError(
        f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: "
        f"server supports {codes.PROTOCOL_MAJOR}.0 to "
        f"{codes.PROTOCOL_MAJOR}.{codes.PROTOCOL_MINOR_LATEST}",
        sqlstate=FEATURE_NOT_SUPPORTED,
    )


def _startup(cursor: Cursor, version: int) -> StartupMessage:
    if version >> 16 != codes.PROTOCOL_MAJOR:
        raise unsupported_version(version)
    parameters: dict[str, str] = {}
    protocol_options: list[str] = []
    seen: set[str] = set()
    while key := cursor.text():
        value = cursor.text()
        # Setting names are case-insensitive, so "Role" and "role" are one key.
        if key.lower() in seen:
            raise FrontendError(f'startup parameter "{key}" is given twice')
        seen.add(key.lower())
        if key.startswith(_PROTOCOL_OPTION):
            protocol_options.append(key)
        else:
            parameters[key] = value
    cursor.end()
    return StartupMessage(version & 0xFFFF, parameters, tuple(protocol_options))


def _split_options(options: str) -> list[str]:
    """Split at white space; a backslash takes the next character as it is.

    As pg_split_opts() in utils/init/postinit.c: no quotes, and a backslash at the very
    end is dropped.
    """
    words: list[str] = []
    word: list[str] | None = None
    characters = iter(options)
    for character in characters:
        if character in _WHITE_SPACE:
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        if word is None:
            word = []
        word.append(next(characters, "") if character == "\\" else character)
    if word is not None:
        words.append("".join(word))
    return words


def parse_options(options: str) -> list[tuple[str, str]]:
    """Settings in a startup parameter `options`, in the order given.

    Understood are `-c name=value`, `-cname=value` and `--name=value`, with backslash
    escapes; a dash in a name is an underscore, as for ParseLongOption() in guc.c.

    Raises:
        FrontendError: anything else; the message names the word. Other switches of
            the server's command line (`-d`, `-f`, `-s` ...) are not settings of ours.
    """
    settings: list[tuple[str, str]] = []
    words = iter(_split_options(options))
    for word in words:
        if word == "-c":
            argument = next(words, None)
            if argument is None:
                raise _bad_option("-c", "is missing its name=value")
        elif word.startswith(("--", "-c")):
            argument = word[2:]
        else:
            raise _bad_option(word, "is not understood")
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise _bad_option(word, f'requires name=value, got "{argument}"')
        settings.append((name.replace("-", "_"), value))
    return settings


def _bad_option(word: str, problem: str) -> FrontendError:
    return FrontendError(
        f'"{word}" in the startup parameter "options" {problem}',
        hint="Use -c name=value (PGOPTIONS in the environment sets this parameter).",
        sqlstate=SYNTAX_ERROR,
    )


def encode_options(settings: list[tuple[str, str]]) -> str:
    """Settings as an `options` string; the inverse of `parse_options`."""
    words: list[str] = []
    for name, value in settings:
        escaped = "".join(
            f"\\{c}" if c == "\\" or c in _WHITE_SPACE else c for c in f"{name}={value}"
        )
        words.append(f"-c {escaped}")
    return " ".join(words)
