"""OAUTHBEARER by real libpq 18, and by hand where libpq would never do it."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.auth.tokens import MAX_TOKEN
from proxy.wire import codes, messages
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import StartupMessage
from tests.clients.drivers import by_libpq
from tests.clients.issuer import LOGIN_CLIENT
from tests.clients.token_rig import ANN, EVE, JOBS, OLGA, PEOPLE
from tests.integration.rig import metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.token_rig import Guard
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]


DENIED, REFUSED = (
    f'pgwarden_logins_total{{result="{result}"}}' for result in ("denied", "refused")
)


@pytest.fixture
def guard(token_guard: Guard) -> Guard:
    return token_guard


def test_libpq_is_told_where_to_get_a_token_and_comes_in(
    guard: Guard, shop17: Database
) -> None:
    denied, refused = metric(guard.proxy, DENIED), metric(guard.proxy, REFUSED)
    came = by_libpq(guard, shop17, guard.issuer.person_token(OLGA, PEOPLE))
    assert came["rows"] > 0
    # It had asked without a token first: that is how it knows.
    discovery = guard.issuer.url + "/.well-known/openid-configuration"
    assert came["told"][-1] == [discovery, "openid"]
    record = guard.start(OLGA, shop17.name)
    assert (record["authentication"], record["login_rule"]) == ("oauth", "login.oauth")
    assert record["proof"]["subject"] == OLGA
    # A question is no wrong password.
    assert metric(guard.proxy, DENIED) == denied
    assert metric(guard.proxy, REFUSED) == refused + 1


def test_libpq_needs_no_question_where_it_is_told_the_address(
    guard: Guard, shop17: Database
) -> None:
    discovery = guard.issuer.url + "/.well-known/openid-configuration"
    token = guard.issuer.person_token(OLGA, PEOPLE)
    before = metric(guard.proxy, REFUSED)
    assert by_libpq(guard, shop17, token, oauth_issuer=discovery)["rows"] > 0
    assert metric(guard.proxy, REFUSED) == before


@pytest.mark.parametrize("kind", ["audience", "person", "expired", "forged"])
def test_a_wrong_token_by_libpq(guard: Guard, shop17: Database, kind: str) -> None:
    now, key = int(time.time()), guard.issuer.key
    person = {"email": OLGA, "email_verified": True}
    token = {
        "audience": lambda: guard.issuer.person_token(OLGA, JOBS),
        "person": lambda: guard.issuer.person_token(ANN, PEOPLE),
        "expired": lambda: key.sign(
            guard.claims(PEOPLE, exp=now - 60, **person)
        ).decode(),
        "forged": lambda: key.sign(guard.claims(PEOPLE, **person)).decode()[:-4],
    }[kind]()
    came = by_libpq(guard, shop17, token)
    assert f'OAuth bearer authentication failed for user "{OLGA}"' in came["error"]
    assert ("pgwarden login" in came["error"]) == (kind == "expired")


def test_who_is_not_of_the_rule_gets_no_oauth(guard: Guard, shop17: Database) -> None:
    token = guard.issuer.person_token(ANN, PEOPLE)
    options = {"user": "bob", "require_auth": "oauth"}
    assert "error" in by_libpq(guard, shop17, token, **options)


def test_without_libpq_oauth_psycopg_says_what_is_missing(
    guard: Guard, shop17: Database
) -> None:
    """What psycopg's own wheel can do by itself: the page says so."""
    with pytest.raises(psycopg.OperationalError, match="no OAuth flows are available"):
        psycopg.connect(
            **guard.options(
                OLGA,
                shop17,
                oauth_issuer=guard.issuer.url,
                oauth_client_id=LOGIN_CLIENT,
            )
        )


def test_in_plain_text_nothing_is_offered(guard: Guard, shop17: Database) -> None:
    options = guard.options(OLGA, shop17, sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="over TLS only"):
        psycopg.connect(**options)


# --- by hand -----------------------------------------------------------------


class Peer:
    """A client of our own, after TLS and startup packet."""

    def __init__(self, guard: Guard, user: str, database: str) -> None:
        plain = socket.create_connection(("127.0.0.1", guard.proxy.port), 10)
        plain.sendall(struct.pack("!ii", 8, codes.SSL_REQUEST))
        assert plain.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(guard.ca))
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.stream = self.socket.makefile("rb")
        parameters = {"user": user, "database": database}
        self.send(StartupMessage(0, parameters).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def first(self, message: bytes | None, mechanism: str = "OAUTHBEARER") -> None:
        self.send(messages.SASLInitialResponse(mechanism, message).encode())

    def hear(self) -> tuple[int, bytes]:
        head = self.stream.read(5)
        if not head:
            return 0, b""
        return head[0], self.stream.read(int.from_bytes(head[1:], "big") - 4)

    def error(self) -> dict[str, str]:
        kind, body = self.hear()
        assert kind == codes.ERROR_RESPONSE, (kind, body)
        assert self.hear() == (0, b"")
        return dict(parse_error_fields(body))

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


@pytest.fixture
def peer(guard: Guard, shop17: Database) -> Iterator[Peer]:
    found = Peer(guard, OLGA, shop17.name)
    kind, body = found.hear()
    assert (kind, body) == (codes.AUTHENTICATION, b"\0\0\0\x0aOAUTHBEARER\0\0")
    yield found
    found.close()


QUESTION = b"n,,\x01auth=\x01\x01"


def test_who_asks_is_told_and_then_sent_away(guard: Guard, peer: Peer) -> None:
    peer.first(QUESTION)
    kind, body = peer.hear()
    assert (kind, body[:4]) == (codes.AUTHENTICATION, b"\0\0\0\x0b")
    assert json.loads(body[4:]) == {
        "status": "invalid_token",
        "openid-configuration": guard.issuer.url + "/.well-known/openid-configuration",
        "scope": "openid",
    }
    peer.send(messages.SASLResponse(b"\x01").encode())
    assert peer.error()["C"] == "28P01"


def test_after_a_failure_there_is_no_second_try(guard: Guard, peer: Peer) -> None:
    right = guard.issuer.person_token(OLGA, PEOPLE).encode()
    peer.first(QUESTION)
    peer.hear()
    peer.send(
        messages.SASLResponse(b"n,,\x01auth=Bearer " + right + b"\x01\x01").encode()
    )
    assert peer.error()["C"] == "08P01"


def test_an_empty_challenge_is_sent_to_who_waits_for_it(
    guard: Guard, peer: Peer
) -> None:
    right = guard.issuer.person_token(OLGA, PEOPLE).encode()
    peer.first(None)
    assert peer.hear() == (codes.AUTHENTICATION, b"\0\0\0\x0b")
    peer.send(
        messages.SASLResponse(b"n,,\x01auth=Bearer " + right + b"\x01\x01").encode()
    )
    assert peer.hear() == (codes.AUTHENTICATION, b"\0\0\0\0")


def test_more_that_came_along_is_kept_for_the_session(guard: Guard, peer: Peer) -> None:
    right = guard.issuer.person_token(OLGA, PEOPLE).encode()
    first = b"n,,\x01auth=Bearer " + right + b"\x01\x01"
    both = messages.SASLInitialResponse("OAUTHBEARER", first).encode()
    peer.send(both + b"Q\0\0\0\x0dselect 1\0")
    heard = [peer.hear()[0]]
    while heard[-1] not in {codes.DATA_ROW, codes.ERROR_RESPONSE, 0}:
        heard.append(peer.hear()[0])
    assert heard[-1] == codes.DATA_ROW


@pytest.mark.parametrize(
    ("message", "mechanism"),
    [
        (b"n,,\x01auth=Bearer abc\x01\x01", "SCRAM-SHA-256"),
        (b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01", "OAUTHBEARER"),
        (b"", "OAUTHBEARER"),
        (b"n,,n=,r=abc", "OAUTHBEARER"),
        (b"n,,\x01auth=Bearer " + b"a" * MAX_TOKEN + b"\x01" * 600, "OAUTHBEARER"),
    ],
)
def test_what_breaks_the_protocol_ends_it(
    peer: Peer, message: bytes, mechanism: str
) -> None:
    peer.first(message, mechanism)
    assert peer.error()["C"] == "08P01"


def test_whoever_is_disabled_or_unknown_hears_the_same(
    guard: Guard, shop17: Database
) -> None:
    heard = set()
    for user in (OLGA, "olga@nowhere.example"):
        peer = Peer(guard, user, shop17.name)
        asked = peer.hear()
        peer.first(b"n,,\x01auth=Bearer a.b.c\x01\x01")
        told = peer.hear()
        peer.send(messages.SASLResponse(b"\x01").encode())
        error = peer.error()
        heard.add((asked, told, error["M"].replace(user, "*"), error["C"]))
        peer.close()
    assert len(heard) == 1
    assert EVE not in str(heard)
