"""Failures are counted where they come from, forgiven in time, and hurt nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.auth import throttle
from proxy.auth.throttle import (
    FORGIVEN_AFTER_S,
    FREE,
    KNOWN_FOR_S,
    Bounds,
    Scores,
    Throttle,
    place_of,
)

BOUNDS = Bounds(identity=5, address=20, network=60, delay_s=4.0)
HOME, AWAY = place_of("192.0.2.1"), place_of("198.51.100.7")


def fail(one: Throttle, times: int, *, name: str = "ana", now_s: float = 0.0) -> float:
    delay_s = 0.0
    for _ in range(times):
        delay_s = one.failed(AWAY, name, now_s)
    return delay_s


@pytest.mark.parametrize(
    ("address", "counted", "wider"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2ff:3:4:5:6", "2001:db8:1:2ff::/64", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/56"),
        ("::1", "::/64", "::/56"),
        ("", "", ""),
    ],
)
def test_where_a_client_is(address: str, counted: str, wider: str) -> None:
    assert place_of(address) == (counted, wider)


def test_the_first_slips_are_answered_at_once_and_then_it_grows() -> None:
    one = Throttle(BOUNDS)
    delays = [one.failed(AWAY, "ana", 0.0) for _ in range(9)]
    assert delays[:FREE] == [0.0] * FREE
    assert delays[FREE:] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_ever_new_names_from_one_address_wait_too() -> None:
    one = Throttle(BOUNDS)
    delays = [one.failed(AWAY, f"name{number}", 0.0) for number in range(20)]
    assert delays[:6] == [0.0] * 6
    assert delays[-1] > delays[8] > 0
    assert delays == sorted(delays)


def test_beyond_the_bound_it_is_said_for_how_long() -> None:
    one = Throttle(BOUNDS)
    fail(one, 4)
    assert one.refusal(AWAY, "ana", 0.0) is None
    fail(one, 1)
    refused = one.refusal(AWAY, "ana", 0.0)
    assert refused == ("identity", FORGIVEN_AFTER_S)
    assert one.refusal(AWAY, "ana", FORGIVEN_AFTER_S - 0.1) is not None
    assert one.refusal(AWAY, "ana", FORGIVEN_AFTER_S) is None


def test_a_name_is_never_locked_for_others() -> None:
    """The lockout of one's neighbour: guess at the name until it is closed."""
    one = Throttle(BOUNDS)
    fail(one, 10_000)
    assert one.refusal(AWAY, "ana", 0.0) is not None
    assert one.refusal(HOME, "ana", 0.0) is None
    assert one.failed(HOME, "ana", 0.0) == 0.0


def test_who_came_in_from_there_before_still_does() -> None:
    one = Throttle(BOUNDS)
    one.succeeded(AWAY, "ana", 0.0)
    for number in range(1_000):
        one.failed(AWAY, f"name{number % 100}", 1.0)
    refused = one.refusal(AWAY, "ben", 1.0)
    assert refused is not None
    assert refused.reason in {"address", "network"}
    assert one.refusal(AWAY, "ana", 1.0) is None
    fail(one, 1_000, now_s=1.0)
    assert one.refusal(AWAY, "ana", 1.0) is None


def test_to_have_been_in_wears_off() -> None:
    one = Throttle(BOUNDS)
    one.succeeded(AWAY, "ana", 0.0)
    fail(one, 10, now_s=KNOWN_FOR_S)
    assert one.refusal(AWAY, "ana", KNOWN_FOR_S) is not None


def test_a_password_of_ones_own_wipes_out_no_guesses() -> None:
    """The reset between guesses: log in as oneself after every fourth try."""
    one = Throttle(BOUNDS)
    for number in range(30):
        one.failed(AWAY, f"victim{number}", 0.0)
        one.succeeded(AWAY, "mallory", 0.0)
    assert one.refusal(AWAY, "victim99", 0.0) is not None
    assert one.refusal(AWAY, "mallory", 0.0) is None


def test_a_job_with_an_old_password_does_not_close_the_office() -> None:
    one = Throttle(BOUNDS)
    fail(one, 100_000, name="cron")
    assert one.refusal(AWAY, "cron", 0.0) is not None
    assert one.refusal(AWAY, "ana", 0.0) is None


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["192.0.2.%d"], "network"),
        (["2001:db8::%x"], "address"),
        (["2001:db8:0:%x::1"], "network"),
    ],
)
def test_neighbouring_addresses_are_counted_together(
    addresses: list[str], reason: str
) -> None:
    one = Throttle(BOUNDS)
    for number in range(1, 101):
        place = place_of(addresses[0] % number)
        if one.refusal(place, "ana", 0.0) is None:
            one.failed(place, f"name{number}", 0.0)
    refused = one.refusal(place_of(addresses[0] % 200), "new", 0.0)
    assert refused is not None
    assert refused.reason == reason


def test_many_addresses_neither_grow_memory_nor_gain_freedom() -> None:
    """Fill the table so that one's own entry falls out of it.

    At 2,000 tries a second, by far more than a worker can answer, an address that comes
    back when it was pushed out has waited for as long as it would have had to.
    """
    tracked, rate = throttle.MOST_TRACKED // 20, 100.0
    one = Throttle(BOUNDS, tracked=tracked)
    mine, tries, now_s = AWAY, 0, 0.0
    for number in range(30_000):
        now_s = number / rate
        if number % 10 == 0 and one.refusal(mine, "ana", now_s) is None:
            one.failed(mine, "ana", now_s)
            tries += 1
            continue
        other = place_of(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        one.failed(other, "ana", now_s)
        assert len(one) <= 3 * tracked
    assert tries <= BOUNDS.identity + 2 * now_s / FORGIVEN_AFTER_S


def test_long_names_take_no_more_room() -> None:
    pairs = [throttle._pair(AWAY, "x" * length) for length in (1, 10_000)]
    assert {len(pair) for pair in pairs} == {16}
    assert len(throttle._pair(AWAY, "\udcff")) == 16


def test_an_address_is_held_as_a_whole_unless_someone_came_in_from_there() -> None:
    one, other = Throttle(BOUNDS), place_of("198.51.100.8")
    one.succeeded(other, "ana", 0.0)
    for number in range(20):
        one.failed(AWAY, f"name{number}", 0.0)
        one.failed(other, f"name{number}", 0.0)
    assert one.is_held(AWAY, 0.0)
    assert not one.is_held(HOME, 0.0)
    assert not one.is_held(other, 0.0)
    assert not one.is_held(AWAY, FORGIVEN_AFTER_S)
    assert one.refusal(other, "ben", 0.0) is not None


def test_what_is_forgiven_is_forgotten() -> None:
    one = Throttle(BOUNDS)
    for number in range(25):
        one.failed(AWAY, f"name{number}", 0.0)
    assert one.held(0.0) == 1
    assert one.held(10_000.0) == 0
    assert len(one) == 0


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=200),
    st.integers(1, 10),
)
def test_in_any_stretch_no_more_than_the_bound_and_what_is_forgiven(
    gaps: list[float], bound: int
) -> None:
    scores, now_s, allowed = Scores(FORGIVEN_AFTER_S), 0.0, []
    for gap in gaps:
        now_s += gap
        if not scores.wait_s("a", bound, now_s):
            scores.add("a", now_s)
            allowed.append(now_s)
    for index, begin in enumerate(allowed):
        for number, end in enumerate(allowed[index:], 1):
            assert number <= bound + (end - begin) / FORGIVEN_AFTER_S + 1e-6
