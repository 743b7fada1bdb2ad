"""Secrets in Postgres' format, and passwords prepared as Postgres prepares them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings, strategies as st

from proxy.auth.secrets import (
    MAX_ITERATIONS,
    ScramSecret,
    decode_base64,
    make_secret,
    mock_secret,
    parse_secret,
    prepare_password,
)
from proxy.errors import ConfigError

SALT = bytes(range(16))
KEY = b"k" * 32


@given(
    st.integers(1, MAX_ITERATIONS),
    st.binary(min_size=1, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
def test_secrets_round_trip(
    iterations: int, salt: bytes, stored: bytes, server: bytes
) -> None:
    secret = ScramSecret(iterations, salt, stored, server)
    assert parse_secret(secret.encode()) == secret


def test_the_keys_are_those_of_rfc_7677() -> None:
    """RFC 7677 section 3: user "user", password "pencil"."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    secret = make_secret("pencil", salt=salt)
    assert secret.encode() == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


GOOD = make_secret("x", salt=SALT, iterations=1).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "md5" + "0" * 32,
        "SCRAM-SHA-1" + GOOD[13:],
        "scram-sha-256" + GOOD[13:],
        GOOD.replace("$1:", "$0:"),
        GOOD.replace("$1:", "$-1:"),
        GOOD.replace("$1:", "$²:"),
        GOOD.replace("$1:", f"${MAX_ITERATIONS + 1}:"),
        GOOD.replace("$1:", f"${'9' * 5000}:"),
        GOOD.replace("$1:", "$:"),
        GOOD[:-1],
        GOOD + "=",
        GOOD + "\n",
        GOOD[:-44],
        GOOD[: GOOD.rindex("$")],
        GOOD.replace("AAEC", "    "),
        "SCRAM-SHA-256$1:$" + GOOD.rpartition("$")[2],
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_secret(text)
    if text:
        assert text not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_parses_or_raises_the_typed_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_secret(text)


@given(st.text(max_size=30).map(lambda tail: "SCRAM-SHA-256$1:" + tail))
def test_any_tail_parses_or_raises_the_typed_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_secret(text)


def test_a_secret_is_not_printed() -> None:
    shown = repr(make_secret("x", salt=b"0123456789abcdef", iterations=1))
    assert "0123456789abcdef" not in shown
    assert "iterations=1" in shown


# Each line agrees with what PostgreSQL 15.18, 17.10 and 18.6 stored for the password.
@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("plain", "plain"),
        ("a\x07b", "a\x07b"),  # ASCII is not looked at
        ("a\u00a0ä", "a ä"),
        ("I\u00adX\u00e4", "IXä"),
        ("\u2168", "IX"),
        ("\u00aa", "a"),
        ("e\u0301", "é"),
        ("\u00ad", "\u00ad"),  # nothing left: used raw
        ("x\x07ä", "x\x07ä"),  # prohibited: used raw
        ("\ue000ª", "\ue000ª"),
        ("\u0221ª", "\u0221ª"),  # unassigned in Unicode 3.2: used raw
        ("\U0001f100", "\U0001f100"),
        ("\u0627\u0031ª", "\u0627\u0031ª"),  # a right-to-left text must end so
        ("\u0627a\u0628", "\u0627a\u0628"),
        ("\u06271\u0628", "\u06271\u0628"),
    ],
)
def test_passwords_are_prepared_as_postgres_does(password: str, prepared: str) -> None:
    assert prepare_password(password) == prepared.encode()


@given(st.text(max_size=50))
def test_any_password_can_be_prepared(password: str) -> None:
    assert isinstance(prepare_password(password), bytes)


@settings(max_examples=20)
@given(st.text("ab", max_size=5), st.integers(1, 100))
def test_a_mock_secret_stays_the_same_and_has_the_asked_shape(
    name: str, salt_length: int
) -> None:
    first = mock_secret(name, KEY, iterations=7, salt_length=salt_length)
    assert first == mock_secret(name, KEY, iterations=7, salt_length=salt_length)
    assert (first.iterations, len(first.salt)) == (7, salt_length)
    assert parse_secret(first.encode()) == first


def test_mock_secrets_differ_by_name_and_by_key() -> None:
    salts = {
        mock_secret("alice", KEY).salt,
        mock_secret("bob", KEY).salt,
        mock_secret("alice", b"other").salt,
    }
    assert len(salts) == 3


@pytest.mark.parametrize("text", ["", "AA==", "AAE=", "AAEC"])
def test_canonical_base64_decodes(text: str) -> None:
    raw = decode_base64(text)
    assert raw is not None
    assert base64.b64encode(raw).decode() == text


@pytest.mark.parametrize("text", ["AB==", "AA=", "AA", " AA==", "AA==\n", "A-_=", "é="])
def test_other_base64_does_not(text: str) -> None:
    assert decode_base64(text) is None
