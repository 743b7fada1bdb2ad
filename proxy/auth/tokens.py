"""Tokens as proof: verify a JWT of one issuer, and ask whether it is an identity's.

Pure: the token's bytes, the issuer's keys and the time come in with the call. Nothing
of a token is in any error but what its issuer signed and a log may hold (issuer,
subject, id, expiry). Signatures are PyJWT's; what the claims mean is checked here, as
PyJWT would ask the clock. Next: `proxy.server.issuers`, which has the keys.
https://www.rfc-editor.org/rfc/rfc7519, RFC 8725 (best practices), RFC 9068.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from jwt import PyJWS
from jwt.exceptions import PyJWTError

from proxy.auth.claims import PUBLIC_ISSUERS, TokenEntry, unmet
from proxy.auth.keys import ALGORITHMS, MAX_KEY_ID
from proxy.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.auth.claims import Patterns
    from proxy.auth.keys import KeySet

MAX_TOKEN: Final = 16 * 1024
"""Bytes. GitHub's have 1.5 kB, one with 200 groups 12 kB; what is longer is not even
split."""
MAX_HEADER: Final = 4 * 1024
"""Bytes of the header, which is read before anything is proven. Certificates in it
(x5c) make up for most; we read none of them."""
MAX_TIME: Final = 2**53
"""Seconds: the largest whole number that JSON can be trusted with."""
MAX_TEXT: Final = 255
"""Characters of subject and id (OpenID Connect Core section 2 for `sub`)."""
DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
_TYPES: Final = {"", "jwt", "at+jwt", "application/at+jwt"}
"""What `typ` may be: an issuer signs other things with the same keys (logout tokens,
security events), and none of them is a log-in (RFC 8725 section 3.11)."""
_FORM: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Fault(StrEnum):
    """Why a token was not taken: a closed set, fit for a metric's label."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    TYPE = "type"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    LIFETIME = "lifetime"
    BOUND = "bound"
    CLAIMS = "claims"
    NO_KEYS = "no_keys"


class TokenError(LoginError):
    """A token that proves nothing; `note` is for the operator and holds none of it."""

    def __init__(self, fault: Fault, note: str, *, hint: str = "") -> None:
        super().__init__("the token is not accepted", operator_note=note, hint=hint)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whose tokens are taken, and what all of them must say.

    Attributes:
        name: its name in the settings.
        url: its `iss`, letter by letter.
        audiences: of which the token must be meant for one.
        algorithms: from `ALGORITHMS`.
        identity_claim: the claim that must be the identity's name; "" for none.
        claims: what every token must say, whoever logs in.
        leeway_s: by how much its clock and ours may differ.
        max_lifetime_s: how far off a token's expiry may be.
    """

    name: str
    url: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    identity_claim: str = ""
    claims: Mapping[str, Patterns] = field(default_factory=dict)
    leeway_s: float = 30.0
    max_lifetime_s: float = 43_200.0


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token has proven.

    Attributes:
        issuer: name of the issuer in the settings.
        subject: `sub`.
        token_id: `jti`, or where there is none "sha256:" and a hash of what was signed.
        expires: seconds since the epoch.
        claims: everything that was signed.
    """

    issuer: str
    subject: str
    token_id: str
    expires: int
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    key_id: str | None


def verify(token: bytes, issuer: Issuer, keys: KeySet, *, now: float) -> Verified:
    """Check signature and claims, but not yet whose token it is (`prove`).

    Args:
        token: as the client sent it.
        issuer: the only one whose tokens are taken here.
        keys: the issuer's.
        now: seconds since the epoch.

    Raises:
        TokenError: it proves nothing. With `Fault.UNKNOWN_KEY` newer keys may help.
    """
    header = _header(token)
    if header.algorithm not in issuer.algorithms or header.algorithm not in ALGORITHMS:
        raise TokenError(
            Fault.ALGORITHM, "it is signed with an algorithm that is not allowed"
        )
    payload = _payload(token, header, keys)
    claims = _json(payload, "its claims")
    if claims.get("iss") != issuer.url:
        raise TokenError(Fault.ISSUER, "it is from another issuer")
    _check_audience(claims, issuer)
    expires = _check_times(claims, issuer, now)
    if "cnf" in claims:
        # RFC 7800: useless without the key it is bound to, which nobody showed us.
        raise TokenError(Fault.BOUND, "it is bound to a key of its holder")
    wrong = unmet(issuer.claims, claims)
    if wrong is not None:
        raise TokenError(
            Fault.CLAIMS, f'its claim "{wrong}" is not as the issuer\'s settings want'
        )
    subject = _text(claims, "sub")
    token_id = _text(claims, "jti") if "jti" in claims else _hash(token)
    return Verified(issuer.name, subject, token_id, expires, claims)


def prove(
    name: str, entry: TokenEntry | None, verified: Verified, issuer: Issuer
) -> None:
    """Insist that a verified token is this identity's.

    Args:
        name: the identity's name.
        entry: what the identities document says of its tokens.
        verified: from `verify`.
        issuer: the one that it was verified with.

    Raises:
        TokenError: it is somebody else's.
    """
    fits = entry is not None and entry.issuer == verified.issuer == issuer.name
    # As much is done for a name that takes no token: time must not tell names apart.
    compared = entry if fits and entry is not None else _STAND_IN
    wrong = _why_not(name, compared, verified.claims, issuer)
    if not fits:
        raise TokenError(Fault.CLAIMS, "the identity takes no token of this issuer")
    if wrong:
        raise TokenError(Fault.CLAIMS, wrong)


_STAND_IN: Final = TokenEntry(issuer="none", claims={"sub": ("nobody",)})
"""Is compared in the place of the entry of an identity that has none; never enough."""


def _why_not(
    name: str, entry: TokenEntry, claims: Mapping[str, Any], issuer: Issuer
) -> str:
    """Why claims are not those of an entry, "" if they are."""
    if problem := too_wide(entry, issuer):
        return problem
    if (claim := issuer.identity_claim) and claims.get(claim) != name:
        return f'its claim "{claim}" is another name'
    if claim == "email" and claims.get("email_verified") is not True:
        # Whoever may type an address at the issuer could be anyone.
        return "the issuer has not verified its e-mail address"
    wrong = unmet(entry.claims, claims)
    return "" if wrong is None else f'its claim "{wrong}" is not as the identity wants'


def too_wide(entry: TokenEntry, issuer: Issuer) -> str:
    """Why an identity's tokens are not narrowed down enough, "" if they are."""
    if issuer.identity_claim:
        return ""
    if not entry.claims:
        return (
            f'needs "claims", as issuer "{issuer.name}" has no "identity_claim": any '
            "of its tokens would do"
        )
    wanted = PUBLIC_ISSUERS.get(issuer.url.rstrip("/"))
    if wanted is not None and not (entry.claims.keys() | issuer.claims) & set(wanted):
        return (
            f"needs one of the claims {', '.join(wanted)}: everybody may have an "
            f'account at "{issuer.url}"'
        )
    return ""


def unverified_claims(token: str) -> Mapping[str, Any]:
    """What a token says, believed by nobody: for the person who holds it.

    Raises:
        TokenError: it is no JWT.
    """
    raw = token.encode(errors="replace")
    _header(raw)
    return _json(_decoded(raw.split(b".")[1]), "its claims")


def _header(token: bytes) -> _Header:
    if len(token) > MAX_TOKEN:
        raise TokenError(Fault.TOO_LONG, f"it is longer than {MAX_TOKEN} bytes")
    if _FORM.fullmatch(token) is None:
        raise TokenError(Fault.MALFORMED, "it is no signed JWT")
    raw = token[: token.index(b".")]
    if len(raw) > MAX_HEADER:
        raise TokenError(
            Fault.TOO_LONG, f"its header is longer than {MAX_HEADER} bytes"
        )
    header = _json(_decoded(raw), "its header")
    algorithm, key_id = header.get("alg"), header.get("kid")
    kind = header.get("typ", "")
    if "crit" in header or "b64" in header:
        # RFC 7515 section 4.1.11: what we do not understand must be refused.
        raise TokenError(Fault.MALFORMED, "its header wants something special")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError(Fault.TYPE, "its type is none of a log-in")
    if not isinstance(algorithm, str):
        raise TokenError(Fault.ALGORITHM, "its header names no algorithm")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID):
        raise TokenError(Fault.MALFORMED, "its header names no proper key")
    return _Header(algorithm, key_id)


def _payload(token: bytes, header: _Header, keys: KeySet) -> bytes:
    candidates = keys.candidates(header.key_id, header.algorithm)
    if not candidates:
        raise TokenError(Fault.UNKNOWN_KEY, "it is signed with an unknown key")
    verifier = PyJWS(algorithms=[header.algorithm])
    for candidate in candidates:
        try:
            found = verifier.decode_complete(
                token, candidate.key, algorithms=[header.algorithm]
            )
        except (PyJWTError, ValueError, TypeError, RecursionError):
            continue
        payload = found["payload"]
        if isinstance(payload, bytes):
            return payload
    raise TokenError(Fault.SIGNATURE, "its signature is wrong")


def _check_audience(claims: Mapping[str, Any], issuer: Issuer) -> None:
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in issuer.audiences for one in listed):
        raise TokenError(Fault.AUDIENCE, "it is meant for another audience")


def _check_times(claims: Mapping[str, Any], issuer: Issuer, now: float) -> int:
    expires = _time(claims, "exp")
    if now >= expires + issuer.leeway_s:
        raise TokenError(
            Fault.EXPIRED,
            f"it expired {int(now - expires)} s ago",
            hint="The token has expired: get a new one, with pgwarden login or from "
            "the issuer.",
        )
    if expires - now > issuer.max_lifetime_s + issuer.leeway_s:
        raise TokenError(
            Fault.LIFETIME,
            f"it is good for more than {issuer.max_lifetime_s:g} s",
        )
    for name in ("nbf", "iat"):
        if name in claims and _time(claims, name) > now + issuer.leeway_s:
            raise TokenError(Fault.NOT_YET, f'by "{name}" it is not valid yet')
    return int(expires)


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(Fault.MALFORMED, f'its claim "{name}" is no time')
    if not 0 <= value <= MAX_TIME:
        # NaN is caught too: it compares with nothing.
        raise TokenError(Fault.MALFORMED, f'its claim "{name}" is no time')
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise TokenError(Fault.MALFORMED, f'its claim "{name}" is no proper text')
    return value


def _hash(token: bytes) -> str:
    """An id for a token without one; the signature has no part in it."""
    signed = token[: token.rindex(b".")]
    return "sha256:" + hashlib.sha256(signed).hexdigest()[:32]


def _decoded(part: bytes) -> bytes:
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError(Fault.MALFORMED, "it is no signed JWT") from None


def _json(data: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenError(Fault.MALFORMED, f"{what} are no JSON") from None
    if not isinstance(found, dict):
        raise TokenError(Fault.MALFORMED, f"{what} are no JSON object")
    return found
