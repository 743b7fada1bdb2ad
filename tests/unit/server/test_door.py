"""The door: what is said, what waits, and what is told in a flood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from structlog.testing import capture_logs

from proxy.auth.throttle import place_of
from proxy.errors import ErrorReport
from proxy.metrics import Metrics
from proxy.server.door import DELAYED_OF_ADDRESS, Door
from proxy.server.refused_logins import (
    LINES,
    MOST_ADDRESSES,
    RECORDS,
    RECORDS_OF_ADDRESS,
    TOLD_EVERY_S,
    RefusedLogin,
    RefusedLogins,
)
from proxy.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proxy.server.committer import Committer

HOME, AWAY = place_of("192.0.2.1"), place_of("198.51.100.7")


class Book:
    """Keeps the records; nothing here needs a disk or a loop.

    Not a Committer, of which nothing can be derived once it is compiled.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, fragment: bytes) -> None:
        self.records.append(json.loads(b"{" + fragment + b"}"))


class Rig:
    """A door with a clock that is set by hand."""

    def __init__(self, **limits: float) -> None:
        self.now_s = 100.0
        self.book = Book()
        self.metrics = Metrics(version="test", started=0.0)
        self.door = Door(
            LimitSettings(**limits),  # type: ignore[arg-type]
            metrics=self.metrics,
            committer=cast("Committer", self.book),
            clock=lambda: self.now_s,
        )

    def throttled(self) -> dict[str, float]:
        found = self.metrics.snapshot(0.0).values["pgwarden_login_throttled_total"]
        return {labels[0]: value for labels, value in found}


def refused(number: int, place: str, *, is_proven: bool = False) -> RefusedLogin:
    return RefusedLogin(
        address=place,
        place=place,
        identity=f"name{number}",
        report=ErrorReport("28P01", "no"),
        result="denied",
        note="",
        duration_s=0.1,
        is_proven=is_proven,
    )


def test_it_is_said_for_how_long() -> None:
    rig = Rig(failed_logins_per_identity=3)
    for _ in range(3):
        rig.door.failed(AWAY, "ana")
    report = rig.door.refusal(AWAY, "ana")
    assert report is not None
    assert (report.sqlstate, report.severity) == ("53300", "FATAL")
    assert report.message == "too many failed logins for this name from this address"
    assert report.hint == "try again in 10 s"
    assert rig.door.refusal(HOME, "ana") is None
    assert rig.throttled()["identity"] == 1


def test_delays_can_not_be_used_to_fill_the_places() -> None:
    rig = Rig(unfinished_logins=100)
    waits = [rig.door.failed(AWAY, "ana") for _ in range(50)]
    assert sum(wait > 0 for wait in waits) == DELAYED_OF_ADDRESS
    for number in range(200):
        for _ in range(4):
            rig.door.failed(place_of(f"192.0.2.{number}"), "ana")
    assert rig.throttled()["delayed"] == 25
    rig.door.answered(AWAY)
    assert rig.door.failed(AWAY, "ana") > 0


def test_held_addresses_are_counted_and_let_go() -> None:
    rig = Rig(failed_logins_per_address=5)
    for number in range(5):
        rig.door.failed(AWAY, f"name{number}")
    rig.door.look()
    assert rig.metrics.login_addresses_held == 1
    rig.now_s += 1_000
    rig.door.look()
    assert rig.metrics.login_addresses_held == 0


def tell(logins: Sequence[RefusedLogin], *, after_s: float = 30.0) -> tuple[Any, Book]:
    book = Book()
    metrics = Metrics(version="test", started=0.0)
    told = RefusedLogins(metrics, cast("Committer", book))
    with capture_logs() as lines:
        for one in logins:
            told.add(one, 0.0)
        told.due(after_s)
        told.tell(after_s)
        told.tell(after_s)
    return lines, book


def test_a_flood_is_one_line_and_one_record_and_every_login_is_counted() -> None:
    lines, book = tell([refused(number, "a") for number in range(10_000)])
    (summary,) = [line for line in lines if line["event"] == "logins_refused"]
    assert len(lines) == LINES + 1
    assert LINES + summary["more"] == 10_000
    assert summary["most_from"] == "a"
    (count,) = [each for each in book.records if each["kind"] == "internal"]
    assert len(book.records) == RECORDS_OF_ADDRESS + 1
    assert RECORDS_OF_ADDRESS + int(count["detail"]["more"]) == 10_000
    assert count["detail"]["denied"] == count["detail"]["more"]
    assert count["client_address"] == "a"
    assert count["detail"]["identities"].split(", ")[0] == "name20"


def test_nothing_is_lost_when_it_comes_from_everywhere() -> None:
    logins = [refused(n, f"a{n % 5_000}") for n in range(20_000)]
    _, book = tell(logins)
    counts = [each for each in book.records if each["kind"] == "internal"]
    single = [each for each in book.records if each["kind"] == "session.end"]
    assert len(single) == RECORDS
    assert len(counts) <= MOST_ADDRESSES + 1
    assert RECORDS + sum(int(each["detail"]["more"]) for each in counts) == 20_000


def test_a_flood_hides_nobody_who_was_proven() -> None:
    """Cover one's tracks: make noise, then use a stolen password from abroad."""
    noise = [refused(number, "a") for number in range(1_000)]
    lines, book = tell([*noise, refused(7_777, "a", is_proven=True)])
    assert [each for each in book.records if each["identity"] == "name7777"]
    assert [line for line in lines if line.get("identity") == "name7777"]


def test_a_few_are_told_one_by_one_and_the_time_begins_anew() -> None:
    lines, book = tell([refused(number, "a") for number in range(3)])
    assert [line["event"] for line in lines] == ["login_refused"] * 3
    assert [each["kind"] for each in book.records] == ["session.end"] * 3
    metrics = Metrics(version="test", started=0.0)
    told = RefusedLogins(metrics, cast("Committer", book))
    for turn in range(3):
        for number in range(RECORDS_OF_ADDRESS):
            told.add(refused(number, "a"), turn * TOLD_EVERY_S)
    assert all(each["kind"] == "session.end" for each in book.records)


def test_names_in_a_count_are_cut() -> None:
    long = [refused(10**4_000, "a") for _ in range(RECORDS_OF_ADDRESS + 1)]
    _, book = tell(long)
    assert len(book.records[-1]["detail"]["identities"]) == 63
