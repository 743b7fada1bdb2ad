"""Every session of a share of a log, followed from record to record.

Records before the span that was asked for are followed as well, and not counted: the
state of a session comes from its beginning. Next: `proxy.replay.run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from proxy.replay.records import decode
from proxy.replay.sessions import Session
from proxy.replay.standing import Standing

if TYPE_CHECKING:
    from proxy.replay.records import Line, Record
    from proxy.replay.sessions import Answer
    from proxy.replay.verdicts import Judges


class Wanted(Struct, frozen=True):
    """Which records to count; an empty field lets all pass. Times as in the records."""

    identities: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    since: str = ""
    until: str = ""

    def takes(self, record: Record) -> bool:
        """Whether the session that a record belongs to is wanted."""
        return (not self.identities or record.identity in self.identities) and (
            not self.roles or record.role in self.roles
        )


class Sink(Protocol):
    """Takes what was found within the span."""

    def login(self, record: Record) -> None:
        """A session began."""

    def statement(self, record: Record, answer: Answer) -> None:
        """A statement was judged again."""


class _Followed(Struct):
    """A session that is not over, or (no `session`) one that is not wanted."""

    session: Session | None
    is_whole: bool
    role: str
    database: str
    standing: Standing | None = None
    is_counted: bool = False


class Follower:
    """Follows sessions under the policy of some judges.

    Attributes:
        sessions: sessions with a record in the span.
        begun_before: of these, the ones whose start the log does not hold.
        unreadable: lines with the beginning of a record and something else behind.
    """

    def __init__(
        self, judges: Judges, wanted: Wanted, sink: Sink, *, only_allowed: bool = False
    ) -> None:
        """With `only_allowed`, statements that were refused count for nothing."""
        self._judges = judges
        self._wanted = wanted
        self._sink = sink
        self._only_allowed = only_allowed
        self._followed: dict[bytes, _Followed] = {}
        self.sessions = 0
        self.begun_before = 0
        self.unreadable = 0

    def feed(self, line: Line) -> None:
        """Take the next line of a file."""
        try:
            match line.kind:
                case b"statement":
                    self._statement(line)
                case b"outcome":
                    self._outcome(line)
                case b"session.start":
                    self._start(line)
                case b"session.end":
                    self._followed.pop(line.session, None)
                case b"internal":
                    self._internal(line)
                case _:
                    pass
        except msgspec.DecodeError:
            self.unreadable += 1

    def _statement(self, line: Line) -> None:
        record = decode(line.whole)
        followed = self._followed.get(line.session)
        if followed is None:
            followed = self._begin(line, record, is_whole=False)
        session = followed.session
        if session is None or (self._only_allowed and not record.is_allowed):
            return
        self._move(followed, line.at)
        answer = session.statement(record)
        if line.at >= self._wanted.since:
            self._count(followed)
            self._sink.statement(record, answer)

    def _outcome(self, line: Line) -> None:
        followed = self._followed.get(line.session)
        session = followed.session if followed is not None else None
        if session is not None and session.awaits_outcome:
            session.outcome(decode(line.whole))

    def _internal(self, line: Line) -> None:
        """What pgwarden did or saw; of that a new application_name matters here."""
        followed = self._followed.get(line.session)
        if followed is not None and followed.standing is not None:
            record = decode(line.whole)
            if record.purpose == "application-name":
                followed.standing.rename(record.detail.get("application_name", ""))

    def _move(self, followed: _Followed, at: str) -> None:
        """Judge by the situation that a session is in at this time."""
        session, standing = followed.session, followed.standing
        situation = None if standing is None else standing.moved(at)
        if session is not None and situation is not None:
            session.follow(self._judges.of(followed.role, followed.database, situation))

    def _start(self, line: Line) -> None:
        record = decode(line.whole)
        followed = self._begin(line, record, is_whole=True)
        if followed.session is not None and line.at >= self._wanted.since:
            self._count(followed)
            self._sink.login(record)

    def _begin(self, line: Line, record: Record, *, is_whole: bool) -> _Followed:
        role, database = record.role, record.database
        session = standing = None
        if self._wanted.takes(record):
            session = Session(self._judges.of(role, database), is_whole=is_whole)
            situations = self._judges.situations(role)
            if not situations.are_fixed:
                standing = Standing(situations, record)
        followed = _Followed(session, is_whole, role, database, standing)
        self._followed[line.session] = followed
        return followed

    def _count(self, followed: _Followed) -> None:
        if not followed.is_counted:
            followed.is_counted = True
            self.sessions += 1
            self.begun_before += not followed.is_whole
