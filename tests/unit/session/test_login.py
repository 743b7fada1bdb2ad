"""The way in of a client, as a transcript: bytes in, effects out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings, strategies as st

from proxy.auth.identities import Identities, Identity
from proxy.auth.scram_client import ClientExchange
from proxy.auth.secrets import make_secret
from proxy.policy.decision import Decision
from proxy.session.handshake import Send, StartTls
from proxy.session.login import Login, Phase
from proxy.session.login_effects import (
    Authenticated,
    CancelRequested,
    Effect,
    LoginRequest,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.session.wish import Outcome, Wish
from proxy.wire import codes, messages
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
IDENTITIES = Identities(
    [
        Identity("alice", "developer", (SECRET,)),
        Identity("audi", "auditor", (SECRET,)),
        Identity("far", "developer", (SECRET,), networks=(IPv4Network("10.0.0.0/8"),)),
        Identity(
            "old", "developer", (SECRET,), valid_until=datetime(2020, 1, 1, tzinfo=UTC)
        ),
    ]
)
ALLOWED = Decision(True, "ok", "fine")
LISTED = {"timezone", "search_path"}
judged: list[tuple[str, str, str]] = []


def judge_setting(role: str, _: Wish, name: str, value: str) -> Decision:
    judged.append((role, name, value))
    if name in LISTED:
        return ALLOWED
    return Decision(False, "default-deny", "it is not on the list", hint="drop it")


def may_login(role: str, database: str) -> Decision:
    if role == "auditor":
        return Decision(False, "auditor", "auditors read the log", sqlstate="28000")
    return ALLOWED


def rules(*, tls: bool = False, plaintext: bool = True) -> LoginRules:
    return LoginRules(
        tls_available=tls,
        plaintext_allowed=plaintext,
        may_login=may_login,
        judge_setting=judge_setting,
    )


def start(**change: bool) -> Login:
    judged.clear()
    return Login(rules(**change), b"server-nonce", client_address="192.0.2.7")


def startup(*options: str, minor: int = 0, **parameters: str) -> bytes:
    values = {"user": "alice"} | parameters
    return StartupMessage(minor, values, options).encode()


@dataclass
class Client:
    """Plays a client with a password against a login, `step` bytes at a time."""

    login: Login
    password: str = "right"
    step: int = 1 << 20
    effects: list[Effect] = field(default_factory=list)
    sent: bytes = b""

    def __post_init__(self) -> None:
        self.exchange = ClientExchange(self.password, b"nonce", min_iterations=1)

    def send(self, data: bytes) -> Client:
        for at in range(0, len(data), self.step):
            self._do(self.login.receive(data[at : at + self.step]))
        return self

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, NeedIdentity):
                mock = IDENTITIES.mock(effect.user, b"key")
                found = IDENTITIES.find(effect.user)
                self._do(self.login.identified(found, mock=mock, now=NOW))
            elif isinstance(effect, Send):
                self.sent += effect.data
                if effect.data[:1] == b"R":
                    self._answer(effect.data)

    def _answer(self, data: bytes) -> None:
        match messages.decode_authentication(data[5:]):
            case messages.AuthenticationSASL(("SCRAM-SHA-256",)):
                first = messages.SASLInitialResponse(
                    "SCRAM-SHA-256", self.exchange.first()
                )
                self.send(first.encode())
            case messages.AuthenticationSASLContinue(challenge):
                request = self.exchange.challenge(challenge)
                answer = self.exchange.respond(request.derive())
                self.send(messages.SASLResponse(answer).encode())
            case messages.AuthenticationSASLFinal(signature):
                self.exchange.verify(signature)
            case _:
                pass

    @property
    def request(self) -> LoginRequest:
        last = self.effects[-1]
        assert isinstance(last, Authenticated), last
        return last.request

    @property
    def refusal(self) -> Reject:
        last = self.effects[-1]
        assert isinstance(last, Reject), last
        assert self.login.phase is Phase.CLOSED
        assert self.login.buffered == 0
        return last


def test_the_right_password_is_let_in() -> None:
    client = Client(start()).send(startup(database="shop", application_name="psql"))
    assert client.request == LoginRequest(
        "alice", "developer", "shop", "psql", (), 0, tls=False
    )
    assert client.sent.endswith(messages.AuthenticationOk().encode())
    assert client.login.user == "alice"


def test_a_wrong_password_and_an_unknown_name_look_the_same() -> None:
    wrong = Client(start(), "wrong").send(startup()).refusal
    unknown = Client(start(), "wrong").send(startup(user="alicf")).refusal
    assert wrong.report.sqlstate == unknown.report.sqlstate == "28P01"
    assert wrong.data.replace(b"alice", b"alicf") == unknown.data
    assert wrong.outcome is Outcome.CREDENTIALS
    assert unknown.outcome is Outcome.UNKNOWN_IDENTITY
    assert unknown.operator_note


def test_the_right_password_of_an_unknown_name_does_not_exist() -> None:
    client = Client(start()).send(startup(user="ghost"))
    assert client.refusal.outcome is Outcome.UNKNOWN_IDENTITY
    assert b"R\0\0\0\x08\0\0\0\0" not in client.sent


def test_an_expired_identity_looks_like_a_wrong_password() -> None:
    refusal = Client(start()).send(startup(user="old")).refusal
    assert refusal.outcome is Outcome.UNUSABLE_IDENTITY
    assert refusal.report.message == 'password authentication failed for user "old"'
    assert "2020" in refusal.operator_note


@pytest.mark.parametrize("user", ["audi", "far"])
def test_reasons_are_told_only_after_the_right_password(user: str) -> None:
    told = Client(start()).send(startup(user=user)).refusal
    assert told.outcome in {Outcome.POLICY, Outcome.NETWORK}
    assert told.report.sqlstate == "28000"
    hidden = Client(start(), "wrong").send(startup(user=user)).refusal
    assert hidden.outcome is Outcome.CREDENTIALS
    assert hidden.report.sqlstate == "28P01"


def test_settings_are_judged_for_the_role_after_the_password() -> None:
    packet = startup(options="-c search_path=a", TimeZone="UTC")
    client = Client(start()).send(packet)
    assert client.request.settings == (("search_path", "a"), ("timezone", "UTC"))
    assert judged == [
        ("developer", "search_path", "a"),
        ("developer", "timezone", "UTC"),
    ]
    Client(start(), "wrong").send(packet)
    assert judged == []


@pytest.mark.parametrize(
    "parameters",
    [{"work_mem": "1GB"}, {"options": "-c work_mem=1GB"}, {"options": "--work-mem=1"}],
)
def test_a_refused_setting_is_named(parameters: dict[str, str]) -> None:
    packet = StartupMessage(0, {"user": "alice"} | parameters)
    refusal = Client(start()).send(packet.encode()).refusal
    assert '"work_mem" is refused: it is not on the list' in refusal.report.message
    assert refusal.report.sqlstate == "42501"
    fields = parse_error_fields(refusal.data[5:])
    assert (fields["S"], fields["H"]) == ("FATAL", "drop it")
    assert "default-deny" in fields["D"]


def test_gss_then_ssl_then_plain_text_is_fine_without_a_certificate() -> None:
    client = Client(start()).send(GSSENCRequest().encode())
    client.send(SSLRequest().encode()).send(startup())
    assert client.sent.startswith(b"NN")
    assert not client.request.tls


def test_tls_is_started_and_then_the_startup_packet_comes() -> None:
    login = start(tls=True, plaintext=False)
    assert login.receive(SSLRequest().encode()) == [Send(b"S"), StartTls()]
    assert login.tls_started() == []
    assert Client(login).send(startup()).request.tls


def test_plain_text_is_refused_where_it_is_not_allowed() -> None:
    client = Client(start(tls=True, plaintext=False)).send(startup())
    assert client.refusal.outcome is Outcome.PLAINTEXT
    assert "sslmode=require" in client.refusal.report.hint
    assert client.sent == b""


@pytest.mark.parametrize("request_", [SSLRequest(), GSSENCRequest()])
@pytest.mark.parametrize("tls", [True, False])
def test_bytes_buffered_behind_a_request_are_a_violation(
    request_: SSLRequest | GSSENCRequest, tls: bool
) -> None:
    """Plain text injected before TLS: CVE-2021-23214, PgBouncer CVE-2021-3935."""
    refusal = Client(start(tls=tls)).send(request_.encode() + startup()).refusal
    assert refusal.report.sqlstate == "08P01"
    assert "received unencrypted data after" in refusal.report.message


def test_bytes_between_the_answer_and_tls_are_a_violation() -> None:
    login = start(tls=True)
    login.receive(SSLRequest().encode())
    refusal = Client(login).send(b"\0").refusal
    assert "received unencrypted data" in refusal.report.message


@pytest.mark.parametrize("request_", [SSLRequest(), GSSENCRequest()])
def test_each_request_comes_once(request_: SSLRequest | GSSENCRequest) -> None:
    """Endless requests crashed server backends: CVE-2026-6479."""
    client = Client(start()).send(request_.encode()).send(request_.encode())
    assert client.refusal.report.sqlstate == "0A000"
    assert "unsupported frontend protocol 1234." in client.refusal.report.message


def test_no_request_comes_inside_tls() -> None:
    login = start(tls=True)
    login.receive(SSLRequest().encode())
    login.tls_started()
    refusal = Client(login).send(GSSENCRequest().encode()).refusal
    assert refusal.report.sqlstate == "0A000"


def test_direct_tls_needs_alpn() -> None:
    login = start(tls=True, plaintext=False)
    login.tls_started("postgresql", direct=True)
    client = Client(login).send(SSLRequest().encode()).send(startup())
    assert client.sent.startswith(b"N")
    assert client.request.tls
    for alpn in (None, "h2"):
        (refusal,) = start(tls=True).tls_started(alpn, direct=True)
        assert isinstance(refusal, Reject)
        assert refusal.data == b""


def test_tls_out_of_order_is_refused() -> None:
    assert isinstance(start(tls=True).tls_started()[-1], Reject)


def test_a_cancel_request_ends_the_login() -> None:
    packet = CancelRequest(7, b"k" * 32)
    login = start()
    assert login.receive(packet.encode()) == [CancelRequested(packet)]
    assert login.receive(startup()) == []


@pytest.mark.parametrize(
    ("minor", "options", "answer"),
    [
        (0, (), None),
        (2, (), None),
        (1, (), None),
        (3, (), messages.NegotiateProtocolVersion(2)),
        (9999, (), messages.NegotiateProtocolVersion(2)),
        (0, ("_pq_.x",), messages.NegotiateProtocolVersion(0, ("_pq_.x",))),
        (2, ("_pq_.x",), messages.NegotiateProtocolVersion(2, ("_pq_.x",))),
    ],
)
def test_versions_are_negotiated_as_postgres_18_does(
    minor: int,
    options: tuple[str, ...],
    answer: messages.NegotiateProtocolVersion | None,
) -> None:
    client = Client(start()).send(startup(*options, minor=minor))
    assert client.sent.startswith(b"R" if answer is None else answer.encode())
    assert client.request.minor == min(minor, 2)


def test_a_stranger_gets_no_answer() -> None:
    for hello in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01", bytes(8)):
        refusal = Client(start()).send(hello).refusal
        assert refusal.data == b""
        assert refusal.outcome is Outcome.PROTOCOL


def test_another_major_version_is_told_so() -> None:
    packet = bytearray(startup())
    packet[4:8] = (4 << 16).to_bytes(4, "big")
    refusal = Client(start()).send(bytes(packet)).refusal
    assert refusal.report.severity == "FATAL"
    assert parse_error_fields(refusal.data[5:])["C"] == "0A000"


def to_sasl() -> Login:
    login = start()
    login.receive(startup())
    login.identified(
        IDENTITIES.find("alice"), mock=IDENTITIES.mock("alice", b"k"), now=NOW
    )
    return login


@pytest.mark.parametrize(
    "data",
    [
        b"Q\0\0\0\x0eSELECT 1;\0",
        b"X\0\0\0\x04",
        b"p\0\0\x04\x05" + bytes(1025),
        b"p\0\0\0\x03",
        b"p\xff\xff\xff\xff",
        messages.PasswordMessage(b"right").encode(),
        messages.SASLInitialResponse("SCRAM-SHA-1", b"n,,n=,r=abc").encode(),
        messages.SASLInitialResponse("SCRAM-SHA-256-PLUS", b"n,,n=,r=abc").encode(),
        messages.SASLInitialResponse("SCRAM-SHA-256", None).encode(),
        messages.SASLInitialResponse("SCRAM-SHA-256", b"p=x,,n=,r=abc").encode(),
    ],
)
def test_anything_but_scram_ends_the_login(data: bytes) -> None:
    (refusal,) = to_sasl().receive(data)
    assert isinstance(refusal, Reject)
    assert refusal.report.sqlstate == "08P01"


def test_what_comes_behind_the_last_login_message_is_kept_unread() -> None:
    client = Client(start()).send(startup())
    query = b"Q\0\0\0\x0eSELECT 1;\0"
    assert client.login.receive(query) == []
    assert client.login.buffered == len(query)
    assert client.login.take_leftover() == query
    assert client.login.take_leftover() == b""


def test_what_is_kept_has_a_ceiling() -> None:
    login = start()
    assert login.receive(startup())
    assert login.receive(bytes(codes.MAX_LEFTOVER)) == []
    (refusal,) = login.receive(b"x")
    assert isinstance(refusal, Reject)
    assert login.buffered == 0


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    login = start()
    login.receive(startup() + bytes(codes.MAX_LEFTOVER + 1))
    assert login.phase is Phase.CLOSED
    mock = IDENTITIES.mock("alice", b"k")
    assert login.identified(None, mock=mock, now=NOW) == []


parameters = st.dictionaries(
    st.sampled_from(["database", "options", "TimeZone", "client_encoding", "x"]),
    st.sampled_from(["shop", "UTF8", "-c search_path=a", ""]),
)


@settings(max_examples=60)
@given(
    step=st.integers(1, 40),
    user=st.sampled_from(["alice", "ghost", "audi", ""]),
    password=st.sampled_from(["right", "wrong"]),
    parameters=parameters,
    minor=st.sampled_from([0, 2, 3]),
    tail=st.binary(max_size=30),
)
def test_splitting_changes_nothing(
    step: int,
    user: str,
    password: str,
    parameters: dict[str, str],
    minor: int,
    tail: bytes,
) -> None:
    values = {"user": user} | parameters
    packet = StartupMessage(minor, values).encode()
    whole = Client(start(), password).send(packet)
    split = Client(start(), password, step).send(packet)
    assert split.effects == whole.effects
    assert split.sent == whole.sent
    for client in (whole, split):
        client.send(tail)
    assert split.login.take_leftover() == whole.login.take_leftover()


@settings(max_examples=300)
@given(
    prefix=st.sampled_from(
        [b"", b"\0\0\0\x20\0\x03\0\0", startup(), startup() + b"p\0\0\0\x20"]
    ),
    chunks=st.lists(st.binary(max_size=40), max_size=6),
)
def test_any_bytes_give_effects_and_bounded_buffers(
    prefix: bytes, chunks: list[bytes]
) -> None:
    client = Client(start(), "wrong")
    for chunk in [prefix, *chunks]:
        for effect in client.login.receive(chunk):
            client.effects.append(effect)
            if isinstance(effect, NeedIdentity):
                mock = IDENTITIES.mock(effect.user, b"key")
                answer = client.login.identified(None, mock=mock, now=NOW)
                client.effects.extend(answer)
        assert client.login.buffered <= codes.MAX_LEFTOVER
    assert not any(isinstance(effect, Authenticated) for effect in client.effects)
