"""Behind a balancer: addresses are the clients', and nobody else can claim one."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from proxy.wire.proxy_protocol import SIGNATURE
from proxy.wire.startup import SSLRequest
from tests.fix_proxy import HOST
from tests.integration.knocker import Knocker, lenient
from tests.integration.rig import events, eventually, metric

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

BALANCER = "127.0.0.2"
CLIENT, LOCAL_CLIENT = "198.51.100.7", "127.0.0.5"


def header(address: str, command: int = 0x21, family: int = 0x11) -> bytes:
    behind = b""
    if address:
        behind = socket.inet_aton(address) + bytes(4) + struct.pack("!HH", 50_000, 5432)
    return SIGNATURE + struct.pack("!BBH", command, family, len(behind)) + behind


@pytest.fixture
def proxy(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> Proxy:
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "c")
    issued.private_key_pem.write_to_path(tmp_path / "k")
    settings: dict[str, Any] = {
        "tls": {"certificate": str(tmp_path / "c"), "key": str(tmp_path / "k")},
        "proxy_protocol": {"balancers": [f"{BALANCER}/32"]},
        "limits": {
            "failed_logins_per_identity": 3,
            "unfinished_logins_per_address": 3,
        },
    }
    return start_proxy(shop17.cluster, settings=settings)


def log_in(proxy: Proxy, shop: Database, one: Knocker, password: str = "") -> Any:
    one.start(proxy.user(), shop.name)
    kind, body = one.hear()
    if kind != "R":
        return kind, body
    return one.prove(password or proxy.password()).outcome()


def whys(proxy: Proxy) -> list[str]:
    return [each["why"] for each in events(proxy, "proxy_header_refused")]


def test_the_client_is_who_the_balancer_says(proxy: Proxy, shop17: Database) -> None:
    before = header(CLIENT)
    with Knocker(
        HOST, proxy.port, tls=lenient(), source=BALANCER, before=before
    ) as one:
        assert log_in(proxy, shop17, one) == {}
    eventually(lambda: "session.start" in {r["kind"] for r in proxy.records()})
    (start,) = [r for r in proxy.records() if r["kind"] == "session.start"]
    assert (start["client_address"], start["client_port"]) == (CLIENT, 50_000)
    with Knocker(HOST, proxy.port, source=BALANCER) as slow:
        for byte in header(LOCAL_CLIENT):
            slow.send(bytes((byte,)))
        assert log_in(proxy, shop17, slow) == {}


def test_a_balancer_on_this_machine_makes_nobody_local(
    proxy: Proxy, shop17: Database
) -> None:
    """Plain text is for loopback: the client's, not the balancer's."""
    with Knocker(HOST, proxy.port, source=BALANCER, before=header(CLIENT)) as one:
        kind, body = log_in(proxy, shop17, one)
    assert kind == "E"
    assert b"connections without TLS are refused" in body


@pytest.mark.parametrize(
    ("source", "before", "why"),
    [
        (BALANCER, SSLRequest().encode(), "one is demanded"),
        (BALANCER, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "version 1"),
        (BALANCER, header("", family=0), "does not say who the client is"),
        (HOST, header(LOCAL_CLIENT), "not listed for it"),
        (HOST, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "not listed for it"),
        (HOST, header("", command=0x20, family=0), "not listed for it"),
    ],
)
def test_who_is_refused(proxy: Proxy, source: str, before: bytes, why: str) -> None:
    with Knocker(HOST, proxy.port, source=source, before=before) as one:
        assert one.hear() == ("", b"")
    eventually(lambda: len(whys(proxy)) == 1)
    assert why in whys(proxy)[0]
    assert metric(proxy, 'pgwarden_logins_total{result="error"}') == 1


def test_a_second_header_is_no_startup_packet(proxy: Proxy) -> None:
    """A client behind the balancer that brings a header of its own."""
    before = header(CLIENT) + header(LOCAL_CLIENT)
    with Knocker(HOST, proxy.port, source=BALANCER, before=before) as one:
        assert one.hear() == ("", b"")
    eventually(lambda: len(whys(proxy)) == 1)


def test_a_health_check_is_the_balancers_own(proxy: Proxy) -> None:
    before = header("", command=0x20, family=0)
    with Knocker(HOST, proxy.port, source=BALANCER, before=before) as one:
        one.send(SSLRequest().encode())
        assert one.socket.recv(1) == b"S"


def test_failures_and_places_are_the_clients(proxy: Proxy, shop17: Database) -> None:
    """One client of the balancer must not lock out the others, and is held itself."""

    def knock(address: str) -> Knocker:
        return Knocker(
            HOST, proxy.port, tls=lenient(), source=BALANCER, before=header(address)
        )

    for _ in range(3):
        with knock(CLIENT) as one:
            assert log_in(proxy, shop17, one, "wrong")["C"] == "28P01"
    with knock(CLIENT) as one:
        assert log_in(proxy, shop17, one)[0] == "E"
    with knock("198.51.100.8") as one:
        assert log_in(proxy, shop17, one) == {}
    places = 'pgwarden_login_throttled_total{reason="address-places"}'
    waiting = [
        Knocker(HOST, proxy.port, source=BALANCER, before=header("203.0.113.5"))
        for _ in range(4)
    ]
    eventually(lambda: metric(proxy, places) == 1)
    with knock("198.51.100.8") as one:
        assert log_in(proxy, shop17, one) == {}
    for each in waiting:
        each.socket.close()
