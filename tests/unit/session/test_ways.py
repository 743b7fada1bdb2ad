"""Each way to log in through the login machine: what is asked, what is told, when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from proxy.auth.client_certificates import CertificateName, ClientCertificate
from proxy.auth.identities import Identities, Identity
from proxy.auth.methods import Method
from proxy.auth.secrets import make_secret
from proxy.policy.decision import Decision
from proxy.policy.logins import NO_RULE, Way, Ways
from proxy.session.exchange import Channel, Verification
from proxy.session.handshake import Send
from proxy.session.login import Login
from proxy.session.login_effects import (
    Authenticated,
    Effect,
    LoginRequest,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.session.wish import Outcome
from proxy.wire import messages
from proxy.wire.startup import SSLRequest, StartupMessage
from tests.scram_speaker import END_POINT, ScramSpeaker

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
HERS = CertificateName(common_name="ana")
IDENTITIES = Identities(
    [
        Identity("ana", "developer", (SECRET,)),
        Identity("job", "migrator", (), certificate=CertificateName(uri="x:job")),
        Identity("off", "migrator", (), disabled=True, certificate=HERS),
    ]
)
END = b"e" * 32
SCRAM = Way("s", Method.SCRAM)
PLUS = Way("p", Method.SCRAM_PLUS)
REJECT = Way("r", Method.REJECT, "the office is closed", "come tomorrow")
PLUS_NAME, PLAIN = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"
BOTH = f"{PLUS_NAME} {PLAIN}"
NOBODY = Way(NO_RULE, Method.REJECT, "no rule")


@dataclass
class Knocking:
    """A client with a password against a login under given ways."""

    own: Way
    stranger: Way
    user: str = "ana"
    password: str = "right"
    channel: Channel | None = None
    binds: bool = False
    chooses: str = ""
    hint: str = ""
    told: list[str] = field(default_factory=list)
    """What was sent: names of SASL mechanisms, "ok", or the text of an error."""
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        rules = LoginRules(
            tls_available=True,
            plaintext_allowed=True,
            may_login=lambda _role, _database: Decision(True, "ok", "fine"),
            judge_setting=lambda *_: Decision(True, "ok", "fine"),
            ways=lambda _: Ways(self.own, self.stranger, self.hint),
        )
        self.login = Login(rules, b"server-nonce", client_address="192.0.2.7")
        bound_to = END if self.binds else b""
        flag = END_POINT if self.binds else b"n"
        self.scram = ScramSpeaker(self.password, flag=flag, bound_to=bound_to)
        if self.channel is not None:
            self.login.receive(SSLRequest().encode())
            self.login.tls_started(channel=self.channel)
        self._do(
            self.login.receive(StartupMessage(0, {"user": self.user}, ()).encode())
        )

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case NeedIdentity(user):
                    mock = IDENTITIES.mock(user, b"key")
                    found = IDENTITIES.find(user)
                    self._do(self.login.identified(found, mock=mock, now=NOW))
                case Send(data):
                    self._answer(data)
                case Reject():
                    self.told.append(effect.report.message)
                case _:
                    pass

    def _answer(self, data: bytes) -> None:
        match messages.decode_authentication(data[5:]):
            case messages.AuthenticationSASL(offers):
                self.told.append(" ".join(offers))
                name = self.chooses or (offers[0] if self.binds else PLAIN)
                first = messages.SASLInitialResponse(name, self.scram.first())
                self._do(self.login.receive(first.encode()))
            case messages.AuthenticationSASLContinue(challenge):
                answer = messages.SASLResponse(self.scram.final(challenge))
                self._do(self.login.receive(answer.encode()))
            case messages.AuthenticationOk():
                self.told.append("ok")
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
        return last


@pytest.mark.parametrize("way", [SCRAM, PLUS])
@pytest.mark.parametrize(
    ("channel", "offers"),
    [(None, PLAIN), (Channel(), PLAIN), (Channel(END), BOTH)],
)
def test_binding_is_offered_where_it_can_be(
    way: Way, channel: Channel | None, offers: str
) -> None:
    """And whatever the rule demands: an offer tells nothing of the name."""
    assert Knocking(way, way, channel=channel).told[0] == offers
    assert Knocking(way, way, "ghost", channel=channel).told[0] == offers


def test_a_password_login_says_how_it_was() -> None:
    plain = Knocking(SCRAM, SCRAM, channel=Channel(END)).request
    assert (plain.authentication, plain.login_rule) == ("scram-sha-256", "s")
    bound = Knocking(SCRAM, SCRAM, channel=Channel(END), binds=True).request
    assert bound.authentication == "scram-sha-256-plus"
    demanded = Knocking(PLUS, SCRAM, channel=Channel(END), binds=True).request
    assert (demanded.authentication, demanded.login_rule) == ("scram-sha-256-plus", "p")


@pytest.mark.parametrize("channel", [None, Channel(), Channel(END)])
def test_where_binding_is_demanded_the_password_alone_is_not_enough(
    channel: Channel | None,
) -> None:
    refusal = Knocking(PLUS, SCRAM, channel=channel).refusal
    assert "must be bound to its TLS channel" in refusal.report.message
    assert refusal.report.detail == "Rule p."
    assert "channel_binding=require" in refusal.report.hint
    assert refusal.outcome is Outcome.POLICY


def test_that_binding_is_demanded_is_told_after_the_password_only() -> None:
    wrong = Knocking(PLUS, SCRAM, password="wrong", channel=Channel(END)).refusal
    assert wrong.report.message == 'password authentication failed for user "ana"'


def test_somebody_in_the_middle_is_refused() -> None:
    middle = Knocking(SCRAM, SCRAM, channel=Channel(b"other" * 7), binds=True)
    assert middle.refusal.report.message == "SCRAM channel binding check failed"
    assert "ok" not in middle.told


def test_plus_can_not_be_chosen_where_it_was_not_offered() -> None:
    knocking = Knocking(SCRAM, SCRAM, channel=Channel(), binds=True, chooses=PLUS_NAME)
    assert knocking.told[-1] == (
        "client selected an invalid SASL authentication mechanism"
    )


# --- rejections, and what a stranger sees --------------------------------------


@pytest.mark.parametrize("user", ["ana", "ghost"])
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_rejection_of_everybody_is_told_at_once(user: str, password: str) -> None:
    knocking = Knocking(REJECT, REJECT, user, password)
    assert knocking.told == [f'"{user}" may not log in: the office is closed']
    report = knocking.refusal.report
    assert (report.sqlstate, report.detail, report.hint) == (
        "28000",
        "Rule r.",
        "come tomorrow",
    )


@pytest.mark.parametrize("way", [REJECT, NOBODY])
def test_a_rejection_of_some_is_told_to_who_proves_to_be_one(way: Way) -> None:
    told = Knocking(way, SCRAM)
    assert told.told == [PLAIN, f'"ana" may not log in: {way.reason}']
    assert told.refusal.outcome is Outcome.POLICY
    wrong = Knocking(way, SCRAM, password="wrong")
    ghost = Knocking(SCRAM, SCRAM, "ghost")
    assert wrong.told == [PLAIN, 'password authentication failed for user "ana"']
    assert ghost.told == [PLAIN, 'password authentication failed for user "ghost"']


def test_who_is_rejected_where_strangers_are_is_told_what_they_are() -> None:
    """Another rule, but no other way: nothing to be told apart by."""
    knocking = Knocking(NOBODY, REJECT)
    assert knocking.told == ['"ana" may not log in: the office is closed']


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    knocking = Knocking(SCRAM, SCRAM, password="wrong")
    answer = Verification(IDENTITIES.find("ana"))
    assert knocking.login.verified(answer) == []


# --- client certificates ---------------------------------------------------------

ANYONES = CertificateName(common_name="{identity}")
BY_CERTIFICATE = Way("c", Method.CERTIFICATE, certificate=ANYONES)
BY_BOTH = Way("b", Method.CERTIFICATE_AND_SCRAM, certificate=ANYONES)


def came(*names: tuple[str, str], year: int = 2027) -> Channel:
    """TLS in which a certificate with these names was shown."""
    shown = ClientCertificate(
        "CN=shown",
        "CN=CA",
        255,
        names,
        valid_from=datetime(2025, 1, 1, tzinfo=UTC),
        valid_until=datetime(year, 1, 1, tzinfo=UTC),
        issuer_der=b"",
    )
    return Channel(END, shown)


ANA, JOB = came(("common_name", "ana")), came(("uri", "x:job"))


@pytest.mark.parametrize(("user", "channel"), [("ana", ANA), ("job", JOB)])
@pytest.mark.parametrize("stranger", [BY_CERTIFICATE, SCRAM, REJECT])
def test_the_right_certificate_is_enough(
    user: str, channel: Channel, stranger: Way
) -> None:
    """The identity's own word goes before the rule's."""
    knocking = Knocking(BY_CERTIFICATE, stranger, user, "", channel=channel)
    assert knocking.told == ["ok"]
    request = knocking.request
    assert (request.identity, request.authentication) == (user, "certificate")
    assert dict(request.proof) == {
        "subject": "CN=shown",
        "issuer": "CN=CA",
        "serial": "FF",
    }
    assert request.certificate is channel.certificate


def test_certificate_and_password_are_both_needed() -> None:
    request = Knocking(BY_BOTH, SCRAM, channel=ANA).request
    assert request.authentication == "certificate+scram-sha-256"
    bound = Knocking(BY_BOTH, SCRAM, channel=ANA, binds=True).request
    assert bound.authentication == "certificate+scram-sha-256-plus"
    wrong = Knocking(BY_BOTH, BY_BOTH, password="wrong", channel=ANA)
    assert wrong.told[-1] == 'password authentication failed for user "ana"'


def test_an_identity_without_a_password_has_none_to_guess() -> None:
    for password in ("", "right"):
        knocking = Knocking(SCRAM, SCRAM, "job", password)
        assert knocking.told == [
            PLAIN,
            'password authentication failed for user "job"',
        ]
        assert knocking.refusal.operator_note == "the identity has no password"


LACKING = [
    ("ana", None),
    ("ana", Channel(END)),
    ("ana", JOB),
    ("ana", came(("email", "ana"))),
    ("ana", came(("common_name", "ana"), year=2026)),
    ("job", ANA),
    ("job", came(("common_name", "job"))),
    ("off", ANA),
    ("ghost", came(("common_name", "ghost"))),
]


@pytest.mark.parametrize("way", [BY_CERTIFICATE, BY_BOTH])
@pytest.mark.parametrize(("user", "channel"), LACKING)
def test_who_lacks_it_is_told_what_a_stranger_is_told(
    way: Way, user: str, channel: Channel | None
) -> None:
    knocking = Knocking(way, way, user, channel=channel)
    stranger = Knocking(way, way, "nobody", channel=channel)
    assert [said.replace(user, "nobody") for said in knocking.told] == stranger.told
    assert len(knocking.told) == 1
    assert knocking.refusal.report.sqlstate == "28000"


@pytest.mark.parametrize("way", [BY_CERTIFICATE, BY_BOTH])
@pytest.mark.parametrize(("user", "channel"), LACKING)
def test_who_lacks_it_goes_the_strangers_way_in_vain(
    way: Way, user: str, channel: Channel | None
) -> None:
    """With the right password too: half a proof must not be told from none."""
    knocking = Knocking(way, SCRAM, user, "right", channel=channel)
    stranger = Knocking(SCRAM, SCRAM, "nobody", channel=channel)
    assert [said.replace(user, "nobody") for said in knocking.told] == stranger.told
    assert knocking.refusal.report.sqlstate == "28P01"


@pytest.mark.parametrize("user", ["ana", "ghost"])
def test_nobody_comes_in_by_the_strangers_certificate(user: str) -> None:
    """The rules reject her, and would let a stranger try a certificate: hers fits."""
    knocking = Knocking(REJECT, BY_CERTIFICATE, user, channel=ANA)
    assert knocking.told == [f'certificate authentication failed for user "{user}"']


def test_the_hint_is_the_same_for_all() -> None:
    for user in ("ana", "job", "ghost"):
        knocking = Knocking(SCRAM, SCRAM, user, "wrong", hint="look here")
        assert knocking.refusal.report.hint == "look here"
