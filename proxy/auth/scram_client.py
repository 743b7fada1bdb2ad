"""SCRAM-SHA-256, the client's side: proves us to an upstream and the upstream to us.

The nonce is passed in; the slow key derivation is a `KeyRequest` that the caller may
run where it likes and keep in a `SaltedPasswords`. Pure, as `proxy.auth.scram` is: that
one has what both sides share. Next: `proxy.session.upstream_scram`.
https://www.rfc-editor.org/rfc/rfc5802#section-7 and libpq/fe-auth-scram.c.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from proxy.auth import secrets
from proxy.auth.scram import MAX_NONCE, _Attributes, _is_printable, _xor
from proxy.errors import BackendError

MAX_CLIENT_ITERATIONS: Final = 100_000
"""Most an upstream may ask of us unless the settings say more: 24 times Postgres'
default and some 40 ms of CPU; without a ceiling a false server burns a core for
each connection (pgjdbc, CVE-2026-42198, whose ceiling is the same)."""
MIN_CLIENT_ITERATIONS: Final = 4096
"""Least an upstream may ask of us (RFC 7677): a false server that asks for one
iteration would make guessing the password from our proof 4096 times cheaper."""
MAX_KEPT_KEYS: Final = 256
"""Derived upstream keys kept; a handful of logins times a handful of clusters."""
_SIGNATURE_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The slow step of a client login; `derive()` may run in a thread."""

    password_id: str
    prepared: bytes = field(repr=False)
    salt: bytes
    iterations: int

    def derive(self) -> bytes:
        """The salted password."""
        return secrets.salted_password(self.prepared, self.salt, self.iterations)


class SaltedPasswords:
    """Derived keys by (password id, password, salt, iterations), the oldest go first.

    One for a process. Keys are kept as long as their login is in use: they are worth
    as much as the password, which is in memory anyway.
    """

    __slots__ = ("_kept", "_limit")

    def __init__(self, limit: int = MAX_KEPT_KEYS) -> None:
        self._kept: OrderedDict[KeyRequest, bytes] = OrderedDict()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, request: KeyRequest) -> bytes | None:
        """The key derived before, if any."""
        found = self._kept.get(request)
        if found is not None:
            self._kept.move_to_end(request)
        return found

    def put(self, request: KeyRequest, salted: bytes) -> None:
        """Keep a key. Only those an upstream confirmed: a false one could flood us."""
        self._kept[request] = salted
        self._kept.move_to_end(request)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)


class ClientExchange:
    """Logs in to an upstream. Order: `first`, `challenge`, `respond`, `verify`."""

    __slots__ = (
        "_bound",
        "_bounds",
        "_first_bare",
        "_nonce",
        "_password",
        "_password_id",
        "_server_first",
        "_server_nonce",
        "_signature",
    )

    def __init__(
        self,
        password: str,
        nonce: bytes,
        *,
        password_id: str = "",
        min_iterations: int = MIN_CLIENT_ITERATIONS,
        max_iterations: int = MAX_CLIENT_ITERATIONS,
    ) -> None:
        self._password = password
        self._password_id = password_id
        self._nonce = nonce
        self._bounds = (min_iterations, max_iterations)
        self._bound = b"n,,"
        self._first_bare = b"n=,r=" + nonce
        self._server_first = b""
        self._server_nonce = b""
        self._signature = b""

    def first(self, binding: bytes = b"", *, is_offered: bool = False) -> bytes:
        """The client-first-message.

        Args:
            binding: the `tls-server-end-point` of the channel; b"" where there is none,
                or where it is not to be used: the flag is "n" then.
            is_offered: the server offered SCRAM-SHA-256-PLUS, and that is the mechanism
                of this exchange. Otherwise the flag is "y", so that a server that
                did offer it learns that somebody took the offer away.
        """
        header = b"n,,"
        if binding:
            header = b"p=tls-server-end-point,," if is_offered else b"y,,"
        self._bound = header + binding if is_offered else header
        return header + self._first_bare

    def challenge(self, message: bytes) -> KeyRequest:
        """Take the server-first-message and say which key is needed.

        Raises:
            BackendError: malformed, a foreign nonce, or iterations out of bounds.
        """
        attributes = _Attributes(message, BackendError)
        nonce = attributes.take(b"r")
        salt = secrets.decode_base64(attributes.take(b"s"))
        digits = attributes.take(b"i")
        attributes.extensions()
        if not nonce.startswith(self._nonce) or len(nonce) <= len(self._nonce):
            raise attributes.malformed("the nonce is not ours with more behind it")
        if len(nonce) > MAX_NONCE + len(self._nonce) or not _is_printable(nonce):
            raise attributes.malformed("nonce too long or not printable")
        if not salt or len(salt) > secrets.MAX_SALT:
            raise attributes.malformed("salt empty, too long or not base64")
        if not digits.isdigit() or len(digits) > len(str(secrets.MAX_ITERATIONS)):
            raise attributes.malformed("iteration count is not a sane number")
        iterations = int(digits)
        least, most = self._bounds
        if not least <= iterations <= most:
            raise BackendError(
                "the database asked for something pgwarden does not do",
                operator_note=f"the upstream asks for {iterations} SCRAM iterations; "
                f"the settings allow {least} to {most}",
            )
        self._server_first = message
        self._server_nonce = nonce
        prepared = secrets.prepare_password(self._password)
        return KeyRequest(self._password_id, prepared, salt, iterations)

    def respond(self, salted: bytes) -> bytes:
        """The client-final-message, given the derived key."""
        key = secrets.client_key(salted)
        stored = hashlib.sha256(key).digest()
        bound = base64.b64encode(self._bound)
        without_proof = b"c=" + bound + b",r=" + self._server_nonce
        signed = b",".join((self._first_bare, self._server_first, without_proof))
        server = secrets.server_key(salted)
        self._signature = hmac.digest(server, signed, "sha256")
        proof = _xor(key, hmac.digest(stored, signed, "sha256"))
        return without_proof + b",p=" + base64.b64encode(proof)

    def verify(self, message: bytes) -> None:
        """Take the server-final-message; the upstream must know the secret too.

        Raises:
            BackendError: it does not, or it reports an error.
        """
        attributes = _Attributes(message, BackendError)
        if attributes.peek() == b"e":
            raise attributes.malformed("the upstream reports a SCRAM error")
        signature = secrets.decode_base64(attributes.take(b"v"))
        attributes.extensions()
        if signature is None or len(signature) != _SIGNATURE_LENGTH:
            raise attributes.malformed("signature is not 32 bytes of base64")
        if not hmac.compare_digest(signature, self._signature):
            raise BackendError(
                "the database could not prove who it is",
                operator_note="wrong SCRAM server signature: this is not the server "
                "that holds this login's secret",
            )
