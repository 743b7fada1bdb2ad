"""CancelRequest: only the keys that pgwarden gave out stop anything."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pytest
from typing_extensions import override

from tests.integration.rig import ENDLESS, eventually, metric

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = pytest.mark.postgres

CANCEL_CODE = 80877102
FORWARDED = 'pgwarden_cancel_requests_total{result="forwarded"}'
UNKNOWN = 'pgwarden_cancel_requests_total{result="unknown"}'


def send_cancel(proxy: Proxy, pid: int, key: bytes) -> None:
    """A CancelRequest; returns when the server has closed without a word."""
    with socket.create_connection((proxy.host, proxy.port), 5) as connection:
        connection.sendall(struct.pack("!iii", 12 + len(key), CANCEL_CODE, pid) + key)
        assert connection.recv(1) == b""


class Endless(threading.Thread):
    """A session that runs a statement without end."""

    def __init__(self, dsn: str, **options: Any) -> None:
        super().__init__()
        self.connection = psycopg.connect(dsn, autocommit=True, **options)
        self.error: psycopg.Error | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_alive():
            self.cancel()
        self.connection.close()

    def cancel(self) -> None:
        self.connection.cancel_safe(timeout=5)
        self.join(5)
        assert isinstance(self.error, psycopg.errors.QueryCanceled)

    @override
    def run(self) -> None:
        try:
            self.connection.execute(ENDLESS)
        except psycopg.Error as error:
            self.error = error


def active(shop: Database) -> list[int]:
    found = shop.fetch(
        "select pid from pg_stat_activity where state = 'active' and "
        f"datname = '{shop.name}' and pid <> pg_backend_pid()"
    )
    return [row[0] for row in found]


def eventually_active(shop: Database) -> list[int]:
    eventually(lambda: active(shop))
    return active(shop)


def test_a_client_cancels_its_statement(guard: Proxy, shop: Database) -> None:
    before = metric(guard, FORWARDED)
    with Endless(guard.dsn("developer", shop.name)) as running:
        eventually(lambda: active(shop))
        running.cancel()
        assert running.connection.execute("select 1").fetchone() == (1,)
    assert metric(guard, FORWARDED) == before + 1


def test_a_wrong_key_stops_nothing_and_dials_nobody(
    guard17: Proxy, shop17: Database
) -> None:
    shop17.execute("alter system set log_connections = on")
    shop17.execute("select pg_reload_conf()")
    log = shop17.cluster.log_path
    with Endless(guard17.dsn("developer", shop17.name)) as running:
        (real_pid,) = eventually_active(shop17)
        pid = running.connection.info.backend_pid
        before = metric(guard17, UNKNOWN)
        start = log.stat().st_size
        for wrong_pid, key in (
            *((pid, bytes([n]) * 4) for n in range(16)),
            (pid, b"\0" * 32),
            (real_pid, b"\0\0\0\0"),
            (0, b"\0\0\0\0"),
            (-1, b"\xff" * 4),
        ):
            send_cancel(guard17, wrong_pid, key)
        time.sleep(0.3)
        said = log.read_text()[start:]
        assert running.is_alive()
    shop17.execute("alter system reset log_connections")
    shop17.execute("select pg_reload_conf()")
    # A probe of pgwarden's own may fall into that time, with two logins.
    assert said.count("connection received") <= 2
    assert metric(guard17, UNKNOWN) == before + 20


def test_the_keys_are_not_those_of_postgres(guard: Proxy, shop: Database) -> None:
    with Endless(guard.dsn("developer", shop.name)) as running:
        (real_pid,) = eventually_active(shop)
        pid = running.connection.info.backend_pid
        assert pid != real_pid
    with psycopg.connect(guard.dsn("developer", shop.name)) as again:
        assert again.info.backend_pid != pid


@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_long_keys(guard: Proxy, shop: Database, version: str) -> None:
    """3.2 gives 32 bytes, also before a server that only speaks 3.0."""
    dsn = guard.dsn("developer", shop.name)
    with Endless(dsn, max_protocol_version=version) as running:
        eventually_active(shop)
        running.cancel()
    starts = [r for r in guard.records() if r["kind"] == "session.start"]
    assert starts[-1]["protocol"] == version


def test_a_key_ends_with_its_session(guard17: Proxy, shop17: Database) -> None:
    dsn = guard17.dsn("developer", shop17.name)
    with psycopg.connect(dsn) as connection:
        cancel = connection.pgconn.get_cancel()
    before = metric(guard17, UNKNOWN)
    cancel.cancel()
    eventually(lambda: metric(guard17, UNKNOWN) == before + 1)
