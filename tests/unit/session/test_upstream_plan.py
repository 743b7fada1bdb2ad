"""The packet an upstream gets: built afresh, each key once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FrontendError
from proxy.session.upstream_plan import UpstreamPlan, shown_name, startup_parameters


def plan(*settings: tuple[str, str], read_only: bool = False) -> UpstreamPlan:
    return UpstreamPlan(
        user="reader",
        database="shop",
        application_name="alice via pgwarden",
        settings=settings,
        read_only=read_only,
    )


def test_the_packet_holds_what_the_plan_says() -> None:
    assert startup_parameters(plan(("timezone", "UTC"))) == {
        "user": "reader",
        "database": "shop",
        "timezone": "UTC",
        "application_name": "alice via pgwarden",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
    }


def test_read_only_comes_last_and_wins() -> None:
    asked = plan(("default_transaction_read_only", "off"), read_only=True)
    assert list(startup_parameters(asked).items())[-1] == (
        "default_transaction_read_only",
        "on",
    )
    writer = plan(("default_transaction_read_only", "off"))
    assert startup_parameters(writer)["default_transaction_read_only"] == "off"


def test_a_default_of_ours_is_there_unless_the_client_asks_for_its_own() -> None:
    defaults = (("lock_timeout", "10000"), ("statement_timeout", "0"))
    begun = startup_parameters(replace(plan(), defaults=defaults))
    assert begun["lock_timeout"] == "10000"
    asked = replace(plan(("lock_timeout", "5s")), defaults=defaults)
    assert startup_parameters(asked)["lock_timeout"] == "5s"
    assert startup_parameters(asked)["statement_timeout"] == "0"


def test_a_default_is_never_one_of_the_settings_that_must_be() -> None:
    defaults = (("client_encoding", "SQL_ASCII"), ("user", "postgres"))
    begun = startup_parameters(replace(plan(), defaults=defaults))
    assert begun["client_encoding"] == "UTF8"
    assert begun["user"] == "reader"


@pytest.mark.parametrize(
    "name", ["client_encoding", "standard_conforming_strings", "application_name"]
)
def test_a_setting_never_replaces_ours(name: str) -> None:
    ours = startup_parameters(plan())
    assert startup_parameters(plan((name, "other"))) == ours


@pytest.mark.parametrize(
    "name", ["user", "database", "options", "replication", "_pq_.x"]
)
def test_a_setting_is_never_a_key_of_the_packet(name: str) -> None:
    with pytest.raises(FrontendError, match=name):
        startup_parameters(plan((name, "x")))


@pytest.mark.parametrize(
    ("identity", "client_name", "shown"),
    [
        ("alice", "", "alice via pgwarden"),
        ("alice", "psql", "alice via pgwarden (psql)"),
        ("alice", "x\ny", "alice via pgwarden (x?y)"),
        ("a" * 63, "psql", "a" * 63),
    ],
)
def test_the_person_is_shown_first(identity: str, client_name: str, shown: str) -> None:
    assert shown_name(identity, client_name) == shown


def test_the_password_is_not_printed() -> None:
    assert "hunter2" not in repr(
        UpstreamPlan(user="u", database="d", password="hunter2")
    )
