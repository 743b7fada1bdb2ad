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

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from proxy.audit.ascii import quoted
from proxy.audit.details import Internal, inside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.audit.details import SessionEnd, SessionStart

Message = Literal["query", "parse", "bind", "execute", "function_call"]
"""The protocol message that carried a statement."""

Status = Literal["ok", "error", "skipped", "unknown"]
"""How a forwarded statement ended; `skipped` by Postgres after an error before it,
`unknown` where pgwarden could not see it."""

_MESSAGES: Final[dict[str, bytes]] = {
    message: b'","message":"%b",' % message.encode()
    for message in ("query", "parse", "bind", "execute", "function_call")
}
_STATUSES: Final[dict[str, bytes]] = {
    status: b'","status":"%b","duration_s":' % status.encode()
    for status in ("ok", "error", "skipped", "unknown")
}


class SessionRecords:
    """Makes the fragments of one session; what every record names is encoded once.

    Not thread-safe, holds no more than a few hundred bytes. `serial` numbers the
    statements of the session; "<session>-<serial>" is the audit id in a refusal.
    """

    __slots__ = ("_internal", "_outcome", "_statement", "_who", "session_id")

    def __init__(  # noqa: PLR0913 - what every record carries
        self,
        session_id: str,
        *,
        identity: str | bytes,
        role: str,
        database: str | bytes,
        application_name: str | bytes,
        client_address: str,
        grant: str = "",
    ) -> None:
        """Encode the fields that every record carries.

        Args:
            session_id: unique over all workers and restarts; letters, digits, "_", ".".
            identity: who logged in, or for a refused login who the client claims to be.
            role: the policy role; "" where the login was refused.
            database: the database asked for.
            application_name: as the client sent it at login.
            client_address: the client's IP address, without the port.
            grant: id of the grant that lends the role; "" where it is the identity's
                own, and then no record has the key.
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
        if grant:
            fields["grant"] = grant
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
        tag: bytes = b"",
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
        micros = int(duration_s * 1e6 + 0.5)
        # One digit too many keeps the zeros in front of the others.
        fraction = b"%d" % (1_000_000 + micros % 1_000_000)
        line = b"%b%d%b%d.%b%b" % (
            self._outcome,
            serial,
            _STATUSES[status],
            micros // 1_000_000,
            fraction[1:],
            (_TAGS.get(tag) or _tagged(tag)) if tag else b"",
        )
        if rows is not None:
            line = b'%b,"rows":%d' % (line, rows)
        if sqlstate:
            line = b'%b,"sqlstate":%b' % (line, _quoted(sqlstate))
        return line

    def start(self, details: SessionStart) -> bytes:
        """A session begins: the login has succeeded."""
        return b'"kind":"session.start",%b,%b' % (self._who, inside(details))

    def end(self, details: SessionEnd) -> bytes:
        """A session is over, or its login was refused."""
        return b'"kind":"session.end",%b,%b' % (self._who, inside(details))

    def internal(
        self, purpose: str, *, text: str = "", detail: Mapping[str, str] | None = None
    ) -> bytes:
        """Something pgwarden itself did: a statement of its own, a policy reload.

        Args:
            purpose: what for, from a small set ("policy.reload", "restore-point").
            text: SQL sent on pgwarden's behalf, "" where there is none.
            detail: further plain values.
        """
        return self._internal + inside(Internal(purpose, text, dict(detail or {})))


def names_fragment(*, statement: bytes = b"", portal: bytes = b"") -> bytes:
    """The client's names of prepared statement and portal; keep it with the portal."""
    parts = b""
    if statement:
        parts += b'"statement_name":%b,' % quoted(statement)[0].encode("ascii")
    if portal:
        parts += b'"portal":%b,' % quoted(portal)[0].encode("ascii")
    return parts


def _quoted(value: str | bytes) -> bytes:
    return quoted(value)[0].encode("ascii")


def _tagged(tag: bytes) -> bytes:
    return b',"tag":%b' % _quoted(tag)


_TAGS: Final[dict[bytes, bytes]] = {
    tag.encode(): _tagged(tag.encode())
    for tag in (
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SET",
        "RESET",
        "SHOW",
        "DISCARD ALL",
        *[f"SELECT {n}" for n in range(101)],
        *[f"{verb} 1" for verb in ("INSERT 0", "UPDATE", "DELETE")],
    )
}
"""Common command tags, ready: `outcome` is on the path of every statement."""
