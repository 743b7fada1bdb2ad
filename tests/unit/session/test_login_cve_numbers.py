"""PgBouncer's mistakes at the login, tried here: each CVE by its number.

Those about bytes before TLS and errors without SQLSTATE have tests beside their code:
CVE-2021-3935 in test_login, CVE-2026-6666 in wire/test_errors_wire.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.auth.identities import Identities, Identity
from proxy.auth.scram import MAX_NONCE
from proxy.auth.scram_client import ClientExchange
from proxy.auth.secrets import make_secret
from proxy.errors import BackendError
from proxy.policy.decision import Decision
from proxy.session.login import Login, Phase
from proxy.session.login_effects import LoginRules, NeedIdentity, Reject
from proxy.wire import codes, messages
from proxy.wire.startup import StartupMessage

if TYPE_CHECKING:
    from proxy.session.login_effects import Effect
    from proxy.session.wish import Wish

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
IDENTITIES = Identities(
    [
        Identity("alice", "developer", (SECRET,)),
        Identity("old", "developer", (SECRET,), valid_until=PAST),
    ]
)


class Attempt:
    """A login whose questions about the policy are written down."""

    def __init__(self, user: str = "alice", **parameters: str) -> None:
        self.asked: list[str] = []
        fine = Decision(True, "ok", "fine")

        def may_login(role: str, _: str) -> Decision:
            self.asked.append(role)
            return fine

        def judge(_: str, __: Wish, name: str, value: str) -> Decision:
            self.asked.append(f"{name}={value}")
            return fine

        rules = LoginRules(
            tls_available=False,
            plaintext_allowed=True,
            may_login=may_login,
            judge_setting=judge,
        )
        self.login = Login(rules, b"server-nonce", client_address="192.0.2.7")
        packet = StartupMessage(0, {"user": user} | parameters, ()).encode()
        self.effects: list[Effect] = self.login.receive(packet)
        (need,) = self.effects
        assert isinstance(need, NeedIdentity)
        self.effects = self.login.identified(
            IDENTITIES.find(user), mock=IDENTITIES.mock(user, b"key"), now=NOW
        )

    def say(self, data: bytes) -> Attempt:
        self.effects = self.login.receive(data)
        return self

    def prove(self, password: str) -> Attempt:
        exchange = ClientExchange(password, b"nonce", min_iterations=1)
        first = messages.SASLInitialResponse("SCRAM-SHA-256", exchange.first())
        self.say(first.encode())
        (sent,) = self.effects
        found = messages.decode_authentication(sent.data[5:])  # type: ignore[union-attr]
        assert isinstance(found, messages.AuthenticationSASLContinue)
        answer = exchange.respond(exchange.challenge(found.data).derive())
        return self.say(messages.SASLResponse(answer).encode())

    @property
    def refusal(self) -> Reject:
        last = self.effects[-1]
        assert isinstance(last, Reject), last
        assert self.login.phase is Phase.CLOSED
        assert self.login.buffered == 0
        return last


@pytest.mark.parametrize(
    "parameters",
    [
        {"search_path": "evil,public"},
        {"options": "-c search_path=evil"},
        {"options": "--search-path=evil"},
    ],
)
def test_cve_2025_12819_nothing_of_a_stranger_is_used(
    parameters: dict[str, str],
) -> None:
    """A search_path in the startup packet steered the query that fetched secrets.

    Here no query fetches them, and a setting is not even judged before the proof.
    """
    attempt = Attempt(**parameters)
    assert attempt.asked == []
    attempt.prove("wrong")
    assert attempt.refusal.report.sqlstate == "28P01"
    assert attempt.asked == []
    right = Attempt(**parameters).prove("right")
    assert right.login.phase is Phase.AUTHENTICATED
    assert len(right.asked) == 2


def test_cve_2015_6817_an_unknown_name_is_nobody_else() -> None:
    """It fell back to the user that asks for secrets."""
    for name in ("ghost", "ALICE", "alice ", "alice\u200b"):
        attempt = Attempt(name).prove("right")
        assert attempt.refusal.report.sqlstate == "28P01"
        assert attempt.asked == []


def test_cve_2025_2291_an_expired_password_is_none() -> None:
    """The expiry that stands beside the secret was not looked at."""
    assert Attempt("old").prove("right").refusal.report.sqlstate == "28P01"


@pytest.mark.parametrize(
    "length",
    [-(2**31), -2, 1_000, 2**31 - 1, 2**31 - 5, 0x7FFFFFF0, -0x7FFFFFF0],
)
@pytest.mark.parametrize("payload", [b"", b"n,,n=,r=abc"])
def test_cve_2026_6664_lengths_that_overflow(length: int, payload: bytes) -> None:
    """The length of the SASL data, added to an offset, went round 32 bits."""
    body = b"SCRAM-SHA-256\0" + struct.pack("!i", length) + payload
    attempt = Attempt().say(messages.message(codes.PASSWORD, body))
    assert attempt.refusal.report.sqlstate == "08P01"


@pytest.mark.parametrize("length", [0, 3, 2**31 - 1, 0xFFFFFFFF, 0x80000004])
def test_cve_2026_6664_message_lengths_that_overflow(length: int) -> None:
    attempt = Attempt().say(b"p" + struct.pack("!I", length) + b"SCRAM-SHA-256\0")
    assert attempt.refusal.report.sqlstate == "08P01"


@pytest.mark.parametrize("length", [MAX_NONCE + 1, 900, 1_100, 60_000])
def test_cve_2026_6665_a_nonce_that_is_too_long(length: int) -> None:
    """It ran over a buffer of fixed size."""
    first = b"n,,n=,r=" + b"x" * length
    message = messages.SASLInitialResponse("SCRAM-SHA-256", first).encode()
    attempt = Attempt().say(message)
    assert attempt.refusal.report.sqlstate == "08P01"


def test_cve_2026_6665_the_longest_nonce_is_answered() -> None:
    first = b"n,,n=,r=" + b"x" * MAX_NONCE
    message = messages.SASLInitialResponse("SCRAM-SHA-256", first).encode()
    attempt = Attempt().say(message)
    assert attempt.login.phase is Phase.PROOF
    final = b"c=biws,r=" + b"x" * 900 + b",p=AAAA"
    attempt.say(messages.SASLResponse(final).encode())
    assert attempt.refusal.report.sqlstate in {"08P01", "28P01"}


def test_cve_2026_6665_a_server_with_a_nonce_that_is_too_long() -> None:
    """The other side: pgwarden as a client of its upstream."""
    exchange = ClientExchange("right", b"nonce", min_iterations=1)
    exchange.first()
    with pytest.raises(BackendError):
        exchange.challenge(b"r=nonce" + b"x" * 10_000 + b",s=AAAA,i=4096")
