"""Windows of time: by the clock on the wall, also in the nights in which it is set."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from proxy.policy.model import Window
from proxy.policy.windows import CompiledWindow, WindowError, moment_of

ZURICH = "Europe/Zurich"


def window(**keys: Any) -> CompiledWindow:
    return CompiledWindow(Window.model_validate({"timezone": ZURICH} | keys))


def at(text: str) -> float:
    return moment_of(text)


OFFICE = {"days": "mon-fri", "hours": "08:00-18:00"}
NIGHT = {"days": "fri", "hours": "22:00-06:00"}
TWICE = {"hours": ["08:00-09:00", "10:00:30-11:00"]}
GAP = {"hours": "02:15-02:45"}
"""On 2026-03-29 clocks go from 02:00 to 03:00; on 2026-10-25 from 03:00 to 02:00."""


@pytest.mark.parametrize(
    ("keys", "moment", "holds"),
    [
        (OFFICE, "2026-11-26T07:59:59.999999+01:00", False),
        (OFFICE, "2026-11-26T08:00+01:00", True),
        (OFFICE, "2026-11-26T07:00Z", True),
        (OFFICE, "2026-11-26T17:59:59.999999+01:00", True),
        (OFFICE, "2026-11-26T18:00+01:00", False),
        (OFFICE, "2026-11-28T12:00+01:00", False),
        (OFFICE, "2026-07-02T06:00Z", True),  # summer: two hours ahead
        (NIGHT, "2026-11-27T22:00+01:00", True),
        (NIGHT, "2026-11-28T05:59+01:00", True),  # the Friday's, on Saturday
        (NIGHT, "2026-11-28T06:00+01:00", False),
        (NIGHT, "2026-11-27T05:00+01:00", False),  # the Thursday's
        (NIGHT, "2026-11-28T23:00+01:00", False),
        (GAP, "2026-03-29T01:30+01:00", False),
        (GAP, "2026-03-29T03:00+02:00", False),  # 02:15 to 02:45 never came
        (GAP, "2026-10-25T02:30+02:00", True),
        (GAP, "2026-10-25T02:50+02:00", False),
        (GAP, "2026-10-25T02:30+01:00", True),  # and again
        ({"hours": "02:30-04:00"}, "2026-03-29T03:00+02:00", True),
        ({"days": "sat-mon"}, "2026-11-29T12:00+01:00", True),
        ({"days": "sat-mon"}, "2026-11-24T00:00+01:00", False),
        ({"hours": "00:00-24:00"}, "2026-11-24T23:59:59+01:00", True),
        ({"hours": "18:00-24:00"}, "2026-11-24T23:59:59+01:00", True),
        ({"hours": "18:00-24:00"}, "2026-11-25T00:00+01:00", False),
        ({"since": "2026-11-26"}, "2026-11-25T23:59+01:00", False),
        ({"since": "2026-11-26"}, "2026-11-26T00:00+01:00", True),
        ({"until": "2026-11-26"}, "2026-11-26T23:59+01:00", True),
        ({"until": "2026-11-26"}, "2026-11-27T00:00+01:00", False),
        (TWICE, "2026-11-26T09:30+01:00", False),
        (TWICE, "2026-11-26T10:00:30+01:00", True),
    ],
)  # fmt: skip
def test_it_holds_by_the_clock_on_the_wall(
    keys: dict[str, Any], moment: str, *, holds: bool
) -> None:
    assert window(**keys).holds(at(moment)) is holds


WINDOWS = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(
            [ZURICH, "UTC", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu",
             "Pacific/Apia", "Africa/Casablanca"]
        )
    },
    optional={
        "days": st.sampled_from(["mon-fri", "sun", "sat-mon"]),
        "hours": st.sampled_from(
            ["00:00-24:00", "02:15-02:45", "22:00-06:00", "01:59:59-03:00:01"]
        ),
        "until": st.sampled_from(["2026-03-29", "2026-10-25"]),
    },
)  # fmt: skip
NEAR = st.sampled_from(
    ["2026-03-28T00:00Z", "2026-10-24T00:00Z", "2026-03-07T12:00Z", "2026-10-03T12:00Z",
     "2011-12-29T00:00Z", "2026-02-14T12:00Z"]
)  # fmt: skip
"""Near the days on which clocks are set; Apia left out a whole one in 2011."""


@settings(max_examples=120, deadline=None)
@given(WINDOWS, NEAR, st.floats(0, 3 * 86_400), st.lists(st.floats(0, 1), max_size=40))
def test_it_stays_as_it_is_until_the_instant_it_says(
    keys: dict[str, Any], near: str, ahead_s: float, parts: list[float]
) -> None:
    made = CompiledWindow(Window.model_validate(keys))
    now = at(near) + ahead_s
    until = made.steady_until(now)
    assert now < until <= now + 2 * 86_400 + 1
    span = until - now
    for part in [0.0, *parts, 1 - 1e-7]:
        moment = now + part * span
        if moment < until - 1e-3:
            shown = datetime.fromtimestamp(moment, UTC)
            assert made.holds(moment) == made.holds(now), shown


def test_it_is_asked_again_at_the_very_instant() -> None:
    office = window(**OFFICE)
    assert office.steady_until(at("2026-11-26T09:00+01:00")) == at(
        "2026-11-26T18:00+01:00"
    )
    # the window begins where the clocks jump over its beginning
    early = window(hours="02:30-04:00")
    moment = at("2026-03-29T01:00+01:00")
    while not early.holds(moment):
        moment = early.steady_until(moment)
    assert moment == at("2026-03-29T03:00+02:00")
    assert window().steady_until(253_402_300_000.0) == float("inf")


def test_it_is_over_when_its_last_day_is() -> None:
    made = window(until="2026-11-26")
    assert not made.ends_before(at("2026-11-26T23:59+01:00"))
    assert made.ends_before(at("2026-11-27T00:00+01:00"))


@pytest.mark.parametrize(
    ("keys", "key", "said"),
    [
        ({"timezone": "Europe/Zürich"}, "timezone",
         'no time zone "Europe/Zürich"; did you mean "Europe/Zurich"?'),
        ({"timezone": "../../etc/passwd"}, "timezone", "no time zone"),
        ({"timezone": "x"}, "timezone", "such as Europe/Zurich or UTC"),
        ({"days": "monday"}, "days", 'no day "monday"; did you mean "mon"?'),
        ({"days": "mon-"}, "days", 'no day ""'),
        ({"hours": "8-18"}, "hours", 'write it as "08:00-18:00"'),
        ({"hours": "08:00-25:00"}, "hours", "no such time of day"),
        ({"hours": "08:60-09:00"}, "hours", "no such time of day"),
        ({"hours": "08:00-08:00"}, "hours", "is empty"),
        ({"hours": "24:00-06:00"}, "hours", "is empty"),
        ({"since": "31.12.2026"}, "since", "write it as 2026-12-31"),
        ({"until": "2026-02-30"}, "until", "is no date"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "until", "before it begins"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_said(
    keys: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(WindowError) as caught:
        window(**keys)
    assert caught.value.key == key
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "now", "2026-11-26", "2026-11-26T09:30", "09:30"])
def test_an_instant_bears_its_offset(text: str) -> None:
    with pytest.raises(ValueError, match="write it with its offset"):
        moment_of(text)


def test_zones_are_known_where_the_system_has_none() -> None:
    """A distroless image: the package `tzdata` has them."""
    zoneinfo.reset_tzpath([])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert window(**OFFICE).holds(at("2026-07-02T06:00Z"))
    finally:
        zoneinfo.reset_tzpath()
