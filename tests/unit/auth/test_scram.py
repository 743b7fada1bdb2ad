"""Both sides of SCRAM-SHA-256, against the RFC, each other and bad messages."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings, strategies as st

from proxy.auth.scram import MAX_MESSAGE, ServerExchange, encode_nonce
from proxy.auth.scram_client import ClientExchange, KeyRequest, SaltedPasswords
from proxy.auth.secrets import ScramSecret, make_secret
from proxy.errors import BackendError, FrontendError

# RFC 7677 section 3, between user "user" and password "pencil".
CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=" + CLIENT_NONCE
SERVER_FIRST = (
    b"r=" + CLIENT_NONCE + SERVER_NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r="
    + CLIENT_NONCE
    + SERVER_NONCE
    + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SECRET = make_secret("pencil", salt=SALT)
CHEAP = make_secret("pencil", salt=SALT, iterations=1)


def server(*secrets: ScramSecret, doomed: bool = False) -> ServerExchange:
    return ServerExchange(secrets or (SECRET,), SERVER_NONCE, doomed=doomed)


def client(password: str = "pencil") -> ClientExchange:
    return ClientExchange(password, CLIENT_NONCE, min_iterations=1)


def meet(one: ClientExchange, other: ServerExchange) -> bytes | None:
    """Run a whole exchange; the server's last word, verified, or None."""
    request = one.challenge(other.first(one.first()))
    answer = other.final(one.respond(request.derive()))
    if answer is not None:
        one.verify(answer)
    return answer


def test_the_server_speaks_as_in_the_rfc() -> None:
    exchange = server()
    assert exchange.first(CLIENT_FIRST) == SERVER_FIRST
    assert exchange.final(CLIENT_FINAL) == SERVER_FINAL
    assert exchange.matched == 0


def test_a_doomed_exchange_ends_as_with_a_wrong_password() -> None:
    exchange = server(doomed=True)
    assert exchange.first(CLIENT_FIRST) == SERVER_FIRST
    assert exchange.final(CLIENT_FINAL) is None
    assert exchange.matched is None


@settings(max_examples=30)
@given(st.text(max_size=12), st.text(max_size=12))
def test_only_the_right_password_is_let_in(right: str, typed: str) -> None:
    secret = make_secret(right, salt=b"salt", iterations=1)
    let_in = meet(client(typed), server(secret)) is not None
    is_same = make_secret(typed, salt=b"salt", iterations=1) == secret
    assert let_in == is_same


def test_either_password_is_right_while_a_secret_is_rotated() -> None:
    old = make_secret("old", salt=SALT, iterations=1)
    new = make_secret("new", salt=SALT, iterations=1)
    for index, password in enumerate(["old", "new"]):
        exchange = server(old, new)
        assert meet(client(password), exchange)
        assert exchange.matched == index
    assert meet(client("other"), server(old, new)) is None


def test_a_secret_with_another_salt_is_not_tried() -> None:
    other = make_secret("new", salt=b"other", iterations=1)
    assert meet(client("new"), server(CHEAP, other)) is None


def test_a_client_that_knows_of_binding_but_is_offered_none_is_fine() -> None:
    exchange = server(CHEAP)
    one = client()
    first = exchange.first(b"y" + one.first()[1:])
    final = one.respond(one.challenge(first).derive())
    # The client proves over "n,,"; the server insists on what was said first.
    with pytest.raises(FrontendError, match="channel-binding attribute"):
        exchange.final(final)
    assert base64.b64encode(b"y,,") == b"eSws"


def test_a_downgrade_of_channel_binding_is_seen() -> None:
    exchange = ServerExchange((SECRET,), SERVER_NONCE, end_point=b"hash")
    with pytest.raises(FrontendError) as caught:
        exchange.first(b"y" + CLIENT_FIRST[1:])
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [
        (b"", "08P01"),
        (b"n", "08P01"),
        (b"n,", "08P01"),
        (b"n,,", "08P01"),
        (b"x,,n=,r=abc", "08P01"),
        (b"nn,,n=,r=abc", "08P01"),
        (b"p=tls-server-end-point,,n=,r=abc", "08P01"),
        (b"n,a=admin,n=,r=abc", "0A000"),
        (b"n,,m=x,n=,r=abc", "0A000"),
        (b"n,,r=abc,n=", "08P01"),
        (b"n,,n=,r=", "08P01"),
        (b"n,,n=,r=a b", "08P01"),
        (b"n,,n=,r=a\x7f", "08P01"),
        (b"n,,n=,r=abc\0", "08P01"),
        (b"n,,n=,r=abc,", "08P01"),
        (b"n,,n=,r=abc,1=2", "08P01"),
        (b"n,,n=,r=" + b"a" * 257, "08P01"),
        (b"n,,n=,r=" + b"a" * MAX_MESSAGE, "08P01"),
    ],
)
def test_a_bad_first_message_is_refused(message: bytes, sqlstate: str) -> None:
    with pytest.raises(FrontendError) as caught:
        server().first(message)
    assert caught.value.sqlstate == sqlstate


def test_optional_extensions_are_ignored() -> None:
    assert server().first(b"n,,n=,r=abc,x=1,Y=").startswith(b"r=abc")


NONCE = CLIENT_NONCE + SERVER_NONCE
PROOF = CLIENT_FINAL.rpartition(b",p=")[2]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=eSws,r=" + NONCE + b",p=" + PROOF,
        b"c=biws,r=" + CLIENT_NONCE + b",p=" + PROOF,
        b"c=biws,r=" + SERVER_NONCE + b",p=" + PROOF,
        b"c=biws,r=" + NONCE + b"x,p=" + PROOF,
        b"c=biws,r=" + NONCE,
        b"c=biws,r=" + NONCE + b",p=",
        b"c=biws,r=" + NONCE + b",p=AAAA",
        b"c=biws,r=" + NONCE + b",p=" + PROOF[:-1],
        b"c=biws,r=" + NONCE + b",p=" + PROOF + b",x=1",
        b"c=biws,r=" + NONCE + b",p=" + PROOF + b",p=" + PROOF,
        CLIENT_FINAL + b"\0",
        CLIENT_FINAL[:-1] + b"\n",
    ],
)
def test_a_bad_last_message_is_refused(message: bytes) -> None:
    exchange = server()
    exchange.first(CLIENT_FIRST)
    with pytest.raises(FrontendError) as caught:
        exchange.final(message)
    assert caught.value.sqlstate == "08P01"
    assert exchange.matched is None


def test_an_extension_that_was_not_signed_fails_the_proof() -> None:
    exchange = server()
    exchange.first(CLIENT_FIRST)
    message = b"c=biws,r=" + NONCE + b",x=1,p=" + PROOF
    assert exchange.final(message) is None


@given(st.binary(max_size=80), st.binary(max_size=120))
def test_any_client_bytes_fail_without_another_error(first: bytes, last: bytes) -> None:
    exchange = server(CHEAP)
    try:
        exchange.first(first)
        assert exchange.final(last) is None
    except FrontendError as problem:
        assert problem.sqlstate in {"08P01", "0A000", "28000"}  # noqa: PT017


@given(st.binary(max_size=60))
def test_any_bytes_after_a_good_start_fail_without_another_error(tail: bytes) -> None:
    exchange = server(CHEAP)
    exchange.first(CLIENT_FIRST)
    try:
        assert exchange.final(b"c=biws,r=" + NONCE + b"," + tail) is None
    except FrontendError as problem:
        assert problem.sqlstate == "08P01"  # noqa: PT017


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"e=unknown-user",
        b"r=foreign,s=AAAA,i=4096",
        b"r=" + CLIENT_NONCE + b",s=AAAA,i=4096",
        b"r=" + CLIENT_NONCE + b" x,s=AAAA,i=4096",
        b"r=" + CLIENT_NONCE + b"x" * 257 + b",s=AAAA,i=4096",
        b"r=" + CLIENT_NONCE + b"x,s=,i=4096",
        b"r=" + CLIENT_NONCE + b"x,s=A,i=4096",
        b"r=" + CLIENT_NONCE + b"x,s=AAAA",
        b"r=" + CLIENT_NONCE + b"x,s=AAAA,i=",
        b"r=" + CLIENT_NONCE + b"x,s=AAAA,i=-4096",
        b"r=" + CLIENT_NONCE + b"x,s=AAAA,i=4096x",
        b"r=" + CLIENT_NONCE + b"x,s=AAAA,i=" + b"9" * 500,
        b"m=x,r=" + CLIENT_NONCE + b"x,s=AAAA,i=4096",
        b"r=" + CLIENT_NONCE + b"x,s=" + b"A" * 1000 + b",i=4096",
    ],
)
def test_a_bad_challenge_is_refused(message: bytes) -> None:
    with pytest.raises(BackendError) as caught:
        client().challenge(message)
    assert "SCRAM" not in caught.value.message


@pytest.mark.parametrize("iterations", [4095, 100_001, 9_999_999])
def test_iterations_out_of_bounds_are_refused_before_any_work(iterations: int) -> None:
    """A false server burnt a core for each connection: CVE-2026-42198 in pgjdbc."""
    exchange = ClientExchange("pencil", CLIENT_NONCE)
    message = b"r=" + CLIENT_NONCE + b"x,s=AAAA,i=%d" % iterations
    with pytest.raises(BackendError) as caught:
        exchange.challenge(message)
    assert str(iterations) in caught.value.operator_note


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"v=",
        b"v=AAAA",
        SERVER_FINAL,
        b"e=invalid-proof",
        b"v=" + base64.b64encode(bytes(32)),
    ],
)
def test_a_server_that_can_not_prove_itself_is_refused(message: bytes) -> None:
    one = client()
    one.respond(one.challenge(server(CHEAP).first(one.first())).derive())
    with pytest.raises(BackendError):
        one.verify(message)


@given(st.binary(max_size=120))
def test_any_server_bytes_raise_the_typed_error_only(data: bytes) -> None:
    with pytest.raises(BackendError):
        client().challenge(data)
    one = client()
    one.respond(one.challenge(server(CHEAP).first(one.first())).derive())
    with pytest.raises(BackendError):
        one.verify(data)


def test_the_channel_is_part_of_what_is_proven() -> None:
    one = client()
    assert one.first(b"hash", is_offered=True).startswith(b"p=tls-server-end-point,,n=")
    nonce = CLIENT_NONCE + b"more"
    asked = one.challenge(b"r=" + nonce + b",s=" + base64.b64encode(SALT) + b",i=1")
    answer = one.respond(asked.derive())
    bound = base64.b64encode(b"p=tls-server-end-point,,hash")
    assert answer.startswith(b"c=" + bound + b",r=" + nonce + b",p=")


def test_a_server_without_it_is_logged_in_to_all_the_same() -> None:
    assert meet_with(b"hash") is not None


def meet_with(binding: bytes) -> bytes | None:
    """A server that knows no channel binding, and a client that does."""
    one, other = client(), server(CHEAP)
    asked = one.challenge(other.first(one.first(binding, is_offered=False)))
    return other.final(one.respond(asked.derive()))


def test_a_nonce_is_printable() -> None:
    assert encode_nonce(bytes(18)) == b"A" * 24


def request(number: int) -> KeyRequest:
    return KeyRequest("id", b"password%d" % number, b"salt", 1)


def test_kept_keys_are_bounded_and_the_oldest_goes_first() -> None:
    kept = SaltedPasswords(limit=2)
    kept.put(request(1), b"one")
    kept.put(request(2), b"two")
    assert kept.get(request(1)) == b"one"
    kept.put(request(3), b"three")
    assert len(kept) == 2
    assert kept.get(request(2)) is None
    assert kept.get(request(1)) == b"one"


def test_a_changed_password_never_finds_the_old_key() -> None:
    kept = SaltedPasswords()
    kept.put(KeyRequest("id", b"old", b"salt", 1), b"key")
    assert kept.get(KeyRequest("id", b"new", b"salt", 1)) is None


def test_a_key_request_does_not_print_the_password() -> None:
    assert "hunter2" not in repr(KeyRequest("id", b"hunter2", b"salt", 1))
