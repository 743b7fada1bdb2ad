"""A SCRAM client for tests that says what it is told to: any flag, any binding.

Written from RFC 5802, apart from `proxy.auth.scram`; it derives its keys by hashlib.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

END_POINT = b"p=tls-server-end-point"


def sha256(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


@dataclass
class ScramSpeaker:
    """One exchange: `first`, then `final` with what the server said."""

    password: str = "right"
    flag: bytes = b"n"
    bound_to: bytes = b""
    """The hash of the certificate that this client was shown."""
    nonce: bytes = b"fyko+d2lbbFgONRv9qkxdawL"
    signature: bytes = field(default=b"", init=False)

    def first(self) -> bytes:
        return self.flag + b",," + self._bare

    @property
    def _bare(self) -> bytes:
        return b"n=,r=" + self.nonce

    def final(self, challenge: bytes) -> bytes:
        nonce, salt, iterations = (
            piece[2:] for piece in challenge.split(b",", maxsplit=2)
        )
        salted = hashlib.pbkdf2_hmac(
            "sha256",
            self.password.encode(),
            base64.b64decode(salt),
            int(iterations),
        )
        binding = base64.b64encode(self.flag + b",," + self.bound_to)
        without_proof = b"c=" + binding + b",r=" + nonce
        signed = b",".join((self._bare, challenge, without_proof))
        key = sha256(salted, b"Client Key")
        mask = sha256(hashlib.sha256(key).digest(), signed)
        proof = bytes(one ^ other for one, other in zip(key, mask, strict=True))
        self.signature = sha256(sha256(salted, b"Server Key"), signed)
        return without_proof + b",p=" + base64.b64encode(proof)
