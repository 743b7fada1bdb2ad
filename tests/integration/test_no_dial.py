"""Whoever has not logged in reaches no upstream: not one connection, by any way.

The upstream is a socket that counts who comes; only pgwarden's look whether it is up
is left out. A client that is let in is counted, so the count can be wrong.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml
from typing_extensions import override

from proxy.auth.secrets import make_secret
from proxy.wire import messages
from proxy.wire.startup import CancelRequest, SSLRequest, StartupMessage
from tests.authority import DAY, Authority
from tests.fix_proxy import Proxies, ungated_text
from tests.integration.knocker import PLAIN, PLUS, Knocker, Listening, lenient
from tests.integration.rig import eventually, query
from tests.key_server import KeyServer
from tests.scram_speaker import END_POINT, ScramSpeaker
from tests.unit.auth.token_maker import AUDIENCE, ec_key, key_set, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy
    from tests.unit.auth.token_maker import Key

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

OUR_LOOK = "pgwarden"
"""What pgwarden calls itself on its own account: nobody asked for it."""
RULES = """
authentication:
  - {id: w.plus, when: {identities: plus}, method: scram-plus}
  - {id: w.certificate, when: {identities: certificate}, method: certificate}
  - {id: w.both, when: {identities: both}, method: certificate+scram}
  - {id: w.token, when: {identities: token}, method: token, issuer: forge}
  - {id: w.oauth, when: {identities: oauth}, method: oauth, issuer: forge}
  - {id: w.away, when: {identities: away}, method: reject, reason: stay away}
  - {id: w.rest, when: {roles: [developer]}, method: scram}
"""
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=4096).encode()
NAMES = ("scram", "plus", "certificate", "both", "token", "oauth", "away", "nobody")
BY_TOKEN = ("token", "oauth")
FORGE, STRANGER = ec_key("forge"), ec_key("forge")
TERMINATE = b"X\0\0\0\x04"


class Upstream(Listening):
    """A port of which it is known who came: what startup packets call themselves."""

    def __init__(self) -> None:
        self.names: list[str] = []
        super().__init__()

    @override
    def meet(self, client: socket.socket) -> None:
        self.names.append(_application(client.recv(4096)))

    def came(self) -> list[str]:
        return [name for name in self.names if name != OUR_LOOK]


def _application(packet: bytes) -> str:
    words = packet[8:].split(b"\0")
    if b"application_name" not in words:
        return "without a name"
    return words[words.index(b"application_name") + 1].decode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as listening:
        yield listening


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with KeyServer(tmp_path_factory.mktemp("issuer") / "ca.pem") as found:
        found.publish(key_set(FORGE))
        yield found


@pytest.fixture(scope="module")
def proxy(
    clusters: Clusters,
    postgres17: Cluster,
    upstream: Upstream,
    authority: Authority,
    issuer: KeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("door")
    ours = trustme.CA().issue_cert("localhost")
    ours.cert_chain_pems[0].write_to_path(folder / "server.pem")
    ours.private_key_pem.write_to_path(folder / "server.key")
    policy = folder / "policy.yaml"
    policy.write_text(ungated_text() + RULES)
    identities = [
        {
            "name": name,
            "role": "developer",
            "secret": SECRET,
            "certificate": {"common_name": name},
        }
        | (
            {"token": {"issuer": "forge", "claims": {"sub": name}}}
            if name in BY_TOKEN
            else {}
        )
        for name in NAMES[:-1]
    ]
    (folder / "identities.yaml").write_text(
        yaml.safe_dump({"version": 1, "identities": identities})
    )
    proxies = Proxies(clusters)
    yield proxies.start(
        postgres17,
        policy=policy,
        settings={
            "identities": str(folder / "identities.yaml"),
            "upstream": {"host": "127.0.0.1", "port": upstream.port},
            "tls": {
                "certificate": str(folder / "server.pem"),
                "key": str(folder / "server.key"),
                "client_ca": str(authority.path),
            },
            "issuers": {
                "forge": {"url": issuer.url, "audience": AUDIENCE, "ca": str(issuer.ca)}
            },
            "limits": {"login_timeout_s": 3.0},
        },
    )
    proxies.stop()


# --- what strangers do ---------------------------------------------------------------


def leaves(knocker: Knocker, user: str) -> None:
    knocker.start(user)


def asks_before_the_login(knocker: Knocker, user: str) -> None:
    knocker.start(user).send(query("select 1"))
    knocker.error()


def asks_in_the_same_packet(knocker: Knocker, user: str) -> None:
    packet = StartupMessage(0, {"user": user, "database": "postgres"}, ())
    knocker.send(packet.encode() + query("select 1") + TERMINATE)
    knocker.error()


def gives_a_wrong_password(knocker: Knocker, user: str) -> None:
    knocker.start(user)
    if _asks(knocker):
        knocker.prove("wrong").error()


def gives_a_wrong_password_and_asks(knocker: Knocker, user: str) -> None:
    knocker.start(user)
    if _asks(knocker):
        knocker.prove("wrong").send(query("select 1"))
        knocker.error()


def is_bound_to_another(knocker: Knocker, user: str) -> None:
    knocker.start(user)
    if not _asks(knocker):
        return
    speaker = ScramSpeaker(flag=END_POINT, bound_to=b"x" * 32)
    knocker.choose(PLUS, speaker.first())
    kind, body = knocker.hear()
    if kind == "R":
        knocker.send(messages.SASLResponse(speaker.final(body[4:])).encode()).error()


def sends_the_password_itself(knocker: Knocker, user: str) -> None:
    knocker.start(user).send(messages.PasswordMessage(b"right").encode()).error()


def says_that_it_is_in(knocker: Knocker, user: str) -> None:
    knocker.start(user).send(b"R\0\0\0\x08\0\0\0\0" + query("select 1")).error()


def names_another_afterwards(knocker: Knocker, user: str) -> None:
    knocker.start(user).start("scram").error()


def stops_half_way(knocker: Knocker, user: str) -> None:
    knocker.start(user)
    if _asks(knocker):
        knocker.choose(PLAIN, ScramSpeaker().first()).asked()


def cancels(knocker: Knocker, user: str) -> None:
    knocker.send(CancelRequest(1, b"k" * 4).encode())


def asks_for_replication(knocker: Knocker, user: str) -> None:
    packet = StartupMessage(0, {"user": user, "replication": "database"}, ())
    knocker.send(packet.encode()).error()


def _asks(knocker: Knocker) -> bool:
    """Whether a password is asked for by SCRAM; else it is a token, or the refusal."""
    kind, body = knocker.hear()
    return kind == "R" and PLAIN.encode() in body


STRANGERS = [
    leaves,
    asks_before_the_login,
    asks_in_the_same_packet,
    gives_a_wrong_password,
    gives_a_wrong_password_and_asks,
    is_bound_to_another,
    sends_the_password_itself,
    says_that_it_is_in,
    names_another_afterwards,
    stops_half_way,
    cancels,
    asks_for_replication,
]


@pytest.mark.parametrize("does", STRANGERS, ids=lambda does: str(does.__name__))
def test_a_stranger_reaches_no_upstream(
    proxy: Proxy,
    upstream: Upstream,
    authority: Authority,
    does: Callable[[Knocker, str], None],
) -> None:
    other = authority.issue("somebody-else").chain
    for user in NAMES:
        for tls in (None, lenient(), lenient(other)):
            with Knocker(proxy.host, proxy.port, tls=tls) as knocker:
                does(knocker, user)
    assert upstream.came() == []


@pytest.mark.parametrize(
    ("user", "password", "shows"),
    [
        ("plus", "right", ""),
        ("certificate", "right", ""),
        ("both", "right", ""),
        ("both", "wrong", "both"),
        ("away", "right", ""),
        ("away", "right", "away"),
        ("plus", "right", "plus"),
        ("nobody", "right", "nobody"),
    ],
)
def test_half_a_proof_reaches_no_upstream(
    proxy: Proxy,
    upstream: Upstream,
    authority: Authority,
    user: str,
    password: str,
    shows: str,
) -> None:
    chain = authority.issue(shows).chain if shows else None
    with Knocker(proxy.host, proxy.port, tls=lenient(chain)) as knocker:
        knocker.start(user)
        if _asks(knocker):
            assert not knocker.prove(password).is_in()
    assert upstream.came() == []


def token(issuer: KeyServer, key: Key, **change: object) -> bytes:
    claims = {"iss": issuer.url, "aud": AUDIENCE, "exp": int(time.time()) + 60}
    return key.sign(claims | change)


def shows(knocker: Knocker, user: str, shown: bytes) -> None:
    """Answer the question with this token, by the way that the name has."""
    found = knocker.start(user).asked()
    if isinstance(found, messages.AuthenticationSASL):
        assert found.mechanisms == ("OAUTHBEARER",)
        knocker.choose("OAUTHBEARER", b"n,,\x01auth=Bearer " + shown + b"\x01\x01")
    else:
        knocker.send(messages.PasswordMessage(shown).encode())


@pytest.mark.parametrize("user", BY_TOKEN)
def test_a_token_that_is_not_good_reaches_no_upstream(
    proxy: Proxy, upstream: Upstream, issuer: KeyServer, user: str
) -> None:
    wrong = [
        b"",
        b"right",
        unsigned({"iss": issuer.url, "aud": AUDIENCE, "sub": user}),
        token(issuer, STRANGER, sub=user),
        token(issuer, FORGE, sub="somebody else"),
        token(issuer, FORGE, sub=user, aud="another"),
        token(issuer, FORGE, sub=user, exp=int(time.time()) - 60),
    ]
    for each in wrong:
        with Knocker(proxy.host, proxy.port, tls=lenient()) as knocker:
            shows(knocker, user, each)
            knocker.send(query("select 1"))
            assert not knocker.is_in()
    # The right one, where anybody could have read it on the way.
    with Knocker(proxy.host, proxy.port) as knocker:
        assert "over TLS only" in knocker.start(user).error()["M"]
    assert upstream.came() == []


def test_an_exchange_that_was_overheard_is_worth_nothing(
    proxy: Proxy, upstream: Upstream
) -> None:
    """What the right client said, said again: pgwarden's part of the nonce is new."""
    speaker = ScramSpeaker()
    with Knocker(proxy.host, proxy.port) as first:
        first.start("scram").offers()
        found = first.choose(PLAIN, speaker.first()).asked()
        assert isinstance(found, messages.AuthenticationSASLContinue)
        overheard = messages.SASLResponse(speaker.final(found.data)).encode()
    with Knocker(proxy.host, proxy.port) as second:
        second.start("scram").offers()
        second.choose(PLAIN, speaker.first()).asked()
        assert second.send(overheard).error()["M"] == "invalid SCRAM response"
    assert upstream.came() == []


def test_a_certificate_that_is_not_good_reaches_no_upstream(
    proxy: Proxy, upstream: Upstream, authority: Authority
) -> None:
    expired = authority.issue("certificate", until=-DAY).chain
    with contextlib.suppress(OSError):
        knocker = Knocker(proxy.host, proxy.port, tls=lenient(expired))
        with knocker:
            assert not knocker.start("certificate").is_in()
    with socket.create_connection((proxy.host, proxy.port), 5) as plain:
        plain.sendall(SSLRequest().encode())
        assert plain.recv(1) == b"S"
        plain.sendall(struct.pack("!i", 9) + b"\0\3\0\0\0")
        plain.settimeout(5)
        with contextlib.suppress(OSError):
            assert b"R" not in plain.recv(100)
    assert upstream.came() == []


def test_a_login_that_takes_too_long_reaches_no_upstream(
    proxy: Proxy, upstream: Upstream
) -> None:
    with Knocker(proxy.host, proxy.port) as knocker:
        knocker.start("scram").offers()
        time.sleep(3.5)
        assert knocker.hear() == ("", b"")
    assert upstream.came() == []


def test_who_is_let_in_is_counted(
    proxy: Proxy, upstream: Upstream, authority: Authority, issuer: KeyServer
) -> None:
    """So the tests above can fail. It comes last: from here on there were some."""

    def by_password(knocker: Knocker) -> None:
        knocker.start("scram").offers()
        knocker.prove("right")

    def by_token(knocker: Knocker) -> None:
        shows(knocker, "token", token(issuer, FORGE, sub="token"))

    def by_oauth(knocker: Knocker) -> None:
        shows(knocker, "oauth", token(issuer, FORGE, sub="oauth"))

    def by_certificate(knocker: Knocker) -> None:
        knocker.start("certificate")

    chain = authority.issue("certificate").chain
    for number, comes in enumerate([by_password, by_token, by_oauth, by_certificate]):
        with Knocker(proxy.host, proxy.port, tls=lenient(chain)) as knocker:
            comes(knocker)
            knocker.error()  # this upstream hangs up
        eventually(partial(has_met, upstream, number + 1))


def has_met(upstream: Upstream, count: int) -> bool:
    return len(upstream.came()) >= count
