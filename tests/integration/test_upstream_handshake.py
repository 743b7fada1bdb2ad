"""The upstream handshake over a plain socket, against real servers.

No event loop: only the sans-I/O machine of `proxy.session.upstream`. What its comments
claim of Postgres is tried here.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import psycopg
import pytest
from psycopg import sql

from proxy.auth.scram import encode_nonce
from proxy.auth.scram_client import SaltedPasswords
from proxy.auth.secrets import make_secret, parse_secret
from proxy.session.handshake import Send
from proxy.session.upstream import UpstreamHandshake
from proxy.session.upstream_effects import DeriveKey, UpstreamReady, UpstreamRefused
from proxy.session.upstream_plan import TlsMode, UpstreamPlan, shown_name
from proxy.wire import queries
from proxy.wire.startup import CancelRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster

pytestmark = pytest.mark.postgres
TIMEOUT_S = 10


def nonce() -> bytes:
    return encode_nonce(secrets.token_bytes(18))


def connect(cluster: Cluster) -> socket.socket:
    return socket.create_connection((cluster.host, cluster.port), TIMEOUT_S)


def plan_for(cluster: Cluster) -> UpstreamPlan:
    return UpstreamPlan(
        user=cluster.superuser,
        database="postgres",
        password=cluster.password,
        tls_mode=TlsMode.DISABLE,
        is_loopback=True,
    )


def log_in(link: socket.socket, plan: UpstreamPlan) -> UpstreamReady | UpstreamRefused:
    """Drive one upstream handshake to its end."""
    up = UpstreamHandshake(plan, nonce(), salted=SaltedPasswords())
    effects = up.start()
    while True:
        for effect in effects:
            match effect:
                case Send():
                    link.sendall(effect.data)
                case DeriveKey():
                    request = effect.request
                    answer = up.key_derived(request, request.derive())
                    link.sendall(cast("Send", answer[0]).data)
                case UpstreamReady() | UpstreamRefused():
                    return effect
                case _:
                    raise AssertionError(effect)
        data = link.recv(65536)
        effects = up.receive(data) if data else up.closed()


def try_login(cluster: Cluster, plan: UpstreamPlan) -> UpstreamReady | UpstreamRefused:
    with connect(cluster) as link:
        return log_in(link, plan)


def refused(cluster: Cluster, plan: UpstreamPlan) -> UpstreamRefused:
    found = try_login(cluster, plan)
    assert isinstance(found, UpstreamRefused), found
    return found


def ready(cluster: Cluster, plan: UpstreamPlan) -> UpstreamReady:
    found = try_login(cluster, plan)
    assert isinstance(found, UpstreamReady), found
    return found


@contextmanager
def superuser(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("minor", [0, 2])
def test_the_upstream_login_works(postgres: Cluster, minor: int) -> None:
    plan = replace(
        plan_for(postgres),
        minor=minor,
        read_only=True,
        application_name=shown_name("alice", "psql"),
        settings=(("timezone", "Asia/Tokyo"), ("search_path", "a, b")),
    )
    found = ready(postgres, plan)
    spoken = 2 if minor == 2 and postgres.major >= 18 else 0
    assert found.minor == spoken
    assert len(found.key) == (32 if spoken else 4)
    assert found.parameters["TimeZone"] == "Asia/Tokyo"
    assert found.parameters["application_name"] == "alice via pgwarden (psql)"
    assert found.leftover == b""


def test_upstream_refusals_are_told_apart(postgres: Cluster) -> None:
    plan = plan_for(postgres)
    told = {
        "login": refused(postgres, replace(plan, password="wrong")),
        "database": refused(postgres, replace(plan, database="no such")),
        "setting": refused(postgres, replace(plan, settings=(("timezone", "Mars"),))),
        "unknown": refused(postgres, replace(plan, settings=(("nonsense", "1"),))),
        "tls": refused(postgres, replace(plan, tls_mode=TlsMode.VERIFY_FULL)),
    }
    assert {key: found.report.sqlstate for key, found in told.items()} == {
        "login": "08004",
        "database": "3D000",
        "setting": "22023",
        "unknown": "42704",
        "tls": "08006",
    }
    assert '"Mars"' in told["setting"].report.message
    assert "does not speak TLS" in told["tls"].operator_note


def test_role_settings_do_not_undo_what_must_hold(postgres: Cluster) -> None:
    """ALTER ROLE and ALTER DATABASE come before the startup packet."""
    with superuser(postgres) as connection:
        connection.execute("CREATE ROLE undoer LOGIN PASSWORD 'x'")
        try:
            for name, value in (
                ("standard_conforming_strings", "off"),
                ("default_transaction_read_only", "off"),
                ("client_encoding", "LATIN1"),
            ):
                connection.execute(
                    sql.SQL("ALTER ROLE undoer SET {} = {}").format(
                        sql.Identifier(name), sql.Literal(value)
                    )
                )
            plan = replace(
                plan_for(postgres), user="undoer", password="x", read_only=True
            )
            with connect(postgres) as link:
                found = log_in(link, plan)
                assert isinstance(found, UpstreamReady), found
                link.sendall(queries.Query(b"RESET ALL; DISCARD ALL").encode())
                link.sendall(queries.Query(b"CREATE TABLE t ()").encode())
                answer = b""
                while b"C25006\0" not in answer:
                    data = link.recv(65536)
                    assert data, answer
                    answer += data
        finally:
            connection.execute("DROP ROLE undoer")


def test_a_real_key_cancels(postgres: Cluster) -> None:
    with connect(postgres) as link:
        found = log_in(link, replace(plan_for(postgres), minor=2))
        assert isinstance(found, UpstreamReady), found
        link.sendall(queries.Query(b"SELECT pg_sleep(60)").encode())
        answer = b""
        while b"C57014\0" not in answer:
            with connect(postgres) as second:
                second.sendall(CancelRequest(found.pid, found.key).encode())
                assert second.recv(1) == b""
            link.settimeout(1)
            try:
                answer += link.recv(65536)
            except TimeoutError:
                continue


@pytest.mark.parametrize("method", ["md5", "password", "trust"])
def test_other_methods_need_their_flag(postgres: Cluster, method: str) -> None:
    rules = postgres.plan.data / "pg_hba.conf"
    before = rules.read_text()
    with superuser(postgres) as connection:
        connection.execute("SET password_encryption = 'md5'")
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        try:
            rules.write_text(f"host all weak 127.0.0.1/32 {method}\n{before}")
            connection.execute("SELECT pg_reload_conf()")
            # The postmaster reads its rules when it next looks; a login shows when.
            plan = replace(plan_for(postgres), user="weak", password="weak")
            allowed = replace(
                plan,
                allow_md5=method == "md5",
                allow_password=method == "password",
                allow_trust=method == "trust",
            )
            for _ in range(50):
                if isinstance(try_login(postgres, allowed), UpstreamReady):
                    break
            assert (
                ready(postgres, allowed).parameters["session_authorization"] == "weak"
            )
            for unfit in (plan, replace(allowed, is_loopback=False)):
                assert method in refused(postgres, unfit).operator_note
        finally:
            rules.write_text(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE weak")


PASSWORDS = [
    "plain", "a\x07b", "pä", "I\u00adX\u00e4", "\u00aa", "\u2168", "a\u00a0b", "\u00ad",
    "\u06271\u00aa", "\u0627a\u0628", "\u06271\u0628", "x\u0007ä", "\ue000a", "\ufffdx",
    "\u1680ä", "\u200bä", "\U0001f600", "\u0221", "\U0001f100", "e\u0301", "\u0340a",
    "ä\u2028", "\ufeffä", "\u05be\u05d0", "ä" * 100, "\u3000ä", "\U0002fa1d", "\ufdfa",
    "á\x7f", "\u2126\u212b", "\u1e9b\u0323", "\u06dd\u0627",
]  # fmt: skip


def test_secrets_are_those_postgres_makes(postgres: Cluster) -> None:
    with superuser(postgres) as connection:
        connection.execute("CREATE ROLE prepared")
        try:
            for password in PASSWORDS:
                connection.execute(
                    sql.SQL("ALTER ROLE prepared PASSWORD {}").format(
                        sql.Literal(password)
                    )
                )
                row = connection.execute(
                    "SELECT rolpassword FROM pg_authid WHERE rolname = 'prepared'"
                ).fetchone()
                assert row is not None
                stored = parse_secret(row[0])
                ours = make_secret(
                    password, salt=stored.salt, iterations=stored.iterations
                )
                assert ours.encode() == row[0], ascii(password)
        finally:
            connection.execute("DROP ROLE prepared")
