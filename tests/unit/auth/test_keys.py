"""Key sets: what is of use is kept, what is not is left out, what is wrong refused."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from proxy.auth.keys import MAX_KEYS, parse_key_set
from proxy.errors import UnavailableError
from tests.unit.auth.token_maker import Key, ec_key, ed_key, key_set, rsa_key

RSA = rsa_key()


def test_each_kind_of_key_serves_its_own_algorithms() -> None:
    keys = parse_key_set(key_set(RSA, ec_key("e2"), ec_key("e3", "ES384"), ed_key()))
    assert len(keys) == 4
    served = {
        (key_id, algorithm)
        for key_id in ("r1", "e2", "e3", "d1")
        for algorithm in ("RS256", "PS512", "ES256", "ES384", "EdDSA", "HS256", "none")
        if keys.candidates(key_id, algorithm)
    }
    assert served == {
        ("r1", "RS256"),
        ("r1", "PS512"),
        ("e2", "ES256"),
        ("e3", "ES384"),
        ("d1", "EdDSA"),
    }


def test_a_key_that_names_its_algorithm_serves_no_other() -> None:
    keys = parse_key_set(key_set(RSA.jwk(alg="RS256")))
    assert keys.candidates("r1", "RS256")
    assert not keys.candidates("r1", "PS256")


def test_a_token_without_a_key_id_is_taken_only_where_there_is_one_key() -> None:
    one = parse_key_set(key_set(RSA, ec_key()))
    assert len(one.candidates(None, "RS256")) == 1
    two = parse_key_set(key_set(RSA, rsa_key("r2")))
    assert two.candidates(None, "RS256") == []


@pytest.mark.parametrize(
    "useless",
    [
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["sign"]),
        RSA.jwk(key_ops="verify"),
        RSA.jwk(kid=7),
        RSA.jwk(kid="k" * 257),
        RSA.jwk(alg=["RS256"]),
        RSA.jwk(n=7),
        RSA.jwk(n=""),
        RSA.jwk(n="AQAB"),
        RSA.jwk(n="§§"),
        RSA.jwk(kty="oct", k="c2VjcmV0"),
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "r1"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": ["RSA"]},
        {},
        [],
        "key",
        None,
    ],
)
def test_a_useless_key_is_left_out_and_the_others_stay(useless: object) -> None:
    other = ec_key().jwk()
    data = json.dumps({"keys": [useless, other]}).encode()
    keys = parse_key_set(data)
    assert len(keys) == 1
    assert keys.candidates("e1", "ES256")


@pytest.mark.parametrize("bits", [1024, 9216])
def test_a_key_of_a_bad_size_is_left_out(bits: int) -> None:
    # Made of a number of that size: to generate a prime pair takes half a minute.
    numbers = rsa.RSAPublicNumbers(65537, (1 << bits) - 1)
    jwk = RSAAlgorithm.to_jwk(numbers.public_key(), as_dict=True)
    with pytest.raises(UnavailableError, match="no key that pgwarden can use"):
        parse_key_set(json.dumps({"keys": [jwk]}).encode())


def test_of_a_private_key_only_the_public_half_is_kept() -> None:
    jwk = RSAAlgorithm.to_jwk(RSA.private, as_dict=True) | {"kid": "r1"}
    jwk.pop("key_ops", None)
    assert "d" in jwk
    (found,) = parse_key_set(json.dumps({"keys": [jwk]}).encode()).candidates(
        "r1", "RS256"
    )
    assert not hasattr(found.key, "private_numbers")
    assert repr(found) == "SigningKey(key_id='r1', kind='RSA', algorithm='')"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        b"[" * 100_000,
        b'{"keys":' + b"[" * 100_000,
    ],
)
def test_what_is_no_key_set_is_refused(garbage: bytes) -> None:
    with pytest.raises(UnavailableError, match="key set"):
        parse_key_set(garbage)


def test_a_set_has_a_ceiling() -> None:
    one: Key = ec_key()
    assert len(parse_key_set(key_set(*[one] * MAX_KEYS))) == MAX_KEYS
    with pytest.raises(UnavailableError, match="more than 64"):
        parse_key_set(key_set(*[one] * (MAX_KEYS + 1)))
