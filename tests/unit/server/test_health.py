"""Health: what counts against the upstream, and for how long."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from proxy.errors import ErrorReport
from proxy.server.health import Health, Reason, UpstreamError


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def failure(reason: Reason, sqlstate: str = "08006") -> UpstreamError:
    return UpstreamError(ErrorReport(sqlstate, "told"), "the note", reason)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    made = Health(["reader", "migrator"], clock=clock)
    made.all_tried()
    return made


def test_what_was_never_tried_is_not_taken_for_well(clock: Clock) -> None:
    health = Health(["reader", "migrator", "unused"], clock=clock)
    assert health.problems() == ["the database has not been tried yet"]
    assert not health.is_known_good("reader", 10)
    health.failed("reader", failure("connect"), is_probe=True)
    assert health.problems() == ["the database can't be reached"]
    with capture_logs() as logs:
        health.succeeded("reader")
    assert [each["event"] for each in logs] == ["upstream_is_back"]
    assert health.problems() == ["the database has not been tried yet"]
    health.all_tried()
    assert health.problems() == []


def test_a_success_is_known_for_a_while(health: Health, clock: Clock) -> None:
    health.succeeded("reader")
    assert health.is_known_good("reader", 10)
    assert not health.is_known_good("migrator", 10)
    clock.now_s += 10
    assert not health.is_known_good("reader", 10)


@pytest.mark.parametrize("is_probe", [False, True])
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (failure("connect"), "the database can't be reached"),
        (failure("tls"), "the database can't be reached safely"),
        (failure("login", "08004"), "the database refuses pgwarden's own login"),
        (failure("login", "57P03"), "the database does not accept connections now"),
        (failure("login", "53300"), "the database has no connection left"),
    ],
)
def test_trouble_of_the_upstream(
    health: Health, error: UpstreamError, problem: str, is_probe: bool
) -> None:
    health.succeeded("reader")
    health.failed("reader", error, is_probe=is_probe)
    assert health.problems() == [problem]
    assert not health.is_known_good("reader", 10)
    health.succeeded("reader")
    assert health.problems() == []


@pytest.mark.parametrize("sqlstate", ["3D000", "42501", "55000"])
def test_trouble_with_one_database_proves_that_the_login_works(
    health: Health, sqlstate: str
) -> None:
    health.failed("reader", failure("connect"), is_probe=True)
    health.failed("reader", failure("login", sqlstate), is_probe=True)
    assert health.problems() == []
    assert health.is_known_good("reader", 10)


def test_a_client_with_odd_settings_proves_nothing(health: Health) -> None:
    health.succeeded("reader")
    health.failed("reader", failure("login", "22023"), is_probe=False)
    assert health.problems() == []
    assert health.is_known_good("reader", 10)


def test_our_own_probe_has_no_odd_settings(health: Health) -> None:
    health.failed("reader", failure("login", "08006"), is_probe=True)
    assert health.problems() == ["pgwarden's own login to the database fails"]


def test_changes_are_logged_once(health: Health) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            for login in ("reader", "migrator"):
                health.failed(login, failure("connect"), is_probe=True)
        health.succeeded("reader")
        assert [each["event"] for each in logs] == ["upstream_problem"]
        health.succeeded("migrator")
        health.succeeded("migrator")
    assert [each["event"] for each in logs] == ["upstream_problem", "upstream_is_back"]


def test_each_refused_login_is_logged(health: Health) -> None:
    with capture_logs() as logs:
        for login in ("reader", "migrator"):
            health.failed(login, failure("login", "08004"), is_probe=True)
    assert [each["login"] for each in logs] == ["reader", "migrator"]
