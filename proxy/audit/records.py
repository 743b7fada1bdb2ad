"""Audit records as bytes: what is written about a session, before and after.

Pure: no I/O, clock or randomness, because `proxy.session` calls this on the path of
every statement. A *fragment* is the inside of one JSON object without its braces;
`proxy.audit.chain` puts the head (version, number, time) in front and the hash behind.
Everything is ASCII: newlines, terminal escapes, bidirectional marks and U+2028 in what
a client sent can't forge or hide a line. The fields are documented in
docs/reference/audit-log.md. Next: `proxy.audit.judged` (what was decided about a
text), `proxy.audit.chain`, `proxy.audit.writer`.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

Message = Literal["query", "parse", "bind", "execute", "function_call"]
"""The protocol message that carried a statement."""

Status = Literal["ok", "error", "skipped", "unknown"]
"""How a forwarded statement ended; `skipped` by Postgres after an error before it,
`unknown` where pgwarden could not see it."""

_MESSAGES: Final[Mapping[str, bytes]] = {
    message: b'","message":"%b",' % message.encode()
    for message in ("query", "parse", "bind", "execute", "function_call")
}

_BEYOND_ASCII: Final = re.compile("[^\x20-\x7e]")


def quoted(value: str | bytes) -> tuple[str, bool]:
    r"""One JSON string, pure ASCII, and whether it had to be escaped on top of JSON.

    Bytes that are not UTF-8 have no place in a JSON string. Such a value is written
    with `\xNN` for each of them and its own backslashes doubled, so that nothing is
    lost, and the record lists the field in `escaped`.
    """
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if text.isascii():
        return encode_basestring_ascii(text), False
    if _is_unicode(text):
        return encode_basestring_ascii(text), False
    return encode_basestring_ascii(spelled_out(text)), True


def spelled_out(text: str) -> str:
    """A text with lone surrogates (undecodable bytes) in a form that is lossless."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def json_ascii(value: object) -> bytes:
    """Encode a value as JSON in pure ASCII.

    Raises:
        UnicodeEncodeError: a string in it holds a lone surrogate.
    """
    encoded = msgspec.json.encode(value)
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    # In JSON a character beyond ASCII (or DEL) only ever stands inside a string.
    return _BEYOND_ASCII.sub(_escape, encoded.decode()).encode("ascii")


def _escape(match: re.Match[str]) -> str:
    return encode_basestring_ascii(match[0])[1:-1]


class SessionStart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session.start record says beside who it is; unset fields are left out.

    Attributes:
        authentication: how the client proved itself, "scram-sha-256".
        client_port: its TCP port.
        tls: TLS version; "" for plain text.
        protocol: protocol version agreed on, "3.0".
        upstream_user: the role pgwarden logged in as upstream.
        backend_pid: process id of the upstream backend.
        policy: version of the policy in force.
        settings: start-up parameters passed on (never a password).
    """

    authentication: str
    client_port: int = 0
    tls: str = ""
    protocol: str = ""
    upstream_user: str = ""
    backend_pid: int = 0
    policy: str = ""
    settings: dict[str, str] = {}


class SessionEnd(Struct, frozen=True, kw_only=True):
    """What a session.end record says.

    A refused login has no session.start: its one record is a session.end with status
    "refused", the identity *claimed* and the role "".

    Attributes:
        reason: a few words for people, such as "client closed the connection".
        duration_s: seconds since the connection was accepted.
        status: "ended", or "refused" where the login was.
        sqlstate: of the FATAL error sent to the client, "" if there was none.
        statements: statement records of this session.
        denied: how many of those were refusals.
        bytes_in: bytes received from the client.
        bytes_out: bytes sent to the client.
    """

    reason: str
    duration_s: float
    status: Literal["ended", "refused"] = "ended"
    sqlstate: str = ""
    statements: int = 0
    denied: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class _Internal(Struct, frozen=True, omit_defaults=True):
    purpose: str
    text: str = ""
    detail: dict[str, str] = {}


class SessionRecords:
    """Makes the fragments of one session; what every record names is encoded once.

    Not thread-safe, holds no more than a few hundred bytes. `serial` numbers the
    statements of the session; "<session>-<serial>" is the audit id in a refusal.
    """

    __slots__ = ("_internal", "_outcome", "_statement", "_who", "session_id")

    def __init__(
        self,
        session_id: str,
        *,
        identity: str | bytes,
        role: str,
        database: str | bytes,
        application_name: str | bytes,
        client_address: str,
    ) -> None:
        """Encode the fields that every record carries.

        Args:
            session_id: unique over all workers and restarts; letters, digits, "_", ".".
            identity: who logged in, or for a refused login who the client claims to be.
            role: the policy role; "" where the login was refused.
            database: the database asked for.
            application_name: as the client sent it at login.
            client_address: the client's IP address, without the port.
        """
        self.session_id = session_id
        fields = {
            "session": session_id,
            "identity": identity,
            "role": role,
            "database": database,
            "application_name": application_name,
            "client_address": client_address,
        }
        encoded = {name: quoted(value) for name, value in fields.items()}
        parts = [f'"{name}":{text}' for name, (text, _) in encoded.items()]
        escaped = [name for name, (_, is_escaped) in encoded.items() if is_escaped]
        if escaped:
            parts.append(f'"escaped":{msgspec.json.encode(escaped).decode()}')
        self._who = who = ",".join(parts).encode("ascii")
        head = b'"kind":"%b",%b,"audit_id":%b-'
        bare_id = encode_basestring_ascii(session_id)[:-1].encode()
        self._statement = head % (b"statement", who, bare_id)
        self._outcome = head % (b"outcome", who, bare_id)
        self._internal = b'"kind":"internal",%b,' % who

    def audit_id(self, serial: int) -> str:
        """The id that a refusal's DETAIL shows and the records carry."""
        return f"{self.session_id}-{serial}"

    def statement(
        self, serial: int, judged: bytes, *, message: Message, names: bytes = b""
    ) -> bytes:
        """What is about to be forwarded or was refused.

        Args:
            serial: the statement's number in this session.
            judged: from `proxy.audit.judged.judged_fragment`.
            message: the protocol message that carried it.
            names: from `names_fragment`, b"" where statement and portal are unnamed.
        """
        return b"%b%d%b%b%b" % (
            self._statement,
            serial,
            _MESSAGES[message],
            names,
            judged,
        )

    def outcome(
        self,
        serial: int,
        *,
        status: Status,
        duration_s: float,
        tag: str | bytes = b"",
        rows: int | None = None,
        sqlstate: str = "",
    ) -> bytes:
        """How a forwarded statement ended.

        Args:
            serial: the number of its statement record.
            status: ok, error or unknown.
            duration_s: seconds from forwarding to the end, as pgwarden saw it.
            tag: the (last) command tag, without its NUL.
            rows: rows sent to or taken from the client, where known.
            sqlstate: of the ErrorResponse, for status "error".
        """
        line = b'%b%d","status":"%b","duration_s":%.6f' % (
            self._outcome,
            serial,
            status.encode(),
            duration_s,
        )
        if tag:
            line += b',"tag":' + (_TAGS.get(tag) or _tag(tag))
        if rows is not None:
            line += b',"rows":%d' % rows
        if sqlstate:
            line += b',"sqlstate":' + _tag(sqlstate)
        return line

    def start(self, details: SessionStart) -> bytes:
        """A session begins: the login has succeeded."""
        return b'"kind":"session.start",%b,%b' % (self._who, _inside(details))

    def end(self, details: SessionEnd) -> bytes:
        """A session is over, or its login was refused."""
        return b'"kind":"session.end",%b,%b' % (self._who, _inside(details))

    def internal(
        self, purpose: str, *, text: str = "", detail: Mapping[str, str] | None = None
    ) -> bytes:
        """Something pgwarden itself did: a statement of its own, a policy reload.

        Args:
            purpose: what for, from a small set ("policy.reload", "restore-point").
            text: SQL sent on pgwarden's behalf, "" where there is none.
            detail: further plain values.
        """
        return self._internal + _inside(_Internal(purpose, text, dict(detail or {})))


def names_fragment(*, statement: bytes = b"", portal: bytes = b"") -> bytes:
    """The client's names of prepared statement and portal; keep it with the portal."""
    parts = b""
    if statement:
        parts += b'"statement_name":%b,' % quoted(statement)[0].encode("ascii")
    if portal:
        parts += b'"portal":%b,' % quoted(portal)[0].encode("ascii")
    return parts


def _tag(value: str | bytes) -> bytes:
    return quoted(value)[0].encode("ascii")


_TAGS: Final[Mapping[str | bytes, bytes]] = {
    tag.encode(): _tag(tag)
    for tag in (
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SET",
        "RESET",
        "SHOW",
        "DISCARD ALL",
        *(f"SELECT {n}" for n in range(101)),
        *(f"{verb} 1" for verb in ("INSERT 0", "UPDATE", "DELETE")),
    )
}
"""Common command tags, ready: `outcome` is on the path of every statement."""


def _inside(details: Struct) -> bytes:
    """The details as a fragment; strings that JSON can't hold are spelled out."""
    try:
        return json_ascii(details)[1:-1]
    except UnicodeEncodeError:
        return json_ascii(_spelled(msgspec.structs.asdict(details)))[1:-1]


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return value if _is_unicode(value) else spelled_out(value)
    if isinstance(value, dict):
        return {str(_spelled(k)): _spelled(v) for k, v in value.items()}
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
