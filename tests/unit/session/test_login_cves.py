"""What broke the logins of other Postgres proxies, tried on this one.

Each test names its CVE. What concerns the upstream's side (a long nonce or endless
iterations from a false server: CVE-2026-6665, CVE-2026-6669) is in
tests/unit/auth/test_scram.py, bytes before TLS (CVE-2021-3935) in test_login.py. There
is no counterpart to auth_query, whose search_path came from the client
(CVE-2025-12819): identities are not looked up by SQL.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from proxy.auth.identities import Identities, Identity
from proxy.auth.methods import Method
from proxy.auth.secrets import make_secret
from proxy.policy.decision import Decision
from proxy.policy.logins import Way, Ways
from proxy.session.exchange import Channel
from proxy.session.handshake import Send
from proxy.session.login import Login, Phase
from proxy.session.login_effects import (
    Authenticated,
    Effect,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.wire import codes, messages
from proxy.wire.startup import SSLRequest, StartupMessage
from tests.scram_speaker import ScramSpeaker

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
IDENTITIES = Identities(
    [
        Identity("ana", "developer", (SECRET,)),
        Identity("admin", "migrator", (SECRET,)),
        Identity(
            "old", "developer", (SECRET,), valid_until=datetime(2025, 1, 1, tzinfo=UTC)
        ),
    ]
)
WAYS = [
    Way("s", Method.SCRAM),
    Way("p", Method.SCRAM_PLUS),
    Way("c", Method.CERTIFICATE),
    Way("b", Method.CERTIFICATE_AND_SCRAM),
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.method))


def startup(user: str = "ana", **parameters: str) -> bytes:
    return StartupMessage(0, {"user": user} | parameters, ()).encode()


class Attack:
    """Bytes against a login, whose questions about names are answered."""

    def __init__(self, way: Way, *, tls: bool = True) -> None:
        rules = LoginRules(
            tls_available=True,
            plaintext_allowed=True,
            may_login=lambda _role, _database: Decision(True, "ok", "fine"),
            judge_setting=lambda *_: Decision(True, "ok", "fine"),
            ways=lambda _: Ways(way, WAYS[0]),
        )
        self.login = Login(rules, b"server-nonce", client_address="192.0.2.7")
        self.effects: list[Effect] = []
        self.asked: list[str] = []
        if tls:
            self.login.receive(SSLRequest().encode())
            self.login.tls_started(channel=Channel(b"e" * 32))

    def send(self, data: bytes) -> Attack:
        self._take(self.login.receive(data))
        assert self.login.buffered <= codes.MAX_LEFTOVER
        return self

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, NeedIdentity):
                self.asked.append(effect.user)
                mock = IDENTITIES.mock(effect.user, b"key")
                found = IDENTITIES.find(effect.user)
                self._take(self.login.identified(found, mock=mock, now=NOW))

    @property
    def refusal(self) -> Reject:
        assert not any(isinstance(each, Authenticated) for each in self.effects)
        last = self.effects[-1]
        assert isinstance(last, Reject), last
        return last


def sasl(length: int, data: bytes = b"n,,n=,r=abc") -> bytes:
    body = b"SCRAM-SHA-256\0" + struct.pack("!I", length % (1 << 32)) + data
    return b"p" + struct.pack("!i", len(body) + 4) + body


@EVERY_WAY
@pytest.mark.parametrize(
    "length", [0xFFFF_FFFF, 0xFFFF_FFFE, 0x8000_0000, 0x7FFF_FFFF, 12, 10, 0]
)
def test_a_length_inside_that_is_not_the_message_s(way: Way, length: int) -> None:
    """PgBouncer CVE-2026-6664: 18 + 0xFFFFFFFF wrapped round 32 bits."""
    refusal = Attack(way).send(startup()).send(sasl(length)).refusal
    assert refusal.report.sqlstate == "08P01"


@EVERY_WAY
@pytest.mark.parametrize(
    "length", [0x8000_0000, 0x8000_0001, 0xFFFF_FFFF, 0x7FFF_FFFF, 3, 0]
)
def test_a_header_of_a_length_that_nobody_waits_for(way: Way, length: int) -> None:
    """PgBouncer CVE-2026-6668 and CVE-2026-107348: above 2^31, before the login."""
    header = b"p" + struct.pack("!I", length)
    refusal = Attack(way).send(startup()).send(header).refusal
    assert refusal.report.sqlstate == "08P01"
    first = Attack(way).send(struct.pack("!I", length))
    assert isinstance(first.effects[-1], Reject)
    assert first.asked == []


@EVERY_WAY
def test_a_second_startup_packet_names_nobody_else(way: Way) -> None:
    """PgBouncer CVE-2026-107350: in the middle of SCRAM it changed who came in."""
    speaker = ScramSpeaker()
    first = messages.SASLInitialResponse("SCRAM-SHA-256", speaker.first()).encode()
    for before in (b"", first):
        attack = Attack(way).send(startup("ana")).send(before)
        attack.send(startup("admin"))
        assert isinstance(attack.refusal, Reject)
        assert attack.asked == ["ana"]


def test_a_second_startup_packet_behind_the_login_is_not_read() -> None:
    attack = Attack(WAYS[0]).send(startup("ana"))
    speaker = ScramSpeaker()
    attack.send(messages.SASLInitialResponse("SCRAM-SHA-256", speaker.first()).encode())
    said = [each.data for each in attack.effects if isinstance(each, Send)][-1]
    found = messages.decode_authentication(said[5:])
    assert isinstance(found, messages.AuthenticationSASLContinue)
    proof = messages.SASLResponse(speaker.final(found.data)).encode()
    attack.send(proof + startup("admin"))
    last = attack.effects[-1]
    assert isinstance(last, Authenticated)
    assert last.request.identity == "ana"
    assert attack.asked == ["ana"]
    assert attack.login.take_leftover() == startup("admin")


@EVERY_WAY
@pytest.mark.parametrize("options", ["-c=", "-c =", "--=", "-c", "-", "--", "-c x"])
def test_an_option_without_a_name_ends_the_login(way: Way, options: str) -> None:
    """PgBouncer CVE-2026-107349: -c= made it spin for ever."""
    attack = Attack(way).send(startup(options=options))
    assert attack.login.phase is Phase.CLOSED
    assert attack.asked == []


@pytest.mark.parametrize("size", [257, 900, 1_000_000])
def test_a_nonce_that_is_too_long(size: int) -> None:
    """Its own ceiling, and that of the message: nothing is copied anywhere."""
    attack = Attack(WAYS[0]).send(startup())
    data = b"n,,n=,r=" + b"a" * size
    message = messages.SASLInitialResponse("SCRAM-SHA-256", data).encode()
    for at in range(0, len(message), 4096):
        attack.send(message[at : at + 4096])
        if attack.login.phase is Phase.CLOSED:
            break
    assert attack.refusal.report.sqlstate == "08P01"
    assert attack.login.buffered == 0


def test_an_expired_secret_is_no_secret() -> None:
    """PgBouncer CVE-2025-2291: it let in by passwords that Postgres held expired."""
    attack = Attack(WAYS[0]).send(startup("old"))
    speaker = ScramSpeaker()
    attack.send(messages.SASLInitialResponse("SCRAM-SHA-256", speaker.first()).encode())
    said = [each.data for each in attack.effects if isinstance(each, Send)][-1]
    found = messages.decode_authentication(said[5:])
    assert isinstance(found, messages.AuthenticationSASLContinue)
    attack.send(messages.SASLResponse(speaker.final(found.data)).encode())
    assert attack.refusal.report.sqlstate == "28P01"


@EVERY_WAY
def test_a_search_path_of_the_client_s_reaches_nothing(way: Way) -> None:
    """PgBouncer CVE-2025-12819: it led auth_query to the client's own tables."""
    attack = Attack(way).send(startup("admin", search_path="evil", role="postgres"))
    assert attack.asked == ["admin"]
    assert not any(isinstance(each, Authenticated) for each in attack.effects)
