"""A startup packet sorted: what is refused by its form alone."""

from __future__ import annotations

import pytest

from proxy.errors import FrontendError
from proxy.session.wish import (
    Outcome,
    RefusedLoginError,
    clean_application_name,
    read_wish,
)
from proxy.wire.startup import StartupMessage


def wish(**parameters: str) -> StartupMessage:
    return StartupMessage(0, {"user": "alice"} | parameters)


def test_the_database_is_the_user_by_default() -> None:
    assert read_wish(wish()).database == "alice"
    assert read_wish(wish(database="")).database == "alice"
    assert read_wish(wish(database="shop")).database == "shop"


@pytest.mark.parametrize("parameters", [{}, {"user": ""}, {"database": "shop"}])
def test_a_user_is_needed(parameters: dict[str, str]) -> None:
    with pytest.raises(RefusedLoginError) as caught:
        read_wish(StartupMessage(0, parameters))
    assert caught.value.sqlstate == "28000"


def test_settings_come_from_options_and_keys_in_lower_case() -> None:
    found = read_wish(wish(options="-c Search_Path=a --work-mem=1MB", TimeZone="UTC"))
    assert found.settings == (
        ("search_path", "a"),
        ("work_mem", "1MB"),
        ("timezone", "UTC"),
    )


def test_only_ascii_is_lowered() -> None:
    """The Kelvin sign lowers to "k": a judge would see another name than Postgres."""
    found = read_wish(wish(options="-c wor\u212a_mem=1"))
    assert found.settings == (("wor\u212a_mem", "1"),)


@pytest.mark.parametrize(
    "parameters",
    [
        {"options": "-c a=1 -c a=2"},
        {"options": "-c a=1 --A=2"},
        {"options": "-c timezone=UTC", "TimeZone": "UTC"},
        {"options": "-c application_name=x", "application_name": "y"},
    ],
)
def test_a_setting_given_twice_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(RefusedLoginError, match="given twice") as caught:
        read_wish(wish(**parameters))
    assert caught.value.outcome is Outcome.PARAMETER


def test_options_that_are_not_settings_are_refused() -> None:
    with pytest.raises(FrontendError, match='"-d"'):
        read_wish(wish(options="-d 5"))


# Spellings PostgreSQL 15 to 18 take for no replication, and others.
@pytest.mark.parametrize("value", ["off", "OFF", "of", "0", "n", "no", "f", "false"])
def test_no_replication_is_dropped(value: str) -> None:
    assert read_wish(wish(replication=value)).settings == ()


@pytest.mark.parametrize("value", ["database", "on", "true", "1", "yes", "", "o", "x"])
def test_replication_is_refused(value: str) -> None:
    with pytest.raises(RefusedLoginError, match='"replication"') as caught:
        read_wish(wish(replication=value))
    assert caught.value.sqlstate == "42501"


@pytest.mark.parametrize(
    "value", ["UTF8", "utf-8", "'utf8'", "Unicode", " u t f 8", "SQL_ASCII"]
)
def test_utf8_in_any_spelling_is_fine(value: str) -> None:
    assert read_wish(wish(client_encoding=value)).settings == ()


@pytest.mark.parametrize(
    "value", ["LATIN1", "SJIS", "auto", "", "utf16", "GB18030", "unicode8", "ütf8"]
)
def test_another_client_encoding_is_refused(value: str) -> None:
    for parameters in ({"client_encoding": value}, {"Client_Encoding": value}):
        with pytest.raises(RefusedLoginError, match="only UTF8") as caught:
            read_wish(wish(**parameters))
        assert caught.value.sqlstate == "22023"


def test_another_client_encoding_in_options_is_refused() -> None:
    with pytest.raises(RefusedLoginError, match="only UTF8"):
        read_wish(wish(options="--client-encoding=SJIS"))


@pytest.mark.parametrize(("asked", "spoken"), [(0, 0), (1, 1), (2, 2), (9999, 2)])
def test_the_minor_version_is_ours_at_most(asked: int, spoken: int) -> None:
    assert read_wish(StartupMessage(asked, {"user": "alice"})).minor == spoken


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("psql", "psql"),
        ("a\nb\x1b[31m", "a?b?[31m"),
        ("ümläut", "?ml?ut"),
        ("x" * 80, "x" * 63),
    ],
)
def test_an_application_name_is_cleaned(name: str, shown: str) -> None:
    assert clean_application_name(name) == shown
    assert read_wish(wish(application_name=name)).application_name == shown
