"""An issuer's public keys: a JWK set read strictly, and the key that a token names.

Only what can verify is kept: an RSA, EC or Ed25519 key that is not meant for something
else. A symmetric key is never taken, and of a private one, which an issuer should not
have published, only the public half. Imports PyJWT, msgspec and `proxy.errors`.
Next: `proxy.auth.tokens`.
https://www.rfc-editor.org/rfc/rfc7517 and RFC 7518 section 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from proxy.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MAX_KEYS: Final = 64
"""Keys of one set. Real issuers publish two to ten."""
MAX_KEY_ID: Final = 256
"""Characters of a `kid`. Real ones have 8 to 64."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3: smaller keys must not be used."""
MAX_RSA_BITS: Final = 8192
"""A verification with more costs the loop milliseconds."""
ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
"""What can be allowed, and the kind of key that each takes. All are asymmetric: neither
`none` nor an HMAC (for which our copy of the public key would be the secret) is here,
so no setting and no token can bring one in."""
_PUBLIC_PARTS: Final = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of an issuer.

    Attributes:
        key_id: its `kid`, "" where it has none.
        kind: "RSA" or the name of its curve.
        algorithm: the only one it may be used with, "" if its set does not say.
        key: the key itself.
    """

    key_id: str
    kind: str
    algorithm: str
    key: PublicKey = field(repr=False)

    def serves(self, algorithm: str) -> bool:
        """Whether a token signed so could have been signed by this key."""
        if self.algorithm and self.algorithm != algorithm:
            return False
        return ALGORITHMS.get(algorithm) == self.kind


class KeySet:
    """The keys that an issuer signs with at present. Immutable."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[SigningKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def candidates(self, key_id: str | None, algorithm: str) -> list[SigningKey]:
        """The keys that may have signed a token with this header.

        A token that names no key is taken only where one key comes into question: to
        try them all would make each key of the issuer good for every token.
        """
        fit = [key for key in self._keys if key.serves(algorithm)]
        if key_id is None:
            return fit if len(fit) == 1 else []
        return [key for key in fit if key.key_id == key_id]


def parse_key_set(data: bytes) -> KeySet:
    """Read a JWK set; members that are of no use to us are left out.

    Raises:
        UnavailableError: it is no JWK set, or nothing in it can be used.
    """
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnavailableError("the key set is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnavailableError('the key set has no list "keys"')
    if len(listed) > MAX_KEYS:
        raise UnavailableError(f"the key set has more than {MAX_KEYS} keys")
    keys = [key for each in listed if (key := _signing_key(each)) is not None]
    if not keys:
        raise UnavailableError("the key set holds no key that pgwarden can use")
    return KeySet(keys)


def _signing_key(jwk: object) -> SigningKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    operations = jwk.get("key_ops")
    if operations is not None and (
        not isinstance(operations, list) or "verify" not in operations
    ):
        return None
    key_id, algorithm = jwk.get("kid", ""), jwk.get("alg", "")
    if not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID:
        return None
    if not isinstance(algorithm, str):
        return None
    key = _public_key({name: jwk[name] for name in _PUBLIC_PARTS if name in jwk})
    if key is None:
        return None
    return SigningKey(key_id, _kind(key), algorithm, key)


def _public_key(parts: Mapping[str, Any]) -> PublicKey | None:
    if not all(isinstance(part, str) for part in parts.values()):
        return None
    try:
        key = _read(dict(parts))
    except (PyJWTError, ValueError, TypeError, KeyError, ArithmeticError):
        return None
    if isinstance(key, RSAPublicKey):
        return key if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else None
    return key if isinstance(key, (EllipticCurvePublicKey, Ed25519PublicKey)) else None


def _read(parts: dict[str, Any]) -> object:
    match parts.get("kty"):
        case "RSA":
            return RSAAlgorithm.from_jwk(parts)
        case "EC":
            return ECAlgorithm.from_jwk(parts)
        case "OKP":
            return OKPAlgorithm.from_jwk(parts)
        case _:
            return None


def _kind(key: PublicKey) -> str:
    match key:
        case RSAPublicKey():
            return "RSA"
        case EllipticCurvePublicKey():
            return f"P-{key.curve.key_size}"
        case _:
            return "Ed25519"
