"""Startup parameters: known ones arrive, others refuse the connection by name."""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.integration.rig import eventually

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres


def show(dsn: str, name: str, **options: Any) -> str:
    with psycopg.connect(dsn, **options) as connection:
        row = connection.execute(f"show {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"options": "-c search_path=public"}, "search_path", "public"),
        ({"options": "-csearch_path=public"}, "search_path", "public"),
        ({"options": "--search_path=public"}, "search_path", "public"),
        ({"options": "--search-path=public"}, "search_path", "public"),
        (
            {"options": r"-c search_path=public\ ,pg_temp"},
            "search_path",
            "public ,pg_temp",
        ),
        ({"options": "-c statement_timeout=1234"}, "statement_timeout", "1234ms"),
        (
            {"options": "-c TimeZone=Europe/Paris -c DateStyle=German"},
            "timezone",
            "Europe/Paris",
        ),
        ({"client_encoding": "utf-8"}, "client_encoding", "UTF8"),
        ({"client_encoding": "UNICODE"}, "client_encoding", "UTF8"),
        (
            {"application_name": "reports"},
            "application_name",
            "dev via pgwarden (reports)",
        ),
        ({"application_name": "a\nb"}, "application_name", "dev via pgwarden (a?b)"),
        (
            {"options": "-c default_transaction_read_only=on"},
            "transaction_read_only",
            "on",
        ),
        ({}, "default_transaction_read_only", "on"),
    ],
)
def test_settings_that_arrive(
    guard17: Proxy, shop17: Database, options: dict[str, str], name: str, value: str
) -> None:
    assert show(guard17.dsn("developer", shop17.name), name, **options) == value


def test_settings_that_arrive_at_every_major(guard: Proxy, shop: Database) -> None:
    dsn = guard.dsn("developer", shop.name)
    assert show(dsn, "default_transaction_read_only") == "on"
    assert show(dsn, "search_path", options="-c search_path=public") == "public"
    assert show(dsn, "application_name") == "dev via pgwarden"
    with pytest.raises(psycopg.OperationalError, match="TimeZone"):
        psycopg.connect(dsn, options="-c TimeZone=Nowhere")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"options": "-c default_transaction_read_only=off"},
            "default_transaction_read_only",
        ),
        (
            {"options": "-c DEFAULT_transaction_read_only=off"},
            "default_transaction_read_only",
        ),
        ({"options": "-c role=postgres"}, '"role"'),
        ({"options": "-c session_authorization=postgres"}, "session_authorization"),
        (
            {"options": "-c standard_conforming_strings=off"},
            "standard_conforming_strings",
        ),
        (
            {"options": "-c session_replication_role=replica"},
            "session_replication_role",
        ),
        ({"options": "-c client_encoding=SJIS"}, "only UTF8"),
        ({"options": "-c my.setting=1"}, "my.setting"),
        ({"options": "-c nonsense=1"}, "nonsense"),
        ({"options": "-c search_path=a -c search_path=b"}, "given twice"),
        ({"options": "-c local_preload_libraries=x"}, "local_preload_libraries"),
        ({"options": "-d 5"}, "-d"),
        ({"options": "-c"}, "-c"),
        ({"options": "-B 5"}, "-B"),
        ({"client_encoding": "LATIN1"}, "only UTF8"),
        ({"client_encoding": "SJIS"}, "only UTF8"),
        ({"replication": "database"}, "replication"),
        ({"replication": "on"}, "replication"),
        ({"options": "-c statement_timeout=soon"}, "statement_timeout"),
        ({"options": "-c TimeZone=Nowhere"}, "TimeZone"),
    ],
)
def test_settings_that_refuse_the_connection(
    guard17: Proxy, shop17: Database, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(guard17.dsn("developer", shop17.name), **options)
    assert said.lower() in str(refused.value).lower(), str(refused.value)
    assert "Traceback" not in str(refused.value)


def packet(
    *pairs: tuple[bytes, bytes], end: bytes = b"\0", code: int = 3 << 16
) -> bytes:
    body = b"".join(key + b"\0" + value + b"\0" for key, value in pairs) + end
    return struct.pack("!ii", len(body) + 8, code) + body


@pytest.mark.parametrize(
    "sent",
    [
        packet((b"user", b"dev"), (b"user", b"deploy")),
        packet((b"user", b"dev"), (b"database", b"a"), (b"database", b"b")),
        packet((b"user", b"dev"), (b"options", b""), (b"options", b"-c role=x")),
        packet((b"database", b"shop")),
        packet((b"user", b"")),
        packet((b"user", b"dev"), end=b""),
        packet((b"user", b"dev"), end=b"\0x"),
        packet((b"user", b"d\xff")),
        packet((b"user", b"dev"), code=2 << 16),
        packet((b"user", b"dev"), code=4 << 16),
    ],
)
def test_packets_that_two_readers_could_read_in_two_ways(
    guard17: Proxy, sent: bytes
) -> None:
    with socket.create_connection((guard17.host, guard17.port), 5) as connection:
        connection.sendall(sent)
        said = b""
        while data := connection.recv(1 << 16):
            said += data
    assert said[:1] == b"E"
    assert b"SFATAL\0" in said


def test_a_database_that_is_not_there(guard: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match='"nowhere" does not exist'):
        psycopg.connect(guard.dsn("developer", "nowhere"))


def has_more_records(proxy: Proxy, count: int) -> bool:
    return len(proxy.records()) > count


def test_refused_logins_are_recorded(start_proxy: StartProxy, shop17: Database) -> None:
    """By a pgwarden of its own: of many from one address it only counts the rest."""
    proxy = start_proxy(shop17.cluster)
    for identity, password, said in (
        ("auditor", None, "may not log in"),
        ("developer", "wrong", "password authentication failed"),
    ):
        before = len(proxy.records())
        with pytest.raises(psycopg.OperationalError, match=said):
            psycopg.connect(
                proxy.dsn(identity, shop17.name),
                password=password or proxy.password(identity),
            )
        eventually(partial(has_more_records, proxy, before))
        (record,) = proxy.records()[before:]
        assert record["kind"] == "session.end"
        assert record["status"] == "refused"
        assert record["identity"] == proxy.user(identity)
        assert said in record["reason"]


def test_an_unknown_user_sounds_like_a_wrong_password(
    guard17: Proxy, shop17: Database
) -> None:
    said = []
    for user in ("dev", "nobody"):
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(
                guard17.dsn("developer", shop17.name), user=user, password="wrong"
            )
        said.append(str(refused.value).replace(f'"{user}"', '"x"'))
    assert said[0] == said[1]


def test_each_session_has_a_beginning_and_an_end(
    guard17: Proxy, shop17: Database
) -> None:
    before = len(guard17.records())
    with psycopg.connect(
        guard17.dsn("developer", shop17.name), application_name="mine"
    ) as connection:
        connection.execute("select 1")
    eventually(
        lambda: any(r["kind"] == "session.end" for r in guard17.records()[before:])
    )
    records = guard17.records()[before:]
    kinds = [r["kind"] for r in records if r["kind"] != "checkpoint"]
    assert kinds[0] == "session.start"
    assert kinds[-1] == "session.end"
    assert len({r["session"] for r in records if "session" in r}) == 1
    for record in records:
        if record["kind"] != "checkpoint":
            assert record["identity"] == "dev"
            assert record["role"] == "developer"
            assert record["database"] == shop17.name
            assert record["application_name"] == "mine"
            assert record["client_address"] == "127.0.0.1"
    assert records[-1]["reason"] == "terminated by the client"
    assert records[-1]["statements"] == 3
