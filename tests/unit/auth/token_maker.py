"""Keys and tokens for tests: right ones, and wrong ones in every way we could think of.

Signed with PyJWT where it would, by hand where it refuses to.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "pgwarden.example"


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass(frozen=True)
class Key:
    """A private key and how its issuer publishes the public half."""

    private: Any
    algorithm: str
    kid: str | None

    def jwk(self, **more: object) -> dict[str, Any]:
        public = self.private.public_key()
        kinds = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": ECAlgorithm}
        reader = OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]
        found = dict(reader.to_jwk(public, as_dict=True))  # type: ignore[attr-defined]
        found.pop("key_ops", None)
        if self.kid is not None:
            found["kid"] = self.kid
        return found | more

    def sign(self, claims: dict[str, Any], **header: Any) -> bytes:
        algorithm = header.pop("algorithm", self.algorithm)
        headers = ({"kid": self.kid} if self.kid is not None else {}) | header
        return jwt.encode(
            claims, self.private, algorithm=algorithm, headers=headers
        ).encode()

    def sign_raw(self, header: bytes, payload: bytes) -> bytes:
        """Whatever the two parts hold, signed properly with RS256."""
        signed = b64(header) + b"." + b64(payload)
        algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
        return signed + b"." + b64(algorithm.sign(signed, self.private))


def rsa_key(kid: str | None = "r1", bits: int = 2048, algorithm: str = "RS256") -> Key:
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return Key(private, algorithm, kid)


def ec_key(kid: str | None = "e1", algorithm: str = "ES256") -> Key:
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(),
        "ES384": ec.SECP384R1(),
        "ES512": ec.SECP521R1(),
    }
    return Key(ec.generate_private_key(curves[algorithm]), algorithm, kid)


def ed_key(kid: str | None = "d1") -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)


def key_set(*keys: Key | dict[str, Any]) -> bytes:
    listed = [key.jwk() if isinstance(key, Key) else key for key in keys]
    return json.dumps({"keys": listed}).encode()


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> bytes:
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    return b64(header) + b"." + b64(json.dumps(claims).encode()) + b"."


def hmac_with(secret: bytes, claims: dict[str, Any], kid: str) -> bytes:
    """The old attack: the public key, which anyone has, taken for a shared secret."""
    import hashlib  # noqa: PLC0415 - of this forgery alone
    import hmac  # noqa: PLC0415

    header = json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode()
    signed = b64(header) + b"." + b64(json.dumps(claims).encode())
    return signed + b"." + b64(hmac.digest(secret, signed, hashlib.sha256))
