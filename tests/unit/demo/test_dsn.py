"""`proxy.demo.dsn`: connection URLs taken apart and put together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.demo.dsn import parse
from proxy.errors import ConfigError


def test_takes_a_url_apart() -> None:
    dsn = parse("postgresql://po%40st:p%3Aw@db.example:6000/my%2Fdb?sslmode=require")
    assert (dsn.host, dsn.port, dsn.user, dsn.password) == (
        "db.example",
        6000,
        "po@st",
        "p:w",
    )
    assert (dsn.database, dsn.tls_mode) == ("my/db", "require")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://postgres:secret@127.0.0.1:5432/postgres",
        "postgresql://a%20b:c%2Fd@[::1]:1/x?sslmode=verify-full&sslrootcert=ca.pem",
        "postgresql://postgres@localhost:5433/postgres",
    ],
)
def test_puts_it_together_again(text: str) -> None:
    assert parse(text).url() == text


def test_names_another_database_and_user() -> None:
    dsn = parse("postgres://postgres:secret@127.0.0.1/postgres?sslmode=disable")
    other = replace(dsn, user="reader", password=None)
    assert other.url("a b") == (
        "postgresql://reader@127.0.0.1:5432/a%20b?sslmode=disable"
    )


def test_fills_in_what_libpq_would() -> None:
    dsn = parse("postgresql://someone@")
    assert (dsn.host, dsn.port, dsn.database) == ("127.0.0.1", 5432, "someone")
    assert (dsn.password, dsn.tls_mode, dsn.tls_ca) == (None, "prefer", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("host=127.0.0.1 password=hunter2 user=postgres", "must be a connection URL"),
        ("mysql://root:hunter2@127.0.0.1/x", "must be a connection URL"),
        ("postgresql://127.0.0.1/hunter2", "names no user"),
        ("postgresql://a:hunter2@127.0.0.1:99999/x", "no valid port"),
        ("postgresql://a:hunter2@/x?host=/var/run/postgresql", "over TCP"),
        ("postgresql://a:hunter2@%2Fvar%2Frun/x", "over TCP"),
        ("postgresql://a:hunter2@h/x?sslmode=maybe", 'unknown sslmode "maybe"'),
    ],
)
def test_refuses_without_repeating_a_password(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(text)
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_hides_the_password() -> None:
    assert "hunter2" not in repr(parse("postgresql://a:hunter2@h/x"))
