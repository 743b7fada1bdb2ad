"""Windows of time: does one hold at an instant, and until when is that so?

A window is read off the clock on the wall of its time zone. In the night in which the
clocks go back, an hour that comes twice is in the window twice; an hour that is left
out in spring is in none. Time comes in with the call, as seconds since the epoch.
Pure, but for the time zone data, which `zoneinfo` reads from its files once a zone.
Next: `proxy.policy.situation`, which asks.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from proxy.policy.patterns import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.model import Window

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As `date.weekday` numbers them."""

_HOURS: Final = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?\s*-\s*(\d\d):(\d\d)(?::(\d\d))?")
_DAY_S: Final = 24 * 60 * 60
_LARGEST: Final = datetime.max.replace(tzinfo=UTC).timestamp() - 3 * _DAY_S
"""Instants after this can't be calculated with; nothing changes there any more."""


class WindowError(ValueError):
    """A window that can't be meant; the text says why, in words for its author."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Span(NamedTuple):
    """Seconds of the clock on the wall, from midnight: from the first to the second.

    A span over midnight ends on the next day: its end is no greater than its start.
    """

    start: int
    end: int

    def holds(self, second: int, day: int, days: frozenset[int]) -> bool:
        """Whether it is now, and began on one of the days. Weekdays from 0."""
        if self.start < self.end:
            return day in days and self.start <= second < self.end
        if second >= self.start:
            return day in days
        return second < self.end and (day - 1) % 7 in days


class CompiledWindow:
    """A window of a rule.

    Raises:
        WindowError: what is wrong with it, the first thing found.
    """

    __slots__ = ("_days", "_since", "_spans", "_until", "_zone")

    def __init__(self, window: Window) -> None:
        self._zone = zone_named(window.timezone)
        self._days = days_of(window.days) if window.days else frozenset(range(7))
        self._spans = (
            [span_of(hours) for hours in window.hours]
            if window.hours
            else [Span(0, _DAY_S)]
        )
        self._since = date_of(window.since, "since") if window.since else date.min
        self._until = date_of(window.until, "until") if window.until else date.max
        if self._since > self._until:
            raise WindowError("until", "the window ends before it begins")

    def ends_before(self, at: float) -> bool:
        """Whether it is over for good."""
        return datetime.fromtimestamp(at, self._zone).date() > self._until

    def holds(self, at: float) -> bool:
        """Whether the instant is in the window."""
        local = datetime.fromtimestamp(at, self._zone)
        if not self._since <= local.date() <= self._until:
            return False
        second = local.hour * 3600 + local.minute * 60 + local.second
        day = local.weekday()
        return any(span.holds(second, day, self._days) for span in self._spans)

    def steady_until(self, at: float) -> float:
        """An instant after `at` before which `holds` gives no other answer.

        At most some two days ahead: whoever waits for it asks again then.
        """
        if at > _LARGEST:
            return float("inf")
        found = at + 2 * _DAY_S
        for instant in self._boundaries(at):
            if at < instant < found:
                found = instant
        return min(found, _change_of_offset(self._zone, at, found))

    def _boundaries(self, at: float) -> Iterator[float]:
        """The instants at which the clock may show a boundary, some in the past."""
        today = datetime.fromtimestamp(at, self._zone).date()
        seconds = {0} | {each for span in self._spans for each in span}
        for ahead in range(3):
            midnight = datetime.combine(today + timedelta(days=ahead), time())
            for second in seconds:
                shown = midnight + timedelta(seconds=second)
                for fold in (0, 1):  # an hour may come twice
                    local = shown.replace(tzinfo=self._zone, fold=fold)
                    yield local.timestamp()


def _change_of_offset(zone: ZoneInfo, at: float, end: float) -> float:
    """The first instant up to `end` at which the zone's clocks are set; else `end`."""
    before = _offset(zone, at)
    if _offset(zone, end) == before:
        return end
    early, late = int(at), int(end) + 1
    while late - early > 1:
        middle = (early + late) // 2
        if _offset(zone, middle) == before:
            early = middle
        else:
            late = middle
    return float(late)


def _offset(zone: ZoneInfo, at: float) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()


# --- the words of a window ---------------------------------------------------


def zone_named(name: str) -> ZoneInfo:
    """The time zone.

    Raises:
        WindowError: there is none of that name.
    """
    known = _known_zones()
    if name not in known:
        found = nearest(name, known)
        near = found if found.startswith("; did") else "; such as Europe/Zurich or UTC"
        raise WindowError("timezone", f'no time zone "{name}"{near}')
    return ZoneInfo(name)


@cache
def _known_zones() -> frozenset[str]:
    """Every name, once: to gather them is to walk a folder of hundreds of files."""
    return frozenset(available_timezones())


def days_of(words: Sequence[str]) -> frozenset[int]:
    """Weekdays from 0, of words such as "mon" and "fri-mon".

    Raises:
        WindowError: a word is no day.
    """
    found: set[int] = set()
    for word in words:
        first, dash, last = (part.strip() for part in word.lower().partition("-"))
        start, end = _day(first), _day(last if dash else first)
        found.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(found)


def _day(word: str) -> int:
    if word not in DAYS:
        raise WindowError("days", f'no day "{word}"{nearest(word, DAYS)}')
    return DAYS.index(word)


def span_of(hours: str) -> Span:
    """A span such as "08:00-18:00", "22:00-06:00" or "00:00-24:00".

    Raises:
        WindowError: it is none.
    """
    found = _HOURS.fullmatch(hours.strip())
    if found is None:
        raise WindowError(
            "hours", f'"{hours}" is no span of hours: write it as "08:00-18:00"'
        )
    parts = [int(part or 0) for part in found.groups()]
    start, end = _second(hours, *parts[:3]), _second(hours, *parts[3:])
    if start in {end, _DAY_S}:
        raise WindowError("hours", f'"{hours}" is empty; a whole day is "00:00-24:00"')
    return Span(start, end)


def _second(hours: str, hour: int, minute: int, second: int) -> int:
    total = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 59 or total > _DAY_S:
        raise WindowError("hours", f'"{hours}": there is no such time of day')
    return total


def date_of(text: str, key: str) -> date:
    """A date such as 2026-12-31.

    Raises:
        WindowError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f'"{text}" is no date: write it as 2026-12-31'
        raise WindowError(key, message) from None


def end_of_trial(text: str) -> float:
    """When a trial is over: after a day (2026-12-31, in UTC), or at an instant.

    Raises:
        WindowError: it is neither.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            return moment_of(text)
        except ValueError:
            message = (
                f'"{text}" is no end of a trial: write a last day, 2026-12-31, or an '
                "instant with its offset, 2026-12-31T18:00+01:00"
            )
            raise WindowError("until", message) from None
    if day == date.max:
        raise WindowError("until", f'"{text}" never comes')
    following = day + timedelta(days=1)
    return datetime.combine(following, time(), UTC).timestamp()


def moment_of(text: str) -> float:
    """An instant, which must bear its offset: "2026-11-26T09:30+01:00".

    Raises:
        ValueError: it is none; the text says what to write.
    """
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError(
            f'"{text}" is no instant: write it with its offset, as in '
            "2026-11-26T09:30+01:00 or 2026-11-26T08:30Z"
        )
    return when.timestamp()
