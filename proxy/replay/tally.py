"""What a replay found, counted: groups of statements that would be decided otherwise.

Each process counts its share; the shares are added up. Next: `proxy.cli.replay`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from proxy.replay.sessions import Change
from proxy.sql.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.replay.records import Record
    from proxy.replay.sessions import Answer

MOST_GROUPS: Final = 20_000
"""More than anyone reads; what does not fit is counted without its shape."""
OTHER_SHAPES: Final = "(other statements)"

Key = tuple[str, ...]


class Group(Struct):
    """Statements that one line of the report stands for.

    Attributes:
        rule_after: the candidate's; "" where it is not known.
        reason: of the candidate's decision on the first; or why it is not known.
        example: audit id of the first; of a login, the session.
        first: time of the first, as the records show it.
        last: time of the last.
        count: how many there are.
    """

    change: Change
    role: str
    identity: str
    application_name: str
    shape: str
    rule_before: str
    rule_after: str
    reason: str
    example: str
    first: str
    last: str
    count: int = 1

    def key(self) -> Key:
        """What its statements have in common."""
        return (
            self.change,
            self.role,
            self.identity,
            self.application_name,
            self.shape,
            self.rule_before,
            self.rule_after or self.reason,
        )

    def add(self, other: Group) -> None:
        """Take in the statements of another group of the same key."""
        self.count += other.count
        self.last = max(self.last, other.last)
        if other.first < self.first:
            self.first = other.first
            self.example = other.example
            self.reason = other.reason


class Counts(Struct):
    """Statements and logins, by what would change about them."""

    same: int = 0
    newly_refused: int = 0
    newly_allowed: int = 0
    not_replayable: int = 0

    def add(self, change: Change, count: int = 1) -> None:
        """Count some more."""
        match change:
            case Change.NONE:
                self.same += count
            case Change.REFUSED:
                self.newly_refused += count
            case Change.ALLOWED:
                self.newly_allowed += count
            case Change.UNKNOWN:
                self.not_replayable += count

    @property
    def total(self) -> int:
        """All of them."""
        return self.same + self.newly_refused + self.newly_allowed + self.not_replayable


class Tally(Struct):
    """The result of a replay, or of a share of it.

    Attributes:
        records: records read, of every kind.
        unreadable: lines that are no record; `pgwarden audit verify` tells more.
        sessions: sessions with a record in the span.
        begun_before: of these, sessions whose start the log does not hold.
        statements: counts of statement records.
        logins: counts of session.start records.
        groups: what would change, or can't be told, in no order.
    """

    records: int = 0
    unreadable: int = 0
    sessions: int = 0
    begun_before: int = 0
    statements: Counts = msgspec.field(default_factory=Counts)
    logins: Counts = msgspec.field(default_factory=Counts)
    groups: list[Group] = []


class Counter:
    """Counts answers into a tally."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._groups: dict[Key, Group] = {}
        self._shapes: dict[str, str] = {}

    def statement(self, record: Record, answer: Answer) -> None:
        """Count a statement."""
        self.tally.statements.add(answer.change)
        if answer.change is not Change.NONE:
            self._group(record, answer, self._shape(record), record.audit_id)

    def login(self, record: Record, answer: Answer, shape: str) -> None:
        """Count a login; `shape` says what about it is decided otherwise."""
        self.tally.logins.add(answer.change)
        if answer.change is not Change.NONE:
            self._group(record, answer, shape, record.session)

    def finish(self) -> Tally:
        """The whole."""
        self.tally.groups = list(self._groups.values())
        return self.tally

    def _shape(self, record: Record) -> str:
        text = record.text
        if not text:
            return f"({record.message} without text)"
        found = self._shapes.get(text)
        if found is None:
            if len(self._shapes) >= MOST_GROUPS:
                self._shapes.clear()
            found = self._shapes[text] = shape(text)
        return found

    def _group(self, record: Record, answer: Answer, shape: str, example: str) -> None:
        group = Group(
            answer.change,
            record.role,
            record.identity,
            record.application_name,
            shape,
            record.rule,
            answer.rule,
            answer.reason,
            example,
            record.at,
            record.at,
        )
        put(self._groups, group)


def put(groups: dict[Key, Group], group: Group) -> None:
    """Add a group to others, without its shape where there are too many."""
    known = groups.get(group.key())
    if known is None and len(groups) >= MOST_GROUPS:
        group.shape = OTHER_SHAPES
        known = groups.get(group.key())
    if known is None:
        groups[group.key()] = group
    else:
        known.add(group)


def added_up(tallies: Iterable[Tally]) -> Tally:
    """One tally of several shares."""
    total = Tally()
    groups: dict[Key, Group] = {}
    for each in tallies:
        total.records += each.records
        total.unreadable += each.unreadable
        total.sessions += each.sessions
        total.begun_before += each.begun_before
        for mine, other in (
            (total.statements, each.statements),
            (total.logins, each.logins),
        ):
            mine.same += other.same
            mine.newly_refused += other.newly_refused
            mine.newly_allowed += other.newly_allowed
            mine.not_replayable += other.not_replayable
        for group in each.groups:
            put(groups, group)
    total.groups = list(groups.values())
    return total
