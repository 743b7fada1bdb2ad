"""Every ceiling and time-out, reached for real; behind it the rest goes on."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.integration.rig import Raw, eventually, metric, query

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

TIMEOUTS = 'pgwarden_logins_total{result="timeout"}'
REFUSED = 'pgwarden_logins_total{result="refused"}'
STARTUP = struct.pack("!ii", 8 + len(b"user\0dev\0\0"), 3 << 16) + b"user\0dev\0\0"


def open_socket(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((proxy.host, proxy.port), 5)
    connection.settimeout(10)
    return connection


def rest(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            got += data
    return got


def refused_ends(proxy: Proxy) -> list[dict[str, object]]:
    return [
        r
        for r in proxy.records()
        if r["kind"] == "session.end" and r["status"] == "refused"
    ]


@pytest.mark.parametrize(
    "begin",
    [
        struct.pack("!ii", 10_001, 3 << 16),
        struct.pack("!ii", 2**31 - 1, 3 << 16),
        struct.pack("!ii", -1, 3 << 16),
        struct.pack("!i", 7),
        struct.pack("!i", 0),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0",
    ],
)
def test_a_first_packet_that_makes_no_sense(guard17: Proxy, begin: bytes) -> None:
    """Nothing is allocated for what a header claims; who does not go on is cut."""
    with open_socket(guard17) as connection:
        connection.sendall(begin + b"x" * 20_000)
        said = rest(connection)
    assert said == b"" or said[:1] == b"E"


def test_a_login_that_takes_too_long(start_proxy: StartProxy, shop17: Database) -> None:
    proxy = start_proxy(shop17.cluster, settings={"limits": {"login_timeout_s": 0.7}})
    started = time.monotonic()
    with (
        open_socket(proxy) as silent,
        open_socket(proxy) as slow,
        open_socket(proxy) as half_in,
    ):
        slow.sendall(STARTUP[:5])
        half_in.sendall(STARTUP)
        assert rest(silent) == b""
        assert rest(slow) == b""
        assert rest(half_in)[:1] == b"R"
    assert 0.6 < time.monotonic() - started < 3.0
    eventually(lambda: metric(proxy, TIMEOUTS) == 3)
    eventually(lambda: len(refused_ends(proxy)) == 2)
    assert {r["reason"] for r in refused_ends(proxy)} == {
        "the login took longer than 0.7 s"
    }
    assert [r["identity"] for r in refused_ends(proxy)] == ["", "dev"]
    psycopg.connect(proxy.dsn("developer", shop17.name)).close()


def test_a_flood_of_connections_that_never_log_in(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(
        shop17.cluster,
        settings={"limits": {"unfinished_logins": 20, "login_timeout_s": 3.0}},
    )
    with psycopg.connect(proxy.dsn("developer", shop17.name)) as inside:
        with contextlib.ExitStack() as stack:
            flood = [stack.enter_context(open_socket(proxy)) for _ in range(60)]
            for number, connection in enumerate(flood):
                if number % 2:
                    with contextlib.suppress(OSError):
                        connection.sendall(STARTUP)
            eventually(lambda: metric(proxy, REFUSED) >= 40)
            assert inside.execute("select 1").fetchone() == (1,)
        eventually(
            lambda: metric(proxy, REFUSED) >= 40 and can_login(proxy, shop17), 10
        )


def can_login(proxy: Proxy, shop: Database) -> bool:
    try:
        psycopg.connect(proxy.dsn("developer", shop.name)).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"sessions": 2}, "pgwarden has 2 sessions already"),
        ({"sessions_per_identity": 2}, '"dev" has 2 sessions already'),
    ],
)
def test_sessions(
    start_proxy: StartProxy, shop17: Database, limits: dict[str, int], said: str
) -> None:
    proxy = start_proxy(shop17.cluster, settings={"limits": limits})
    dsn = proxy.dsn("developer", shop17.name)
    with psycopg.connect(dsn), psycopg.connect(dsn):
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(dsn)
        assert said in str(refused.value)
        if "sessions_per_identity" in limits:
            psycopg.connect(proxy.dsn("migrator", shop17.name)).close()
        (end,) = refused_ends(proxy) or eventually_refused(proxy)
        assert end["sqlstate"] == "53300"
        assert end["role"] == "developer"
        assert end["database"] == shop17.name
    eventually(lambda: can_login(proxy, shop17))
    for _ in range(5):
        # A refused or failed login gives its place back.
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(proxy.dsn("developer", "no_such_database"))
    with psycopg.connect(dsn), psycopg.connect(dsn):
        pass


def eventually_refused(proxy: Proxy) -> list[dict[str, object]]:
    eventually(lambda: refused_ends(proxy))
    return refused_ends(proxy)


def idle_ends(proxy: Proxy) -> list[str]:
    return [r["reason"] for r in proxy.records() if r.get("sqlstate") == "57P05"]


def test_idle_sessions_end(start_proxy: StartProxy, shop17: Database) -> None:
    proxy = start_proxy(
        shop17.cluster, settings={"limits": {"idle_session_timeout_s": 2}}
    )
    with (
        Raw(proxy.dsn("developer", shop17.name)) as idle,
        psycopg.connect(proxy.dsn("developer", shop17.name)) as in_transaction,
        psycopg.connect(proxy.dsn("developer", shop17.name), autocommit=True) as busy,
    ):
        in_transaction.execute("select 1")
        started = time.monotonic()
        while time.monotonic() - started < 4.5:
            assert busy.execute("select 1").fetchone() == (1,)
            time.sleep(0.2)
        said = idle.rest()
        assert b"C57P05\0" in said
        assert in_transaction.execute("select 2").fetchone() == (2,)
    eventually(lambda: idle_ends(proxy) == ["idle for too long"])


@pytest.mark.parametrize("prepared", [False, True])
def test_a_statement_above_the_ceiling(
    guard: Proxy, shop: Database, prepared: bool
) -> None:
    def text_of(size: int) -> bytes:
        return b"select '" + b"x" * (size - 9) + b"'"

    with psycopg.connect(
        guard.dsn("developer", shop.name), autocommit=True
    ) as connection:
        for size in (1_048_577, 3_000_000):
            with pytest.raises(psycopg.errors.ProgramLimitExceeded) as refused:
                connection.execute(text_of(size), prepare=prepared)
            assert refused.value.diag.sqlstate == "54000"
            assert connection.execute("select 1").fetchone() == (1,)
        size = 1_048_576 - 100
        row = connection.execute(text_of(size), prepare=prepared).fetchone()
        assert row == ("x" * (size - 9),)


def test_prepared_statements_and_portals(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(
        shop17.cluster, settings={"limits": {"prepared_statements": 10}}
    )
    with psycopg.connect(
        proxy.dsn("developer", shop17.name), autocommit=True
    ) as connection:
        for number in range(10):
            connection.execute(f"prepare p{number} as select {number}".encode())
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            connection.execute("prepare p10 as select 10")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            connection.execute("select 11", prepare=True)
        assert connection.execute("execute p3").fetchone() == (3,)
        connection.execute("deallocate p3")
        connection.execute("prepare p10 as select 10")
        assert connection.execute("execute p10").fetchone() == (10,)


def test_out_of_descriptors(start_proxy: StartProxy, shop17: Database) -> None:
    """Who is in stays in; nothing spins; who waits gets in later."""
    proxy = start_proxy(shop17.cluster, settings={"limits": {"login_timeout_s": 60.0}})
    with psycopg.connect(
        proxy.dsn("developer", shop17.name), autocommit=True
    ) as inside:
        inside.execute("select 1")
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(open_socket(proxy))
            eventually(lambda: b"accept_failed" in proxy.log_path.read_bytes())
            time.sleep(2)
            assert proxy.log_path.read_bytes().count(b"accept_failed") < 10
            assert inside.execute("select 2").fetchone() == (2,)
        eventually(lambda: can_login(proxy, shop17), 10)


def test_unanswered_messages_do_not_pile_up(guard17: Proxy, shop17: Database) -> None:
    """A pipeline of 30,000 statements, of which nobody reads an answer for a while."""
    with Raw(guard17.dsn("developer", shop17.name)) as raw:
        raw.send(query("select 1") * 30_000)
        got = raw.socket.recv(1 << 20)
        while got.count(b"SELECT 1\0") < 30_000:
            data = raw.socket.recv(1 << 20)
            assert data
            got += data
