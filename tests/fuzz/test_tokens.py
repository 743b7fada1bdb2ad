"""Whatever is sent as a token: nothing crashes, and nothing but a real one is taken.

Garbage, pieces of real tokens put together, real ones with a byte changed; and key sets
of any JSON. `make test-deep` tries thousands.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from proxy.auth.keys import parse_key_set
from proxy.auth.tokens import Issuer, TokenError, unverified_claims, verify
from proxy.errors import UnavailableError
from tests.unit.auth.token_maker import (
    AUDIENCE,
    ISSUER,
    b64,
    ec_key,
    ed_key,
    key_set,
    rsa_key,
)

NOW = 1_800_000_000.0
RSA, EC, ED, STRANGER = rsa_key(), ec_key(), ed_key(), rsa_key()
KEYS = parse_key_set(key_set(RSA, EC, ED))
TRUST = Issuer(name="i", url=ISSUER, audiences=(AUDIENCE,))
GOOD = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "exp": int(NOW) + 60}
REAL = [key.sign(GOOD) for key in (RSA, EC, ED)]
SIGNED = {token.rpartition(b".")[0] for token in REAL}
PIECES = [
    piece
    for token in (*REAL, STRANGER.sign(GOOD), RSA.sign(GOOD | {"exp": 1}))
    for piece in token.split(b".")
]

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_taken(token: bytes) -> bool:
    try:
        verify(token, TRUST, KEYS, now=NOW)
    except TokenError:
        return False
    return True


def test_the_real_ones_are_taken() -> None:
    assert all(map(is_taken, REAL))


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_garbage_is_never_taken(garbage: bytes) -> None:
    assert not is_taken(garbage)
    try:
        unverified_claims(garbage.decode(errors="replace"))
    except TokenError:
        pass


@given(st.lists(st.sampled_from([*PIECES, b"", b"e30", b"AAAA"]), max_size=4))
def test_pieces_of_real_ones_make_no_other(pieces: list[bytes]) -> None:
    token = b".".join(pieces)
    assert is_taken(token) == (token in REAL)


@given(st.sampled_from(REAL), st.data())
def test_a_changed_byte_spoils_what_was_signed(
    token: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + bytes([data.draw(st.integers(0, 255))]) + token[at + 1 :]
    # The last letter of a signature has bits that are not part of it.
    assert not is_taken(changed) or changed.rpartition(b".")[0] in SIGNED


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]),
        _JSON | st.sampled_from(["RS256", "none", "HS256", "r1", "JWT"]),
    ),
    st.binary(max_size=300),
)
def test_any_header_with_any_signature(header: dict[str, Any], rest: bytes) -> None:
    payload = b64(json.dumps(GOOD).encode())
    head = b64(json.dumps(header).encode())
    assert not is_taken(b".".join((head, payload, b64(rest))))


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "cnf"]),
        _JSON | st.sampled_from([ISSUER, AUDIENCE, int(NOW) + 60, 1]),
    )
)
def test_any_claims_that_the_issuer_may_sign(claims: dict[str, Any]) -> None:
    header = json.dumps({"alg": "RS256", "kid": "r1"}).encode()
    token = RSA.sign_raw(header, json.dumps(claims).encode())
    if is_taken(token):
        assert claims["iss"] == ISSUER
        assert AUDIENCE in claims["aud"]
        assert claims["exp"] > NOW - TRUST.leeway_s
        assert isinstance(claims["sub"], str)
        assert "cnf" not in claims


@given(_JSON | st.fixed_dictionaries({"keys": st.lists(_JSON, max_size=4)}))
def test_any_key_set_that_an_issuer_may_publish(document: object) -> None:
    try:
        parse_key_set(json.dumps(document).encode())
    except UnavailableError:
        pass


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use"]),
        _JSON
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig"]),
    )
)
def test_any_key_that_an_issuer_may_publish(jwk: dict[str, Any]) -> None:
    try:
        parse_key_set(json.dumps({"keys": [jwk]}).encode())
    except UnavailableError:
        pass
