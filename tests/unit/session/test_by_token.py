"""Logins by token, without a socket: what is asked for, of whom, what is believed."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from proxy.auth.claims import TokenEntry
from proxy.auth.identities import Identity
from proxy.auth.methods import Method
from proxy.auth.secrets import make_secret
from proxy.auth.tokens import MAX_TOKEN
from proxy.errors import FrontendError
from proxy.policy.logins import Way, Ways
from proxy.session.exchange import (
    Ask,
    Candidate,
    Channel,
    Exchange,
    NeedVerification,
    Proven,
    Unproven,
    Verification,
)
from proxy.session.ways import open_way
from proxy.session.wish import RefusedLoginError
from proxy.wire.messages import (
    AuthenticationCleartext,
    PasswordMessage,
    SASLInitialResponse,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
ANN = Identity("ann", "developer", (), token=TokenEntry(issuer="company"))
FAILED = Verification(
    None, "why", hint="do this", discovery_url="https://i.example/x", scope="openid"
)
PASSED = Verification(ANN, proof=(("issuer", "company"),), max_session_s=60.0)
WAYS = [Way(f"r.{each}", each, "no", issuer="company") for each in Method]


def candidate(identity: Identity | None = ANN, *, is_tls: bool = True) -> Candidate:
    return Candidate(
        user="ann",
        identity=identity,
        mock=SECRET,
        doom="",
        channel=Channel(b"x" * 32) if is_tls else None,
        nonce=b"nonce",
        now=NOW,
    )


def opened(method: Method, *, is_tls: bool = True) -> Exchange:
    way = Way("r", method, issuer="company")
    return open_way(Ways(way, way), candidate(is_tls=is_tls)).exchange


@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.parametrize("identity", [ANN, None], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("own", "stranger"), list(itertools.product(WAYS, WAYS)), ids=lambda way: way.method
)
def test_over_all_ways_clear_text_is_asked_for_by_token_and_tls_alone(
    own: Way, stranger: Way, identity: Identity | None, is_tls: bool
) -> None:
    try:
        found = open_way(Ways(own, stranger), candidate(identity, is_tls=is_tls))
    except RefusedLoginError:
        return
    step = found.exchange.begin()
    assert isinstance(step, Ask)
    is_clear = step.data == AuthenticationCleartext().encode()
    if is_clear:
        assert is_tls
        assert Method.TOKEN in {own.method, stranger.method}
    else:
        # AuthenticationSASL, and never AuthenticationMD5Password (5).
        assert step.data[5:9] == b"\0\0\0\x0a"


@pytest.mark.parametrize("method", [Method.TOKEN, Method.OAUTH])
def test_in_plain_text_nothing_is_asked_for(method: Method) -> None:
    with pytest.raises(RefusedLoginError, match="over TLS only"):
        opened(method, is_tls=False)


def test_a_token_as_password() -> None:
    exchange = opened(Method.TOKEN)
    begun = exchange.begin()
    assert isinstance(begun, Ask)
    assert begun.most == MAX_TOKEN + 1
    step = exchange.receive(PasswordMessage(b"a.b.c").encode()[5:])
    assert step == NeedVerification("ann", "company", b"a.b.c")
    assert "a.b.c" not in repr(step)
    assert exchange.verified(FAILED) == Unproven("why", "do this", "token")
    proven = exchange.verified(PASSED)
    assert proven == Proven(
        "token",
        identity=ANN,
        proof=(("issuer", "company"),),
        max_session_s=60.0,
        token=ANN.token,
    )


def test_a_token_by_oauthbearer() -> None:
    exchange = opened(Method.OAUTH)
    exchange.begin()
    message = SASLInitialResponse("OAUTHBEARER", b"n,,\x01auth=Bearer a.b.c\x01\x01")
    step = exchange.receive(message.encode()[5:])
    assert step == NeedVerification("ann", "company", b"a.b.c")
    assert isinstance(exchange.verified(PASSED), Proven)


@pytest.mark.parametrize(("token", "is_question"), [(b"", True), (b"Bearer x", False)])
def test_a_failure_is_told_before_the_end(token: bytes, is_question: bool) -> None:
    exchange = opened(Method.OAUTH)
    exchange.begin()
    message = SASLInitialResponse("OAUTHBEARER", b"n,,\x01auth=" + token + b"\x01\x01")
    exchange.receive(message.encode()[5:])
    told = exchange.verified(FAILED)
    assert isinstance(told, Ask)
    assert b"https://i.example/x" in told.data
    ended = exchange.receive(b"\x01")
    assert ended == Unproven("why", "do this", "OAuth bearer", is_question=is_question)


@pytest.mark.parametrize("answer", [b"", b"\x01\x01", b"\x02", b"n,,\x01auth=\x01\x01"])
def test_a_failure_must_be_acknowledged(answer: bytes) -> None:
    exchange = opened(Method.OAUTH)
    exchange.begin()
    message = SASLInitialResponse("OAUTHBEARER", b"n,,\x01auth=\x01\x01")
    exchange.receive(message.encode()[5:])
    exchange.verified(FAILED)
    with pytest.raises(FrontendError):
        exchange.receive(answer)


@given(
    st.sampled_from([Method.TOKEN, Method.OAUTH]),
    st.lists(st.binary(max_size=60), min_size=1, max_size=4),
)
def test_no_message_proves_anything_by_itself(
    method: Method, bodies: list[bytes]
) -> None:
    exchange = opened(method)
    exchange.begin()
    for body in bodies:
        try:
            step = exchange.receive(body)
        except FrontendError:
            return
        assert not isinstance(step, Proven)
        if isinstance(step, NeedVerification):
            assert not isinstance(exchange.verified(FAILED), Proven)


@pytest.mark.parametrize("method", [Method.TOKEN, Method.OAUTH])
def test_half_a_proof_is_none(method: Method) -> None:
    """Where a certificate was lacking too, no token tells whether it was right."""
    own = Way("r.certificate", Method.CERTIFICATE)
    stranger = Way("r.token", method, issuer="company")
    found = open_way(Ways(own, stranger), candidate())
    assert found.refusal is not None
    exchange = found.exchange
    exchange.begin()
    assert not isinstance(exchange.verified(PASSED), Proven)
