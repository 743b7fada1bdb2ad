"""Tokens: right ones, and each way in which one can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from proxy.auth.claims import TokenEntry
from proxy.auth.keys import parse_key_set
from proxy.auth.tokens import (
    MAX_TOKEN,
    Fault,
    Issuer,
    TokenError,
    Verified,
    prove,
    too_wide,
    unverified_claims,
    verify,
)
from tests.unit.auth.token_maker import (
    AUDIENCE,
    ISSUER,
    b64,
    ec_key,
    ed_key,
    hmac_with,
    key_set,
    rsa_key,
    unsigned,
)

NOW = 1_800_000_000.0
RSA, OTHER = rsa_key(), rsa_key()
EC, ED = ec_key(), ed_key()
KEYS = parse_key_set(key_set(RSA, EC, ED))
COMPANY = Issuer(
    name="company", url=ISSUER, audiences=(AUDIENCE,), identity_claim="email"
)
FORGE = Issuer(name="forge", url=ISSUER, audiences=(AUDIENCE,))


def claims(**change: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-1",
        "jti": "t-1",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 600,
        "email": "ann@acme.example",
        "email_verified": True,
    }
    return {k: v for k, v in (base | change).items() if v is not ...}


def check(
    token: bytes, issuer: Issuer = COMPANY, now: float = NOW, keys: Any = KEYS
) -> Verified:
    return verify(token, issuer, keys, now=now)


def fault(token: bytes, issuer: Issuer = COMPANY, now: float = NOW) -> Fault:
    with pytest.raises(TokenError) as caught:
        check(token, issuer, now)
    report = caught.value.report()
    assert report.message == "the token is not accepted"
    for text in (report.detail, report.hint, caught.value.operator_note):
        for part in token.split(b"."):
            assert len(part) < 8 or part.decode(errors="replace") not in text
        assert "ann@acme" not in text
    return caught.value.fault


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["rsa", "ec", "ed25519"])
def test_a_right_token_says_who_it_is(key: Any) -> None:
    found = check(key.sign(claims()))
    assert (found.issuer, found.subject, found.token_id, found.expires) == (
        "company",
        "u-1",
        "t-1",
        int(NOW) + 600,
    )
    assert "ann@acme" not in repr(found)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_algorithm_is_taken_only_if_it_is_on_the_list(algorithm: str) -> None:
    token = RSA.sign(claims(), algorithm=algorithm)
    assert check(token, replace(COMPANY, algorithms=(algorithm,))).subject == "u-1"
    assert fault(token, replace(COMPANY, algorithms=("RS256",))) is Fault.ALGORITHM


def test_without_an_id_its_hash_stands_for_it() -> None:
    token = RSA.sign(claims(jti=...))
    found = check(token)
    assert found.token_id.startswith("sha256:")
    assert found.token_id == check(token).token_id
    assert found.token_id != check(RSA.sign(claims(jti=..., iat=1))).token_id


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iss": "https://issuer.example/"}, Fault.ISSUER),
        ({"iss": "https://evil.example"}, Fault.ISSUER),
        ({"iss": ...}, Fault.ISSUER),
        ({"iss": [ISSUER]}, Fault.ISSUER),
        ({"aud": "another.example"}, Fault.AUDIENCE),
        ({"aud": ["another.example"]}, Fault.AUDIENCE),
        ({"aud": []}, Fault.AUDIENCE),
        ({"aud": ...}, Fault.AUDIENCE),
        ({"aud": {AUDIENCE: True}}, Fault.AUDIENCE),
        ({"aud": [[AUDIENCE]]}, Fault.AUDIENCE),
        ({"exp": int(NOW) - 30}, Fault.EXPIRED),
        ({"exp": 0}, Fault.EXPIRED),
        ({"exp": ...}, Fault.MALFORMED),
        ({"exp": str(int(NOW) + 600)}, Fault.MALFORMED),
        ({"exp": True}, Fault.MALFORMED),
        ({"exp": -1}, Fault.MALFORMED),
        ({"exp": 1e308}, Fault.MALFORMED),
        ({"exp": 2**60}, Fault.MALFORMED),
        ({"exp": int(NOW) + 43_231}, Fault.LIFETIME),
        ({"nbf": int(NOW) + 31}, Fault.NOT_YET),
        ({"iat": int(NOW) + 31}, Fault.NOT_YET),
        ({"nbf": "soon"}, Fault.MALFORMED),
        ({"cnf": {"jkt": "x"}}, Fault.BOUND),
        ({"sub": ...}, Fault.MALFORMED),
        ({"sub": ""}, Fault.MALFORMED),
        ({"sub": "s" * 256}, Fault.MALFORMED),
        ({"jti": 7}, Fault.MALFORMED),
        ({"jti": "j" * 256}, Fault.MALFORMED),
    ],
)
def test_a_claim_that_is_wrong(change: dict[str, Any], expected: Fault) -> None:
    assert (
        fault(RSA.sign_raw(HEADER, json.dumps(claims(**change)).encode())) is expected
    )


HEADER = json.dumps({"alg": "RS256", "typ": "JWT", "kid": "r1"}).encode()


def test_clocks_may_differ_a_little() -> None:
    token = RSA.sign(claims(exp=int(NOW), nbf=int(NOW)))
    assert check(token, now=NOW + 29.9).subject == "u-1"
    assert check(token, now=NOW - 29.9).subject == "u-1"
    assert fault(token, now=NOW + 30) is Fault.EXPIRED
    assert fault(token, now=NOW - 31) is Fault.NOT_YET


def test_only_who_let_it_expire_is_told_so() -> None:
    with pytest.raises(TokenError) as caught:
        check(RSA.sign(claims(exp=int(NOW) - 60)))
    assert "pgwarden login" in caught.value.hint
    with pytest.raises(TokenError) as caught:
        check(OTHER.sign(claims(exp=int(NOW) - 60)))
    assert caught.value.hint == ""


# --- forgeries ---------------------------------------------------------------


def test_an_unsigned_token_is_none() -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        token = unsigned(claims(), name)
        assert fault(token) is Fault.MALFORMED
        assert fault(token + b"AAAA") is Fault.ALGORITHM
        # Not even where somebody has put it on the list.
        widened = replace(COMPANY, algorithms=(name, "RS256"))
        assert fault(token + b"AAAA", widened) is Fault.ALGORITHM


def test_the_public_key_is_no_shared_secret() -> None:
    public = RSA.private.public_key()
    for form, encoding in (
        (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.PEM),
        (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.DER),
        (serialization.PublicFormat.PKCS1, serialization.Encoding.PEM),
    ):
        secret = public.public_bytes(encoding, form)
        token = hmac_with(secret, claims(), "r1")
        assert fault(token) is Fault.ALGORITHM
        widened = replace(COMPANY, algorithms=("HS256", "RS256"))
        assert fault(token, widened) is Fault.ALGORITHM


def test_another_key_under_the_same_name_is_not_the_key() -> None:
    assert OTHER.kid == RSA.kid
    assert fault(OTHER.sign(claims())) is Fault.SIGNATURE


def test_a_key_in_the_token_itself_is_not_believed() -> None:
    stranger = rsa_key("stranger")
    jwk = stranger.jwk()
    for header in (
        {"jwk": jwk},
        {"jku": "https://evil.example/jwks", "jwk": jwk},
        {"x5u": "https://evil.example/cert"},
    ):
        assert fault(stranger.sign(claims(), **header)) is Fault.UNKNOWN_KEY


def test_a_key_of_one_kind_signs_nothing_of_another() -> None:
    assert fault(EC.sign(claims(), kid="r1")) is Fault.UNKNOWN_KEY
    assert fault(ED.sign(claims(), kid="e1")) is Fault.UNKNOWN_KEY


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_bit_that_has_changed_spoils_it(part: int) -> None:
    for key in (RSA, EC, ED):
        pieces = key.sign(claims()).split(b".")
        middle = len(pieces[part]) // 2
        letter = b"A" if pieces[part][middle : middle + 1] != b"A" else b"B"
        pieces[part] = pieces[part][:middle] + letter + pieces[part][middle + 1 :]
        assert fault(b".".join(pieces)) in {
            Fault.SIGNATURE,
            Fault.MALFORMED,
            Fault.UNKNOWN_KEY,
            Fault.ALGORITHM,
            Fault.TYPE,
        }


def test_what_was_signed_for_another_purpose_is_no_login() -> None:
    for kind in ("logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", ["JWT"]):
        header = json.dumps({"alg": "RS256", "kid": "r1", "typ": kind}).encode()
        token = RSA.sign_raw(header, json.dumps(claims()).encode())
        assert fault(token) is Fault.TYPE
    assert check(RSA.sign(claims(), typ="at+JWT")).subject == "u-1"


def test_a_critical_header_is_not_overlooked() -> None:
    for more in ({"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"b64": True}):
        header = json.dumps({"alg": "RS256", "kid": "r1"} | more).encode()
        token = RSA.sign_raw(header, json.dumps(claims()).encode())
        assert fault(token) is Fault.MALFORMED


# --- garbage -----------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"a.b.c\n",
        b" a.b.c",
        b"a.b.c\0",
        b"a b.c.d",
        b"\xff.\xff.\xff",
        "é.é.é".encode(),
        b"e30.e30.e30",
        b"W10.W10.W10",
        b"bnVsbA.e30.e30",
        b"A.A.A",
        b64(b"[" * 3000) + b".e30.AAAA",
        b64(b'{"a":' * 500 + b"1" + b"}" * 500) + b".e30.AAAA",
        b64(b'{"alg":"RS256","kid":7}') + b".e30.AAAA",
        b64(b'{"alg":7}') + b".e30.AAAA",
    ],
)
def test_garbage_is_refused_and_nothing_worse(garbage: bytes) -> None:
    assert fault(garbage) in {Fault.MALFORMED, Fault.ALGORITHM}


def test_signed_garbage_is_refused_too() -> None:
    for payload in (b"", b"[]", b"null", b"{", b"\xff", b"[" * 9000):
        assert fault(RSA.sign_raw(HEADER, payload)) is Fault.MALFORMED


def test_what_is_too_long_is_not_read() -> None:
    assert fault(b"a" * (MAX_TOKEN + 1)) is Fault.TOO_LONG
    assert fault(RSA.sign(claims(filler="x" * MAX_TOKEN))) is Fault.TOO_LONG
    assert fault(RSA.sign(claims(), x5c=["M" * 4096])) is Fault.TOO_LONG
    assert check(RSA.sign(claims(filler="x" * 8000))).subject == "u-1"


# --- whose token it is -------------------------------------------------------


def entry(issuer: str = "company", **wanted: Any) -> TokenEntry:
    return TokenEntry.model_validate({"issuer": issuer, "claims": wanted})


def proven(
    name: str, of: TokenEntry | None, issuer: Issuer = COMPANY, **change: Any
) -> bool:
    found = check(RSA.sign(claims(**change)), issuer)
    told: TokenError | None = None
    try:
        prove(name, of, found, issuer)
    except TokenError as problem:
        told = problem
    if told is not None:
        assert told.fault is Fault.CLAIMS
        assert "acme" not in told.operator_note
    return told is None


def test_a_person_is_who_the_issuer_says() -> None:
    assert proven("ann@acme.example", entry())
    assert not proven("bob@acme.example", entry())
    assert not proven("Ann@acme.example", entry())
    assert not proven("ann@acme.example", None)
    assert not proven("ann@acme.example", entry("other"))


def test_claims_narrow_a_person_and_never_widen() -> None:
    assert proven("ann@acme.example", entry(groups="dba"), groups=["dba"])
    assert not proven("ann@acme.example", entry(groups="dba"), groups=["dev"])
    # In the group, but not Ann.
    assert not proven("bob@acme.example", entry(groups="dba"), groups=["dba"])


@pytest.mark.parametrize("verified", [False, "true", None, 1, ...])
def test_an_address_that_nobody_verified_is_nobody(verified: object) -> None:
    assert not proven("ann@acme.example", entry(), email_verified=verified)


def test_a_name_in_another_form_is_no_name() -> None:
    for value in (["ann@acme.example"], {"a": 1}, None, ...):
        assert not proven("ann@acme.example", entry(), email=value)


def test_a_job_is_its_claims() -> None:
    deploy = entry("forge", repository="acme/shop", environment="production")
    job = {"repository": "acme/shop", "environment": "production"}
    assert proven("deploy", deploy, FORGE, **job)
    assert not proven("deploy", deploy, FORGE, **job | {"environment": "staging"})
    assert not proven("deploy", deploy, FORGE, repository="acme/shop")
    # Without claims each token of the issuer would do.
    assert not proven("deploy", entry("forge"), FORGE, **job)


def test_what_every_token_must_say_is_checked_for_everyone() -> None:
    narrowed = replace(FORGE, claims={"repository_owner_id": ("12",)})
    token = RSA.sign(claims(repository_owner_id="12"))
    assert check(token, narrowed).subject == "u-1"
    assert fault(RSA.sign(claims()), narrowed) is Fault.CLAIMS
    assert fault(RSA.sign(claims(repository_owner_id="1")), narrowed) is Fault.CLAIMS


def test_an_issuer_that_all_the_world_has_must_be_narrowed() -> None:
    github = replace(FORGE, url="https://token.actions.githubusercontent.com")
    assert "everybody" in too_wide(entry("forge", environment="production"), github)
    assert not too_wide(entry("forge", repository="acme/shop"), github)
    owned = replace(github, claims={"repository_owner": ("acme",)})
    assert not too_wide(entry("forge", environment="production"), owned)
    assert "identity_claim" in too_wide(entry("forge"), FORGE)
    assert not too_wide(entry(), COMPANY)


def test_its_holder_may_read_it_unverified() -> None:
    assert (
        unverified_claims(OTHER.sign(claims()).decode())["email"] == "ann@acme.example"
    )
    for garbage in ("opaque", "é.é.é", "a.b.c"):
        with pytest.raises(TokenError):
            unverified_claims(garbage)
