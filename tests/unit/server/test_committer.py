"""Committer: records before bytes, for all sessions of a turn, whatever one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import AuditUnavailable
from proxy.server.committer import Committer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Runs what is due when told to."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.timers: list[Timer] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def call_later(self, _: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(call))
        return self.timers[-1]

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for call in due:
            call()

    def late(self) -> None:
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.is_cancelled:
                timer.call()


class Writer:
    def __init__(self, story: list[str]) -> None:
        self.story = story
        self.is_available = True
        self.kept: list[bytes] = []

    def append(self, fragments: Sequence[bytes], _: float) -> None:
        if not self.is_available:
            raise AuditUnavailable("no")
        self.story.append("write " + b" ".join(fragments).decode())

    def keep(self, fragments: Sequence[bytes]) -> None:
        self.kept += fragments

    def close(self, _: float) -> None:
        self.story.append("close")


class Member:
    is_listed = False

    def __init__(self, name: str, story: list[str], *, fails: str = "") -> None:
        self.name = name
        self.story = story
        self.fails = fails

    def take_records(self) -> list[bytes]:
        return [self.name.encode()]

    def unrecorded(self) -> list[bytes]:
        self.story.append(f"refuse {self.name}")
        if self.fails == "unrecorded":
            raise ValueError
        return [b"refused-" + self.name.encode()]

    def recorded(self) -> None:
        self.story.append(f"push {self.name}")
        if self.fails == "recorded":
            raise ValueError

    def broken(self) -> None:
        self.story.append(f"end {self.name}")


@pytest.fixture
def story() -> list[str]:
    return []


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def writer(story: list[str]) -> Writer:
    return Writer(story)


@pytest.fixture
def committer(loop: Loop, writer: Writer) -> Committer:
    return Committer(loop, writer, wall_clock=lambda: 0.0)  # type: ignore[arg-type]


def test_all_records_of_a_turn_are_one_write_before_any_byte(
    committer: Committer, loop: Loop, story: list[str]
) -> None:
    first, second = Member("a", story), Member("b", story)
    committer.soon(first)
    committer.soon(second)
    committer.soon(first)
    assert story == []
    loop.turn()
    assert story == ["write a b", "push a", "push b"]
    loop.turn()
    assert len(story) == 3


def test_an_outcome_waits_for_company(
    committer: Committer, loop: Loop, story: list[str]
) -> None:
    committer.later(Member("a", story))
    loop.turn()
    assert story == []
    committer.record(b"own")
    committer.soon(Member("b", story))
    loop.turn()
    assert story == ["write own a b", "push a", "push b"]
    loop.late()
    assert story[3:] in ([], ["write "]), "nothing is written twice"


def test_what_can_not_be_written_is_refused_and_tried_again(
    committer: Committer, loop: Loop, writer: Writer, story: list[str]
) -> None:
    writer.is_available = False
    committer.record(b"own")
    committer.soon(Member("a", story))
    loop.turn()
    assert story == ["refuse a", "push a"]
    assert writer.kept == [b"own", b"refused-a"]
    writer.is_available = True
    loop.late()
    assert story[2:] == ["write "]


@pytest.mark.parametrize("fails", ["recorded", "unrecorded"])
def test_one_that_fails_ends_alone(
    committer: Committer, loop: Loop, writer: Writer, story: list[str], fails: str
) -> None:
    writer.is_available = fails == "recorded"
    committer.soon(Member("a", story, fails=fails))
    committer.soon(Member("b", story))
    loop.turn()
    assert "end a" in story
    assert story[-1] == "push b"
    if fails == "unrecorded":
        assert "push a" not in story


def test_closing_writes_what_is_left(
    committer: Committer, loop: Loop, story: list[str]
) -> None:
    committer.later(Member("a", story))
    committer.close()
    assert story == ["write a", "push a", "close"]
    loop.late()
    assert len(story) == 3
