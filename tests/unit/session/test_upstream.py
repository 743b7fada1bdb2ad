"""The way in to an upstream, as a transcript against a scripted server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from proxy.auth.scram import ServerExchange
from proxy.auth.scram_client import SaltedPasswords
from proxy.auth.secrets import make_secret
from proxy.errors import ErrorReport
from proxy.session.handshake import Send, StartTls
from proxy.session.upstream import Phase, UpstreamHandshake
from proxy.session.upstream_effects import (
    DeriveKey,
    Effect,
    UpstreamReady,
    UpstreamRefused,
)
from proxy.session.upstream_plan import ChannelBinding, TlsMode, UpstreamPlan
from proxy.wire import codes, messages
from proxy.wire.errors_wire import encode_error, encode_notice
from proxy.wire.startup import SSLRequest, StartupMessage, decode_first_packet

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = UpstreamPlan(
    user="reader",
    database="shop",
    password="right",
    tls_mode=TlsMode.DISABLE,
    min_iterations=1,
)
OK = messages.AuthenticationOk().encode()
SASL = messages.AuthenticationSASL(("SCRAM-SHA-256",)).encode()
BOTH = messages.AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")).encode()
KEY = messages.BackendKeyData(77, b"keys").encode()
READY = messages.ReadyForQuery(codes.IDLE).encode()
REPORTED = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "server_version": "18.1",
}


def reported(**change: str) -> bytes:
    values = REPORTED | change
    pairs = (messages.ParameterStatus(*pair).encode() for pair in values.items())
    return b"".join(pairs)


GREETING = reported() + KEY + READY


@dataclass
class Server:
    """Plays an upstream whose role has a password; `step` bytes at a time."""

    up: UpstreamHandshake
    password: str = "right"
    greeting: bytes = GREETING
    step: int = 1 << 20
    effects: list[Effect] = field(default_factory=list)
    derived: int = 0

    def __post_init__(self) -> None:
        secret = make_secret(self.password, salt=b"salt", iterations=1)
        self.exchange = ServerExchange((secret,), b"server-nonce")
        self.replies: list[Callable[[bytes], None]] = [
            self._asked,
            self._first,
            self._final,
        ]

    def run(self) -> Server:
        self._do(self.up.start())
        return self

    def send(self, data: bytes) -> Server:
        for at in range(0, len(data), self.step):
            self._do(self.up.receive(data[at : at + self.step]))
        return self

    def says(self, turn: int, data: bytes) -> None:
        """Answer our message number `turn` with these bytes instead."""

        def reply(_: bytes) -> None:
            self.send(data)

        self.replies[turn] = reply

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, Send):
                self.replies.pop(0)(effect.data)
            elif isinstance(effect, DeriveKey):
                self.derived += 1
                request = effect.request
                self._do(self.up.key_derived(request, request.derive()))

    def _asked(self, data: bytes) -> None:
        self.send(SASL)

    def _first(self, data: bytes) -> None:
        first = messages.SASLInitialResponse.decode(data[5:]).data or b""
        challenge = self.exchange.first(first)
        self.send(messages.AuthenticationSASLContinue(challenge).encode())

    def _final(self, data: bytes) -> None:
        answer = self.exchange.final(data[5:])
        if answer is None:
            self.send(encode_error(ErrorReport("28P01", "no", severity="FATAL")))
            return
        final = messages.AuthenticationSASLFinal(answer).encode()
        self.send(final + OK + self.greeting)

    @property
    def ready(self) -> UpstreamReady:
        last = self.effects[-1]
        assert isinstance(last, UpstreamReady), last
        return last

    @property
    def refused(self) -> UpstreamRefused:
        last = self.effects[-1]
        assert isinstance(last, UpstreamRefused), last
        assert self.up.phase is Phase.DONE
        assert last.report.severity == "FATAL"
        return last


def handshake(
    plan: UpstreamPlan = PLAN, kept: SaltedPasswords | None = None
) -> UpstreamHandshake:
    salted = kept if kept is not None else SaltedPasswords()
    return UpstreamHandshake(plan, b"nonce", salted=salted)


def last(effects: list[Effect]) -> UpstreamRefused:
    found = effects[-1]
    assert isinstance(found, UpstreamRefused), found
    return found


def begun(plan: UpstreamPlan = PLAN) -> UpstreamHandshake:
    """A handshake whose startup packet is out."""
    up = handshake(plan)
    (sent,) = up.start()
    assert isinstance(sent, Send)
    assert isinstance(decode_first_packet(sent.data), StartupMessage)
    return up


def test_scram_leads_to_readiness() -> None:
    ready = Server(handshake(), greeting=GREETING + b"more").run().ready
    assert ready.parameters == REPORTED
    assert ready.relay == reported()
    assert (ready.pid, ready.key, ready.minor) == (77, b"keys", 0)
    assert ready.leftover == b"more"


def test_a_key_is_derived_once_and_kept_only_when_confirmed() -> None:
    kept = SaltedPasswords()
    wrong = Server(handshake(PLAN, kept), password="wrong").run()
    assert (wrong.derived, len(kept)) == (1, 0)
    first = Server(handshake(PLAN, kept)).run()
    second = Server(handshake(PLAN, kept)).run()
    assert second.ready.pid == 77
    assert (first.derived, second.derived, len(kept)) == (1, 0, 1)


def test_a_wrong_password_of_ours_is_not_blamed_on_the_client() -> None:
    refused = Server(handshake(), password="wrong").run().refused
    assert refused.report.sqlstate == "08004"
    assert "28P01" in refused.operator_note


def over_tls(
    mode: ChannelBinding, binding: bytes = b"hash"
) -> Callable[[bytes], list[Effect]]:
    """A handshake that waits for the server's word, over TLS."""
    plan = replace(PLAN, tls_mode=TlsMode.VERIFY_FULL, channel_binding=mode)
    up = handshake(plan)
    up.start()
    up.receive(b"S")
    up.tls_started(binding)
    return up.receive


def first_of(effects: list[Effect]) -> messages.SASLInitialResponse:
    (sent,) = effects
    assert isinstance(sent, Send), sent
    return messages.SASLInitialResponse.decode(sent.data[5:])


@pytest.mark.parametrize(
    ("mode", "binding", "offer", "mechanism", "header"),
    [
        ("prefer", b"hash", BOTH, "SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,"),
        ("require", b"hash", BOTH, "SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,"),
        ("disable", b"hash", BOTH, "SCRAM-SHA-256", b"n,,"),
        # Whoever takes the offer away is found out by the server, which sees the "y".
        ("prefer", b"hash", SASL, "SCRAM-SHA-256", b"y,,"),
        # A certificate whose signature has no hash binds nothing.
        ("prefer", b"", BOTH, "SCRAM-SHA-256", b"n,,"),
    ],
)
def test_channel_binding_is_used_where_it_is_offered(
    mode: str, binding: bytes, offer: bytes, mechanism: str, header: bytes
) -> None:
    first = first_of(over_tls(ChannelBinding(mode), binding)(offer))
    assert first.mechanism == mechanism
    assert first.data is not None
    assert first.data.startswith(header + b"n=,r=")


@pytest.mark.parametrize(
    "answer",
    [
        SASL,
        OK,
        messages.AuthenticationMD5(b"salt").encode(),
        messages.AuthenticationCleartext().encode(),
    ],
)
def test_required_channel_binding_takes_nothing_else(answer: bytes) -> None:
    refused = last(over_tls(ChannelBinding.REQUIRE)(answer))
    assert "require channel binding" in refused.operator_note
    refused = last(over_tls(ChannelBinding.REQUIRE, b"")(BOTH))
    assert "require channel binding" in refused.operator_note


def test_channel_binding_without_tls_is_a_lie() -> None:
    assert "without TLS" in last(begun().receive(BOTH)).operator_note


def test_notices_and_notice_of_a_lower_version_are_taken() -> None:
    up = handshake(replace(PLAN, minor=2))
    notice = encode_notice(ErrorReport("01000", "careful", severity="WARNING"))
    server = Server(up, greeting=notice + GREETING)
    offer = messages.NegotiateProtocolVersion(0).encode()
    server.says(0, offer + notice + SASL)
    ready = server.run().ready
    assert (ready.minor, ready.notices) == (0, notice)


def test_protocol_3_2_brings_a_long_key() -> None:
    greeting = reported() + messages.BackendKeyData(7, b"k" * 32).encode() + READY
    server = Server(handshake(replace(PLAN, minor=2)), greeting=greeting).run()
    assert server.ready.key == b"k" * 32
    refused = Server(handshake(), greeting=greeting).run().refused
    assert "long cancel key" in refused.operator_note


def test_a_plan_never_asks_for_more_than_we_speak() -> None:
    (sent,) = handshake(replace(PLAN, minor=9)).start()
    assert isinstance(sent, Send)
    packet = decode_first_packet(sent.data)
    assert isinstance(packet, StartupMessage)
    assert packet.minor == 2


@pytest.mark.parametrize(
    "change",
    [
        {"client_encoding": "SQL_ASCII"},
        {"standard_conforming_strings": "off"},
        {"default_transaction_read_only": "off"},
    ],
)
def test_a_server_that_ignores_what_must_hold_is_refused(
    change: dict[str, str],
) -> None:
    plan = replace(PLAN, read_only=True)
    greeting = reported(**change) + KEY + READY
    refused = Server(handshake(plan), greeting=greeting).run().refused
    assert next(iter(change)) in refused.operator_note


def test_a_server_that_reports_nothing_is_refused() -> None:
    assert "None" in Server(handshake(), greeting=READY).run().refused.operator_note


@pytest.mark.parametrize("mode", list(TlsMode)[1:])
def test_tls_is_asked_for_and_begun(mode: TlsMode) -> None:
    up = handshake(replace(PLAN, tls_mode=mode))
    assert up.start() == [Send(SSLRequest().encode())]
    assert up.receive(b"") == []
    assert up.receive(b"S") == [StartTls()]
    (sent,) = up.tls_started()
    assert isinstance(sent, Send)


@pytest.mark.parametrize("mode", list(TlsMode)[1:])
def test_a_server_without_tls_is_fine_for_prefer_alone(mode: TlsMode) -> None:
    up = handshake(replace(PLAN, tls_mode=mode))
    up.start()
    effects = up.receive(b"N")
    if mode is TlsMode.PREFER:
        assert isinstance(effects[0], Send)
    else:
        assert "does not speak TLS" in last(effects).operator_note


@pytest.mark.parametrize("answer", [b"S", b"N"])
def test_bytes_behind_the_tls_answer_are_a_violation(answer: bytes) -> None:
    """Injected plain text: CVE-2021-23222."""
    up = handshake(replace(PLAN, tls_mode=TlsMode.PREFER))
    up.start()
    assert "behind the answer" in last(up.receive(answer + OK)).operator_note


def test_bytes_before_tls_stands_are_a_violation() -> None:
    up = handshake(replace(PLAN, tls_mode=TlsMode.REQUIRE))
    up.start()
    up.receive(b"S")
    assert "before TLS" in last(up.receive(OK)).operator_note


def test_an_error_before_tls_is_shown_to_nobody() -> None:
    """CVE-2024-10977."""
    up = handshake(replace(PLAN, tls_mode=TlsMode.REQUIRE))
    up.start()
    refused = last(up.receive(b"E"))
    assert "E" not in refused.report.message
    assert "not shown" in refused.operator_note


def test_tls_out_of_order_is_refused() -> None:
    assert "not asked for" in last(begun().tls_started()).operator_note


MD5 = messages.AuthenticationMD5(b"salt").encode()
CLEARTEXT = messages.AuthenticationCleartext().encode()


@pytest.mark.parametrize(("request_", "flag"), [(MD5, "md5"), (CLEARTEXT, "password")])
@pytest.mark.parametrize("is_allowed", [True, False])
@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.REQUIRE, TlsMode.VERIFY_CA])
def test_weak_passwords_need_a_setting_and_a_private_line(
    request_: bytes, flag: str, is_allowed: bool, is_loopback: bool, mode: TlsMode
) -> None:
    plan = replace(
        PLAN,
        tls_mode=mode,
        is_loopback=is_loopback,
        allow_md5=is_allowed and flag == "md5",
        allow_password=is_allowed and flag == "password",
    )
    up = handshake(plan)
    up.start()
    if mode is not TlsMode.DISABLE:
        up.receive(b"S")
        up.tls_started()
    effects = up.receive(request_)
    if is_allowed and (is_loopback or mode is TlsMode.VERIFY_CA):
        (sent,) = effects
        assert isinstance(sent, Send)
        assert sent.data[:1] == b"p"
        assert isinstance(up.receive(OK + GREETING)[-1], UpstreamReady)
    else:
        assert f"asks for {flag}" in last(effects).operator_note


@pytest.mark.parametrize("is_allowed", [True, False])
@pytest.mark.parametrize("is_loopback", [True, False])
def test_trust_needs_a_setting_and_loopback(
    is_allowed: bool, is_loopback: bool
) -> None:
    up = begun(replace(PLAN, allow_trust=is_allowed, is_loopback=is_loopback))
    effects = up.receive(OK + GREETING)
    if is_allowed and is_loopback:
        assert isinstance(effects[-1], UpstreamReady)
    else:
        assert "trust" in last(effects).operator_note


def test_a_server_that_skips_its_proof_is_refused() -> None:
    server = Server(handshake(replace(PLAN, allow_trust=True, is_loopback=True)))
    server.says(2, OK + GREETING)
    assert "out of order" in server.run().refused.operator_note


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (messages.AuthenticationUnsupported(7).encode(), "method 7"),
        (messages.AuthenticationSASL(("OAUTHBEARER",)).encode(), "SCRAM-SHA-256"),
        (messages.AuthenticationSASLFinal(b"v=").encode(), "out of order"),
        (messages.NegotiateProtocolVersion(0).encode(), "unasked"),
        (messages.ParameterStatus("a", "b").encode(), "before the end of login"),
        (READY, "before the end of login"),
        (b"D\0\0\0\x06\0\0", "unexpected message type 68"),
        (b"R\0\0\0\x03", "invalid length"),
        (b"R\x7f\xff\xff\xff", "invalid length"),
        (b"HTTP/1.1 400", "unexpected message type 72"),
    ],
)
def test_what_is_out_of_place_ends_the_login(data: bytes, note: str) -> None:
    assert note in last(begun().receive(data)).operator_note


@pytest.mark.parametrize(
    ("greeting", "note"),
    [
        (messages.ReadyForQuery(codes.IN_TRANSACTION).encode(), "not idle"),
        (OK, "before ReadyForQuery"),
        (messages.NegotiateProtocolVersion(0).encode(), "before ReadyForQuery"),
        (reported(x="y" * 29_000) * 10, "too much data"),
    ],
)
def test_what_is_out_of_place_after_login_ends_it(greeting: bytes, note: str) -> None:
    assert note in Server(handshake(), greeting=greeting).run().refused.operator_note


def test_without_a_password_none_is_answered() -> None:
    up = begun(replace(PLAN, password=None))
    assert "none is configured" in last(up.receive(SASL)).operator_note


def test_hanging_up_is_told_with_what_was_awaited() -> None:
    up = begun()
    assert "authentication request" in last(up.closed()).operator_note
    assert up.closed() == []
    assert up.receive(OK) == []


def test_a_setting_that_is_no_setting_ends_the_login_before_it_begins() -> None:
    effects = handshake(replace(PLAN, settings=(("user", "admin"),))).start()
    assert len(effects) == 1
    assert "user" in last(effects).report.message


def test_a_derived_key_is_awaited() -> None:
    up = begun()
    (sent,) = up.receive(SASL)
    assert isinstance(sent, Send)
    first = messages.SASLInitialResponse.decode(sent.data[5:]).data or b""
    secret = make_secret("right", salt=b"salt", iterations=1)
    challenge = ServerExchange((secret,), b"server-nonce").first(first)
    (ask,) = up.receive(messages.AuthenticationSASLContinue(challenge).encode())
    assert isinstance(ask, DeriveKey)
    assert up.receive(b"R") == []
    assert up.buffered == 1
    effects = up.receive(bytes(codes.MAX_UPSTREAM_LOGIN_TOTAL))
    assert "too much data" in last(effects).operator_note
    assert up.key_derived(ask.request, ask.request.derive()) == []


def test_a_key_nobody_asked_for_is_ignored() -> None:
    server = Server(handshake()).run()
    derive = next(e for e in server.effects if isinstance(e, DeriveKey))
    assert server.up.key_derived(derive.request, b"key") == []


@settings(max_examples=60)
@given(
    step=st.integers(1, 60),
    password=st.sampled_from(["right", "wrong"]),
    tail=st.binary(max_size=20),
)
def test_splitting_changes_nothing(step: int, password: str, tail: bytes) -> None:
    whole = Server(handshake(), password).run()
    split = Server(handshake(), password, step=step).run()
    assert split.effects == whole.effects


@settings(max_examples=300)
@given(
    prefix=st.sampled_from([b"", SASL, OK, OK + reported(), SASL + b"R\0\0\0\x20"]),
    chunks=st.lists(st.binary(max_size=60), max_size=6),
)
def test_any_bytes_give_effects_and_bounded_buffers(
    prefix: bytes, chunks: list[bytes]
) -> None:
    up = begun(replace(PLAN, allow_trust=True, is_loopback=True))
    effects: list[Effect] = []
    for chunk in [prefix, *chunks]:
        effects += up.receive(chunk)
        assert up.buffered <= codes.MAX_UPSTREAM_LOGIN_TOTAL
    assert not any(isinstance(effect, UpstreamReady) for effect in effects)
    refusals = [effect for effect in effects if isinstance(effect, UpstreamRefused)]
    assert len(refusals) <= 1
