"""The order in which hosts are tried, and what is remembered of them."""

from __future__ import annotations

from proxy.server.upstream_hosts import KNOWN_FOR_S, Hosts
from proxy.session.upstream_plan import Place
from proxy.session.upstream_target import Kind, Target
from proxy.settings_upstream import UpstreamLogin, UpstreamSettings

A, B, C = (Place(f"10.0.0.{n}", 5432, f"10.0.0.{n}") for n in (1, 2, 3))
PRIMARY, STANDBY = Kind(False, False), Kind(True, False)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def hosts(clock: Clock | None = None, **more: object) -> Hosts:
    settings = UpstreamSettings.model_validate(
        {
            "hosts": ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
            "logins": {"reader": UpstreamLogin(user="r")},
            **more,
        }
    )
    return Hosts(settings, clock=clock or Clock())


def order(found: Hosts, target: Target = Target.ANY) -> list[Place]:
    return [place for place, _ in found.attempts([A, B, C], target)]


async def test_the_order_is_that_of_the_settings() -> None:
    assert await hosts().places() == ([A, B, C], [])
    assert order(hosts()) == [A, B, C]


async def test_one_that_is_down_is_tried_last_for_a_while() -> None:
    clock = Clock()
    found = hosts(clock)
    found.failed(A, "connection refused")
    assert order(found) == [B, C, A]
    assert found.down() == [A]
    assert found.warnings() == [
        "database host 10.0.0.1:5432 is down: connection refused"
    ]
    clock.now += KNOWN_FOR_S
    assert order(found) == [A, B, C]
    found.reached(A, PRIMARY)
    assert found.warnings() == []


async def test_one_of_another_kind_comes_before_one_that_is_down() -> None:
    """It may have been promoted since."""
    found = hosts()
    found.reached(A, STANDBY)
    found.failed(B, "no answer")
    assert order(found, Target.PRIMARY) == [C, A, B]
    assert order(found, Target.ANY) == [A, C, B]


async def test_a_preferred_standby_is_not_looked_for_where_there_is_none() -> None:
    found = hosts()
    found.reached(A, PRIMARY)
    found.failed(B, "no answer")
    found.reached(C, STANDBY)
    tried = found.attempts([A, B, C], Target.PREFER_STANDBY)
    assert tried == [
        (C, Target.STANDBY),
        (A, Target.ANY),
        (C, Target.ANY),
        (B, Target.ANY),
    ]


async def test_in_random_order_all_come() -> None:
    found = hosts(load_balance_hosts="random")
    seen = {tuple((await found.places())[0]) for _ in range(200)}
    assert len(seen) == 6
    assert all(set(each) == {A, B, C} for each in seen)


async def test_a_name_that_stands_for_nothing_leaves_the_others() -> None:
    found = hosts(hosts=["no-such-host.invalid", "10.0.0.2"])
    places, problems = await found.places()
    assert places == [B]
    assert problems[0].startswith("upstream no-such-host.invalid:5432: ")
    assert found.down() == []
    assert "no-such-host.invalid:5432 is down" in found.warnings()[0]


async def test_one_host_has_no_warnings_of_its_own() -> None:
    """That it is down is a problem, and told as one."""
    found = hosts(hosts=(), host="10.0.0.1")
    assert (await found.places())[0] == [A]
    found.failed(A, "connection refused")
    assert found.warnings() == []
    assert order(found) == [B, C, A]


def test_a_place_in_words() -> None:
    assert str(Place("db", 5432, "10.0.0.1")) == "db:5432 (10.0.0.1)"
    assert str(Place("::1", 5432, "::1")) == "[::1]:5432"
