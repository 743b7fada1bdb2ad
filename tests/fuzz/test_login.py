"""Logins of clients that know the password and garble what they say.

Whatever becomes of their bytes, nothing but the very exchange lets anybody in, no error
but the typed ones comes out, buffers stay flat, and where the bytes are split changes
nothing. The login machine is the only way to `Authenticated`, before which nothing is
dialled.
"""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from typing_extensions import override

from proxy.auth import bearer
from proxy.auth.client_certificates import CertificateName, ClientCertificate
from proxy.auth.identities import Identities, Identity
from proxy.auth.methods import Method
from proxy.auth.secrets import make_secret
from proxy.policy.decision import Decision
from proxy.policy.logins import Way, Ways
from proxy.session.exchange import Channel, NeedVerification, Verification
from proxy.session.handshake import Send, StartTls
from proxy.session.login import Login
from proxy.session.login_effects import (
    Authenticated,
    Effect,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.wire import codes, messages
from proxy.wire.startup import SSLRequest, StartupMessage
from tests.scram_speaker import END_POINT, ScramSpeaker

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
pytestmark = pytest.mark.timeout(3_000 if DEEP else 60)
FUZZ = settings(
    max_examples=20_000 if DEEP else 400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
seeds = st.integers(0, 1 << 48).map(Random)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
NAME = CertificateName(common_name="{identity}")
IDENTITIES = Identities(
    [
        Identity("ana", "developer", (SECRET,)),
        Identity("off", "developer", (SECRET,), disabled=True),
        Identity("bare", "developer", (), certificate=CertificateName(uri="x:bare")),
    ]
)
HASH = b"h" * 32
TOKEN = b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
WAYS = [Way(str(m), m, "no", certificate=NAME) for m in Method]
SCRAM = Way("s", Method.SCRAM)


def shown(*names: tuple[str, str]) -> ClientCertificate:
    return ClientCertificate(
        "CN=x",
        "CN=CA",
        1,
        names,
        valid_from=datetime(2025, 1, 1, tzinfo=UTC),
        valid_until=datetime(2027, 1, 1, tzinfo=UTC),
        issuer_der=b"",
    )


class Door:
    """A login machine with its shell; what it sends is kept."""

    def __init__(self, ways: Ways, channel: Channel | None) -> None:
        rules = LoginRules(
            tls_available=True,
            plaintext_allowed=True,
            may_login=lambda _role, _database: Decision(True, "ok", "fine"),
            judge_setting=lambda *_: Decision(True, "ok", "fine"),
            ways=lambda _: ways,
        )
        self.login = Login(rules, b"server-nonce", client_address="192.0.2.7")
        self.effects: list[Effect] = []
        self.sent: list[bytes] = []
        if channel is not None:
            self.login.receive(SSLRequest().encode())
            self.login.tls_started(channel=channel)

    def feed(self, data: bytes) -> None:
        self._take(self.login.receive(data))
        assert self.login.buffered <= codes.MAX_LEFTOVER

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert not self.is_over(), "something came after the end"
            self.effects.append(effect)
            match effect:
                case Send(data):
                    self.sent.append(data)
                case NeedIdentity(user):
                    mock = IDENTITIES.mock(user, b"key")
                    found = IDENTITIES.find(user)
                    self._take(self.login.identified(found, mock=mock, now=NOW))
                case StartTls():
                    self._take(self.login.tls_started(channel=Channel(HASH)))
                case _:
                    pass

    def is_over(self) -> bool:
        return bool(self.effects) and isinstance(
            self.effects[-1], Reject | Authenticated
        )

    @property
    def is_in(self) -> bool:
        return any(isinstance(each, Authenticated) for each in self.effects)


def garbled(data: bytes, seed: Random) -> bytes:
    """Something else than `data`, most often nearly the same."""
    raw = bytearray(data)
    for _ in range(seed.choice([1, 1, 1, 2, 5])):
        at = seed.randrange(len(raw) + 1)
        match seed.randrange(8):
            case 0 if at < len(raw):
                raw[at] ^= 1 << seed.randrange(8)
            case 1:
                raw[at:at] = seed.randbytes(seed.choice([1, 1, 4, 300]))
            case 2:
                del raw[at : at + seed.choice([1, 1, 4, 60])]
            case 3:
                raw[at:at] = seed.choice(
                    [b",", b"=", b",m=x", b",p=AAAA", b"n,,", b"y,,", b"\0", b"p=x,,"]
                )
            case 4:
                pieces = bytes(raw).split(b",")
                seed.shuffle(pieces)
                raw = bytearray(b",".join(pieces))
            case 5:
                raw += raw[at:]
            case 6 if len(raw) > 4:
                number = seed.choice([0, 3, 2**31 - 1, 2**31, 2**32 - 1, 70_000])
                at = seed.randrange(len(raw) - 3)
                raw[at : at + 4] = struct.pack("!I", number)
            case _:
                raw = bytearray(bytes(raw).swapcase())
    return bytes(raw) if raw != data else data + b"\0"


def talk(door: Door, user: str, seed: Random | None, *, is_bound: bool) -> None:
    """Log in by the right password; with a seed, one message is garbled on the way."""
    broken = -1 if seed is None else seed.randrange(3)
    flag, bound_to = (END_POINT, HASH) if is_bound else (b"n", b"")
    speaker = ScramSpeaker(flag=flag, bound_to=bound_to)

    def say(number: int, data: bytes) -> None:
        # Either the message is garbled with its frame, or what is in it.
        if seed is not None and number == broken:
            whole, data = data, garbled(data, seed)
            if data.startswith(whole):
                # What comes behind the last message is no matter of the login.
                data = data[1:]
        door.feed(data)

    # A garbled startup packet may be a right one of another meaning: not garbled here.
    door.feed(StartupMessage(0, {"user": user}, ()).encode())
    if door.is_over() or not door.sent:
        return
    mechanism = codes.SCRAM_SHA_256_PLUS if is_bound else codes.SCRAM_SHA_256
    inner = speaker.first()
    if seed is not None and broken == 2:
        inner = garbled(inner, seed)
    say(0, messages.SASLInitialResponse(mechanism, inner).encode())
    if door.is_over():
        return
    challenge = door.sent[-1]
    if challenge[:1] != b"R" or challenge[8:9] != b"\x0b":
        return
    final = speaker.final(challenge[9:])
    if seed is not None and broken == 1 and seed.random() < 0.7:
        # Inside the frame, which stays right.
        door.feed(messages.SASLResponse(garbled(final, seed)).encode())
    else:
        say(1, messages.SASLResponse(final).encode())


channels = st.sampled_from([None, Channel(), Channel(HASH)])


@pytest.mark.parametrize("is_bound", [True, False])
def test_what_is_not_garbled_comes_in(is_bound: bool) -> None:
    """So the tests below can fail."""
    door = Door(Ways(SCRAM, SCRAM), Channel(HASH))
    talk(door, "ana", None, is_bound=is_bound)
    assert door.is_in


@FUZZ
@given(
    seed=seeds,
    own=st.sampled_from(WAYS),
    stranger=st.sampled_from(WAYS),
    channel=channels,
    user=st.sampled_from(["ana", "off", "bare", "nobody"]),
)
def test_a_garbled_login_is_none(
    seed: Random, own: Way, stranger: Way, channel: Channel | None, user: str
) -> None:
    door = Door(Ways(own, stranger), channel)
    talk(door, user, seed, is_bound=channel == Channel(HASH) and seed.random() < 0.5)
    assert not door.is_in


@FUZZ
@given(
    seed=seeds,
    own=st.sampled_from(WAYS),
    channel=channels,
    user=st.sampled_from(["ana", "off", "bare", "nobody"]),
    pieces=st.lists(st.binary(max_size=60), max_size=8),
)
def test_any_bytes_are_no_login(
    seed: Random, own: Way, channel: Channel | None, user: str, pieces: list[bytes]
) -> None:
    door = Door(Ways(own, SCRAM), channel)
    door.feed(StartupMessage(0, {"user": user}, ()).encode())
    for piece in pieces:
        framed = messages.message(codes.PASSWORD, piece)
        door.feed(framed if seed.random() < 0.7 else piece)
    assert not door.is_in


@FUZZ
@given(
    own=st.sampled_from([way for way in WAYS if way.certificate]),
    stranger=st.sampled_from(WAYS),
    user=st.sampled_from(["ana", "off", "bare", "nobody"]),
    names=st.lists(
        st.tuples(
            st.sampled_from(["email", "dns", "uri", "common_name"]),
            st.sampled_from(["ana", "off", "bare", "nobody", "x:bare", "ana\0", "*"]),
        ),
        max_size=3,
    ),
)
def test_a_certificate_lets_in_its_own_identity_alone(
    own: Way, stranger: Way, user: str, names: list[tuple[str, str]]
) -> None:
    door = Door(Ways(own, stranger), Channel(HASH, shown(*names)))
    door.feed(StartupMessage(0, {"user": user}, ()).encode())
    is_theirs = (user == "ana" and ("common_name", "ana") in names) or (
        user == "bare" and ("uri", "x:bare") in names
    )
    assert door.is_in is (own.method is Method.CERTIFICATE and is_theirs)


@FUZZ
@given(
    number=st.integers(0, 1 << 48), own=st.sampled_from(WAYS), size=st.integers(1, 40)
)
def test_where_a_login_is_split_changes_nothing(
    number: int, own: Way, size: int
) -> None:
    for seed in (None, number):
        whole = Door(Ways(own, SCRAM), Channel(HASH))
        split = SplitDoor(Ways(own, SCRAM), Channel(HASH), size)
        for door in (whole, split):
            garbles = None if seed is None else Random(seed)
            talk(door, "ana", garbles, is_bound=False)
        assert split.is_in is whole.is_in
        assert split.sent == whole.sent


class TokenDoor(Door):
    """A shell beside the machine that takes one token, of one identity."""

    def __init__(self, method: Method, size: int) -> None:
        super().__init__(Ways(Way("t", method, issuer="i"), SCRAM), Channel(HASH))
        self.asked: list[bytes] = []
        self._size = size

    @override
    def feed(self, data: bytes) -> None:
        for at in range(0, len(data), self._size):
            if not self.is_over():
                super().feed(data[at : at + self._size])

    @override
    def _take(self, effects: list[Effect]) -> None:
        super()._take(effects)
        for effect in effects:
            if isinstance(effect, NeedVerification):
                self.asked.append(effect.credential)
                is_right = (effect.user, effect.credential) == ("ana", TOKEN)
                answer = Verification(IDENTITIES.find("ana") if is_right else None)
                super()._take(self.login.verified(answer))


def said_by_token(method: Method, user: str) -> list[bytes]:
    """What a client says that has the right one."""
    message = messages.PasswordMessage(TOKEN).encode()
    if method is Method.OAUTH:
        first = b"n,,\x01auth=Bearer " + TOKEN + b"\x01\x01"
        message = messages.SASLInitialResponse(bearer.MECHANISM, first).encode()
    return [StartupMessage(0, {"user": user}, ()).encode(), message]


@pytest.mark.parametrize("method", [Method.TOKEN, Method.OAUTH])
def test_a_token_that_is_not_garbled_comes_in(method: Method) -> None:
    """So the test below can fail."""
    door = TokenDoor(method, 1 << 16)
    for each in said_by_token(method, "ana"):
        door.feed(each)
    assert door.is_in
    assert door.asked == [TOKEN]


@FUZZ
@given(
    number=st.integers(0, 1 << 48),
    method=st.sampled_from([Method.TOKEN, Method.OAUTH]),
    user=st.sampled_from(["ana", "off", "bare", "nobody"]),
    is_framed=st.booleans(),
    size=st.integers(1, 200),
)
def test_no_token_is_read_out_of_what_does_not_hold_it(
    number: int, method: Method, user: str, is_framed: bool, size: int
) -> None:
    start, message = said_by_token(method, user)
    garbles = Random(number)
    if is_framed:
        # Inside the frame, which stays right.
        message = messages.message(codes.PASSWORD, garbled(message[5:], garbles))
    else:
        message = garbled(message, garbles)
    whole, split = TokenDoor(method, 1 << 16), TokenDoor(method, size)
    for door in (whole, split):
        door.feed(start)
        door.feed(message)
    assert all(token in message for token in whole.asked)
    # A space more, "BEARER" or another frame's end: the token is the same one.
    assert whole.is_in is (user == "ana" and whole.asked[-1:] == [TOKEN])
    assert (split.asked, split.is_in) == (whole.asked, whole.is_in)


class SplitDoor(Door):
    """Gets what is sent in pieces."""

    def __init__(self, ways: Ways, channel: Channel, size: int) -> None:
        super().__init__(ways, channel)
        self._size = size

    @override
    def feed(self, data: bytes) -> None:
        for at in range(0, len(data), self._size):
            super().feed(data[at : at + self._size])
