"""Attacks on the login from addresses of loopback: who is held, and who is not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import trustme

from proxy.server.refused_logins import LINES, RECORDS_OF_ADDRESS
from proxy.wire.errors_wire import parse_error_fields
from tests.fix_proxy import HOST, THROTTLED
from tests.integration.knocker import Knocker
from tests.integration.rig import events, eventually, metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

ATTACKER, OTHER = "127.9.9.9", "127.8.8.8"
THROTTLE = "pgwarden_login_throttled_total"


@pytest.fixture
def proxy(start_proxy: StartProxy, shop17: Database) -> Proxy:
    return start_proxy(shop17.cluster, settings={"limits": dict(THROTTLED)})


def attempt(
    proxy: Proxy, shop: Database, *, user: str, password: str, source: str
) -> dict[str, str]:
    """The error of a login; {} where it came in."""
    with Knocker(HOST, proxy.port, source=source) as one:
        one.start(user, shop.name)
        kind, body = one.hear()
        if kind == "E":
            return parse_error_fields(body)
        one.prove(password)
        return one.outcome()


def wrong(proxy: Proxy, shop: Database, name: str, source: str) -> dict[str, str]:
    return attempt(proxy, shop, user=name, password="wrong", source=source)


def right(proxy: Proxy, shop: Database, source: str = HOST) -> float:
    """Seconds that a right login takes."""
    began = time.monotonic()
    found = attempt(
        proxy, shop, user=proxy.user(), password=proxy.password(), source=source
    )
    assert found == {}
    return time.monotonic() - began


def test_a_name_is_held_where_it_was_guessed_at_and_nowhere_else(
    proxy: Proxy, shop17: Database
) -> None:
    for name in (proxy.user(), "nobody"):
        began = time.monotonic()
        answers: list[dict[str, str]] = []

        def guess(name: str, into: list[dict[str, str]]) -> None:
            into.append(wrong(proxy, shop17, name, ATTACKER))

        threads = [
            threading.Thread(target=guess, args=(name, answers)) for _ in range(14)
        ]
        for thread in threads:
            thread.start()
        assert right(proxy, shop17) < 2.0
        for thread in threads:
            thread.join(20)
        assert time.monotonic() - began > 1.0, "no answer waited"
        assert {each["C"] for each in answers} <= {"28P01", "53300"}
    told = [wrong(proxy, shop17, name, ATTACKER) for name in (proxy.user(), "nobody")]
    assert told[0]["C"] == told[1]["C"] == "53300"
    assert told[0]["M"] == told[1]["M"]
    assert told[0]["H"].startswith("try again in ")
    # The right password from there was not proven there before: held as well.
    held = attempt(
        proxy, shop17, user=proxy.user(), password=proxy.password(), source=ATTACKER
    )
    assert held["C"] == "53300"
    right(proxy, shop17, OTHER)
    assert metric(proxy, f'{THROTTLE}{{reason="identity"}}') >= 3
    assert metric(proxy, f'{THROTTLE}{{reason="delayed"}}') > 0


def test_behind_one_address_who_was_in_before_still_comes_in(
    start_proxy: StartProxy, shop17: Database
) -> None:
    settings = {"limits": {**THROTTLED, "failed_login_delay_s": 0.0}}
    proxy = start_proxy(shop17.cluster, settings=settings)
    right(proxy, shop17, ATTACKER)
    for number in range(60):
        wrong(proxy, shop17, f"name{number}", ATTACKER)
    said = wrong(proxy, shop17, "nobody", ATTACKER)
    assert (said["C"], said["M"]) == (
        "53300",
        "too many failed logins from this address",
    )
    right(proxy, shop17, ATTACKER)
    eventually(lambda: metric(proxy, "pgwarden_login_addresses_held") == 1)
    # The records: the first one by one, the rest as a number when it ends.
    assert len(events(proxy, "login_refused")) == LINES
    proxy.stop()
    (summary,) = events(proxy, "logins_refused")
    assert LINES + summary["more"] == 61
    records = [r for r in proxy.records() if r["client_address"] == ATTACKER]
    ends = [r for r in records if r.get("status") == "refused"]
    (count,) = [r for r in records if r["kind"] == "internal"]
    assert len(ends) == RECORDS_OF_ADDRESS
    assert RECORDS_OF_ADDRESS + int(count["detail"]["more"]) == 61
    assert count["purpose"] == "logins-refused"


def test_to_hang_up_does_not_shorten_the_wait(proxy: Proxy, shop17: Database) -> None:
    """Take silence for a no and try the next one at once."""
    for _ in range(12):
        with Knocker(HOST, proxy.port, source=ATTACKER) as one:
            one.start(proxy.user(), shop17.name)
            if one.hear()[0] == "E":
                break
            one.prove("wrong")
    eventually(
        lambda: wrong(proxy, shop17, proxy.user(), ATTACKER)["C"] == "53300", 20.0
    )


@contextlib.contextmanager
def loris(proxy: Proxy, count: int, sources: list[str]) -> Iterator[None]:
    """Connections that say a byte a second, and come again when they are cut."""
    stop = threading.Event()

    def go_on() -> None:
        sockets: list[socket.socket] = []
        while not stop.is_set():
            for one in list(sockets):
                try:
                    one.send(b"\0")
                except OSError:
                    one.close()
                    sockets.remove(one)
            while len(sockets) < count and not stop.is_set():
                source = sources[len(sockets) % len(sources)]
                with contextlib.suppress(OSError):
                    sockets.append(
                        socket.create_connection((HOST, proxy.port), 1, (source, 0))
                    )
            stop.wait(1.0)
        for one in sockets:
            one.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.parametrize("addresses", [1, 10, 50])
def test_500_slow_connections_keep_nobody_out(
    proxy: Proxy, shop17: Database, addresses: int
) -> None:
    sources = [f"127.9.0.{number + 1}" for number in range(addresses)]
    with loris(proxy, 500, sources):
        eventually(
            lambda: (
                (
                    metric(proxy, f'{THROTTLE}{{reason="address-places"}}')
                    + metric(proxy, f'{THROTTLE}{{reason="places"}}')
                )
                >= 100
            ),
            15.0,
        )
        waits = [right(proxy, shop17) for _ in range(5)]
    assert max(waits) < 5.0
    assert metric(proxy, 'pgwarden_logins_total{result="ok"}') == 5


def test_the_first_packet_has_less_time_than_the_login(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(
        shop17.cluster, settings={"limits": {"first_packet_timeout_s": 0.5}}
    )
    with Knocker(HOST, proxy.port) as slow, Knocker(HOST, proxy.port) as thinking:
        slow.send(b"\0\0\0")
        thinking.start(proxy.user(), shop17.name)
        assert thinking.hear()[0] == "R"
        began = time.monotonic()
        assert slow.hear() == ("", b"")
        assert time.monotonic() - began < 3.0
        time.sleep(0.7)
        thinking.prove(proxy.password())
        assert thinking.is_in()
    eventually(
        lambda: (
            "the first packet took longer than 0.5 s"
            in {r.get("reason") for r in proxy.records()}
        )
    )
    psycopg.connect(proxy.dsn("developer", shop17.name)).close()


def test_who_gives_way_is_gone_in_the_middle_of_tls_too(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    """Begin direct TLS and stop: without a place, but with a descriptor for ever."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "c")
    issued.private_key_pem.write_to_path(tmp_path / "k")
    proxy = start_proxy(
        shop17.cluster,
        settings={
            "tls": {"certificate": str(tmp_path / "c"), "key": str(tmp_path / "k")},
            "limits": {"unfinished_logins": 3, "first_packet_timeout_s": 20.0},
        },
    )
    with contextlib.ExitStack() as stack:
        halves = [
            stack.enter_context(Knocker(HOST, proxy.port, source=ATTACKER))
            for _ in range(3)
        ]
        for half in halves:
            half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        time.sleep(0.3)
        right(proxy, shop17)
        began = time.monotonic()
        assert halves[0].hear() == ("", b"")
        assert time.monotonic() - began < 3.0
    assert metric(proxy, f'{THROTTLE}{{reason="gave-way"}}') == 1
