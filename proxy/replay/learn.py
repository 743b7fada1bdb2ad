"""What a log shows to have been allowed and used, for `pgwarden policy suggest`.

The facts are taken from the texts anew, since a record keeps only a part of them.
`learn` is the way in. Next: `proxy.replay.follow` and `proxy.policy.suggest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.observed import Observation, Observed
from proxy.replay.follow import Follower
from proxy.replay.records import Reader
from proxy.replay.run import run
from proxy.replay.sessions import Change
from proxy.replay.verdicts import Judges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from proxy.replay.follow import Wanted
    from proxy.replay.records import Progress, Record, Share
    from proxy.replay.sessions import Answer

_ANYTHING: Final = """
version: 1
name: anything
roles:
  any: {login: permit, upstream: any, rules: [{id: any, permit: {everything: true}}]}
"""
"""What was allowed is not judged again, only read: the texts' facts are what counts."""


class Learnt(Struct):
    """What a log shows, or a share of it.

    Attributes:
        records: records read, of every kind.
        statements: allowed statements that were learnt from.
        on_trial: of these, the ones that a rule in shadow would have refused, by rule.
        unread: allowed statements whose text the log does not hold, by reason.
        roles: roles that had a session.
        observations: the acts of the statements.
        first: time of the first statement; "" if there was none.
        last: time of the last.
    """

    records: int = 0
    statements: int = 0
    on_trial: dict[str, int] = {}
    unread: dict[str, int] = {}
    roles: list[str] = []
    observations: list[Observation] = []
    first: str = ""
    last: str = ""


class Lesson(Struct, frozen=True):
    """What to learn from."""

    files: tuple[Path, ...]
    wanted: Wanted

    def share(self, share: Share, on_progress: Callable[[Progress], None]) -> Learnt:
        """Learn from one share of the sessions."""
        sink = _Sink()
        policy = Policy(load(_ANYTHING, source="anything"))
        judges = Judges(policy, as_role="any", keeps_facts=True)
        follower = Follower(judges, self.wanted, sink, only_allowed=True)
        reader = Reader(share, self.wanted.until, on_progress=on_progress)
        for file in self.files:
            for line in reader.lines(file):
                follower.feed(line)
        learnt = sink.learnt
        learnt.records = reader.records
        learnt.observations = sink.observed.all()
        return learnt


def learn(
    lesson: Lesson, processes: int, on_progress: Callable[[Progress], None]
) -> Learnt:
    """Learn from a log in so many processes.

    Raises:
        OSError: a file can't be read.
        PgwardenError: a process ended before it was done.
    """
    total = Learnt()
    observed = Observed()
    for each in run(lesson.share, Learnt, processes, on_progress):
        total.records += each.records
        total.statements += each.statements
        total.roles += [role for role in each.roles if role not in total.roles]
        total.first = min(filter(None, (total.first, each.first)), default="")
        total.last = max(total.last, each.last)
        _add(total.unread, each.unread)
        _add(total.on_trial, each.on_trial)
        for observation in each.observations:
            observed.add(observation)
    total.observations = observed.all()
    return total


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


class _Sink:
    """Gathers the acts of allowed statements, and settings of start-up packets."""

    def __init__(self) -> None:
        self.learnt = Learnt()
        self.observed = Observed()

    def login(self, record: Record) -> None:
        """Take the settings of a login."""
        self._take_role(record.role)
        for name, value in record.settings.items():
            self.observed.setting(record.role, record.identity, name, value)

    def statement(self, record: Record, answer: Answer) -> None:
        """Take an allowed statement."""
        self._take_role(record.role)
        learnt = self.learnt
        if answer.change is not Change.NONE:
            _add(learnt.unread, {answer.reason: 1})
            return
        if rule := record.would_refuse:
            _add(learnt.on_trial, {rule: 1})
        learnt.statements += 1
        learnt.first = min(learnt.first or record.at, record.at)
        learnt.last = max(learnt.last, record.at)
        for facts in answer.statements:
            self.observed.statement(record.role, record.identity, facts)

    def _take_role(self, role: str) -> None:
        if role not in self.learnt.roles:
            self.learnt.roles.append(role)
