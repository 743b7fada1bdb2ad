"""OAUTHBEARER, the server's side: messages in and out, as Postgres 18 speaks them.

A client that has no token yet sends an empty one, and is told where tokens come from;
libpq then ends this connection and comes again. Pure. Next: `proxy.session.by_token`.
https://www.rfc-editor.org/rfc/rfc7628#section-3, RFC 6750 section 2.1,
https://www.postgresql.org/docs/18/sasl-authentication.html and libpq/auth-oauth.c.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from proxy.errors import FEATURE_NOT_SUPPORTED, FrontendError

if TYPE_CHECKING:
    from collections.abc import Sequence

MECHANISM: Final = "OAUTHBEARER"
KEY_SEPARATOR: Final = b"\x01"
ACKNOWLEDGED: Final = b"\x01"
"""What a client answers once it was told that it has failed (RFC 7628 3.2.3)."""
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""b64token of RFC 6750; a JWT is one."""
_SCHEME: Final = b"bearer"


def read_initial(message: bytes) -> bytes:
    """The token of a client's first message; b"" if it asks where to get one.

    Raises:
        FrontendError: the message breaks the protocol; it is never repeated.
    """
    flag, comma, rest = message.partition(b",")
    if flag[:1] == b"p":
        raise _malformed("OAUTHBEARER has no channel binding")
    if flag not in {b"n", b"y"} or not comma:
        raise _malformed("unexpected channel-binding flag")
    identity, comma, rest = rest.partition(b",")
    if identity[:2] == b"a=" and comma:
        raise FrontendError(
            "client uses authorization identity, but it is not supported",
            sqlstate=FEATURE_NOT_SUPPORTED,
        )
    if identity or not comma:
        raise _malformed("unexpected attribute in client-first-message")
    if rest[:1] != KEY_SEPARATOR or rest[-2:] != KEY_SEPARATOR * 2 or len(rest) < 3:
        raise _malformed("key/value pairs expected")
    return _token_of(_auth_value(rest[1:-2].split(KEY_SEPARATOR)))


def _auth_value(pairs: Sequence[bytes]) -> bytes:
    found: bytes | None = None
    for pair in pairs:
        key, equals, value = pair.partition(b"=")
        if not key.isalpha() or not equals:
            raise _malformed("a key/value pair expected")
        if key == b"auth":
            if found is not None:
                raise _malformed("more than one auth value")
            found = value
    if found is None:
        raise _malformed("an auth value expected")
    return found


def _token_of(value: bytes) -> bytes:
    if not value:
        return b""
    scheme, space, token = value.partition(b" ")
    token = token.lstrip(b" ")
    if scheme.lower() != _SCHEME or not space or _TOKEN.fullmatch(token) is None:
        raise _malformed("the auth value is no bearer token")
    return token


def failure(discovery_url: str, scope: str) -> bytes:
    """The answer to a token that is not taken, or to none: where to get one."""
    return json.dumps(
        {
            "status": "invalid_token",
            "openid-configuration": discovery_url,
            "scope": scope,
        }
    ).encode()


def _malformed(detail: str) -> FrontendError:
    return FrontendError("malformed OAUTHBEARER message", detail=detail)
