"""SCRAM-SHA-256 as a pure exchange: messages in, messages out. The server's side.

`ServerExchange` proves a client. Nonces are passed in. Imports hashlib, hmac, `secrets`
of this package and `proxy.errors`. Next: `proxy.auth.scram_client`, the other side;
`proxy.session.login`.
https://www.rfc-editor.org/rfc/rfc5802#section-7 and libpq/auth-scram.c.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from proxy.auth import secrets
from proxy.auth.channel_binding import TLS_SERVER_END_POINT
from proxy.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    BackendError,
    FrontendError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.errors import PgwardenError

NONCE_BYTES: Final = 18
"""SCRAM_RAW_NONCE_LEN: the random bytes behind a nonce (24 characters in base64)."""
MAX_MESSAGE: Final = 1024
"""Longest message of either side (PG_MAX_SASL_MESSAGE_LENGTH). A real one has under 250
bytes; PgBouncer's CVE-2026-6665 was an over-long nonce."""
MAX_NONCE: Final = 256
"""Longest nonce of one side. Known drivers send 18 to 48 characters."""


def encode_nonce(random: bytes) -> bytes:
    """Printable nonce out of random bytes."""
    return base64.b64encode(random)


def _is_printable(nonce: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E and byte != 0x2C for byte in nonce)


def _shown(word: bytes) -> str:
    """As sanitize_str() of auth-scram.c: printable ASCII, 30 characters."""
    return "".join(chr(b) if 0x21 <= b <= 0x7E else "?" for b in word[:30])


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    mixed = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return mixed.to_bytes(size, "big")


class _Attributes:
    """Reads `a=value` pieces of one message in order."""

    __slots__ = ("_error", "_pieces")

    def __init__(self, message: bytes, error: type[PgwardenError]) -> None:
        self._error = error
        if len(message) > MAX_MESSAGE or b"\0" in message:
            raise self.malformed("too long or with a NUL")
        self._pieces = message.split(b",")[::-1]

    def malformed(self, detail: str) -> PgwardenError:
        if issubclass(self._error, BackendError):
            return self._error(
                "the database broke the protocol",
                operator_note=f"malformed SCRAM message from the upstream: {detail}",
            )
        return self._error("malformed SCRAM message", detail=detail)

    def peek(self) -> bytes:
        return self._pieces[-1][:1] if self._pieces else b""

    def take(self, name: bytes) -> bytes:
        piece = self._pieces.pop() if self._pieces else b""
        if piece[:2] != name + b"=":
            raise self.malformed(f'attribute "{name.decode()}" expected')
        return piece[2:]

    def extensions(self, until: bytes = b"") -> None:
        """Step over optional extensions, which may be ignored (RFC 5802 5.1)."""
        while self._pieces and (not until or self.peek() != until):
            piece = self._pieces.pop()
            if not piece[:1].isalpha() or piece[1:2] != b"=":
                raise self.malformed("an attribute expected")

    def end(self) -> None:
        if self._pieces:
            raise self.malformed("something comes after the last attribute")


class ServerExchange:
    """Proves one client. Order: `first`, then `final`.

    With several secrets (rotation) any of their passwords is right; they must share
    salt and iterations, as only one salt can be shown.
    """

    __slots__ = (
        "_auth_message",
        "_bound_to",
        "_doomed",
        "_end_point",
        "_first_bare",
        "_nonce",
        "_secrets",
        "_server_first",
        "_server_nonce",
        "matched",
    )

    def __init__(
        self,
        known: Sequence[secrets.ScramSecret],
        nonce: bytes,
        *,
        doomed: bool = False,
        end_point: bytes | None = None,
    ) -> None:
        """Set up one exchange.

        Args:
            known: secrets to try, at least one; a mock one for an unknown name.
            nonce: our part of the nonce (`encode_nonce` of 18 fresh random bytes).
            doomed: fail at the end whatever the proof, in the same time.
            end_point: `end_point_hash` of the certificate that the client was shown.
                With one, SCRAM-SHA-256-PLUS was offered, so a client that says it was
                not ("y") is behind a downgrade.
        """
        shown = (known[0].salt, known[0].iterations)
        self._secrets = [s for s in known if (s.salt, s.iterations) == shown]
        self._server_nonce = nonce
        self._doomed = doomed
        self._end_point = end_point
        self._bound_to = b""
        self._first_bare = b""
        self._server_first = b""
        self._nonce = b""
        self.matched: int | None = None
        """Which of the secrets the client proved, once it did."""

    def first(self, message: bytes, *, is_bound: bool = False) -> bytes:
        """Take the client-first-message, give the server-first-message.

        Args:
            message: as received.
            is_bound: the client chose SCRAM-SHA-256-PLUS, which must have been offered.

        Raises:
            FrontendError: 08P01, 28000 or 0A000, with the words of Postgres.
        """
        attributes = _Attributes(message, FrontendError)
        flag, _, tail = message.partition(b",")
        authzid, comma, bare = tail.partition(b",")
        if is_bound:
            self._check_end_point(flag, attributes)
        else:
            self._check_unbound(flag, attributes)
        if authzid:
            raise FrontendError(
                "client uses authorization identity, but it is not supported",
                sqlstate=FEATURE_NOT_SUPPORTED,
            )
        if not comma:
            raise attributes.malformed("a comma is missing")
        if bare[:1] == b"m":
            raise FrontendError(
                "client requires an unsupported SCRAM extension",
                sqlstate=FEATURE_NOT_SUPPORTED,
            )
        attributes = _Attributes(bare, FrontendError)
        attributes.take(b"n")  # the name in the startup packet counts, as in Postgres
        client_nonce = attributes.take(b"r")
        attributes.extensions()
        if not client_nonce or len(client_nonce) > MAX_NONCE:
            raise attributes.malformed("nonce empty or too long")
        if not _is_printable(client_nonce):
            raise FrontendError("non-printable characters in SCRAM nonce")
        self._bound_to = flag + b",,"
        if is_bound and self._end_point is not None:
            self._bound_to += self._end_point
        self._first_bare = bare
        self._nonce = client_nonce + self._server_nonce
        shown = self._secrets[0]
        salt = base64.b64encode(shown.salt)
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, shown.iterations)
        return self._server_first

    def _check_end_point(self, flag: bytes, attributes: _Attributes) -> None:
        if self._end_point is None:
            raise attributes.malformed("channel binding was not offered")
        if flag[:2] != b"p=":
            raise attributes.malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does "
                "not include channel binding data."
            )
        if flag[2:] != TLS_SERVER_END_POINT.encode():
            raise FrontendError(
                f'unsupported SCRAM channel-binding type "{_shown(flag[2:])}"'
            )

    def _check_unbound(self, flag: bytes, attributes: _Attributes) -> None:
        if flag == b"n":
            return
        if flag == b"y":
            if self._end_point is not None:
                raise FrontendError(
                    "SCRAM channel binding negotiation error",
                    detail="The client supports SCRAM channel binding but thinks the "
                    "server does not.  However, this server does support channel "
                    "binding.",
                    sqlstate=INVALID_AUTHORIZATION,
                )
            return
        if flag[:1] == b"p":
            raise attributes.malformed(
                "The client selected SCRAM-SHA-256 without channel binding, but the "
                "SCRAM message includes channel binding data."
            )
        raise attributes.malformed("unexpected channel-binding flag")

    def final(self, message: bytes) -> bytes | None:
        """Take the client-final-message; give the server-final one, or None if wrong.

        The same work is done for a wrong password and for a doomed exchange.

        Raises:
            FrontendError: the message breaks the protocol.
        """
        attributes = _Attributes(message, FrontendError)
        binding = attributes.take(b"c")
        nonce = attributes.take(b"r")
        attributes.extensions(until=b"p")
        proof = secrets.decode_base64(attributes.take(b"p"))
        attributes.end()
        if not hmac.compare_digest(binding, base64.b64encode(self._bound_to)):
            if self._bound_to[:1] == b"p":
                # The client was shown another certificate than ours: there is somebody
                # in the middle.
                raise FrontendError(
                    "SCRAM channel binding check failed", sqlstate=INVALID_AUTHORIZATION
                )
            raise FrontendError(
                "unexpected SCRAM channel-binding attribute in client-final-message"
            )
        if not hmac.compare_digest(nonce, self._nonce):
            raise FrontendError(
                "invalid SCRAM response", detail="Nonce does not match."
            )
        if proof is None or len(proof) != secrets.KEY_LENGTH:
            raise attributes.malformed("malformed proof in client-final-message")
        without_proof = message[: message.rindex(b",p=")]
        signed = b",".join((self._first_bare, self._server_first, without_proof))
        answer: bytes | None = None
        for index, secret in enumerate(self._secrets):
            signature = hmac.digest(secret.stored_key, signed, "sha256")
            digest = hashlib.sha256(_xor(proof, signature)).digest()
            verifier = hmac.digest(secret.server_key, signed, "sha256")
            if hmac.compare_digest(digest, secret.stored_key) and not self._doomed:
                self.matched = index
                answer = b"v=" + base64.b64encode(verifier)
        return answer
