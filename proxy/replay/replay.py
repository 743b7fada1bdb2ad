"""A log judged again by a candidate policy: what would change?

`replay` is the way in. Next: `proxy.replay.follow` and `proxy.replay.tally`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.catalog.model import decode
from proxy.catalog.resolve import Resolver
from proxy.policy import refusals
from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.replay.follow import Follower
from proxy.replay.records import Reader
from proxy.replay.run import run
from proxy.replay.sessions import Answer, Change
from proxy.replay.standing import circumstances_of
from proxy.replay.tally import Counter, Tally, added_up
from proxy.replay.verdicts import Judges
from proxy.sql.facts import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.policy.decision import Decision
    from proxy.replay.follow import Wanted
    from proxy.replay.records import Progress, Record, Share


class Replay(Struct, frozen=True):
    """What to replay.

    Attributes:
        files: the audit files, each worker's in their order.
        policy_text: the candidate policy, which every process compiles for itself.
        source: where it came from.
        wanted: which records to count.
        catalogs: exported ones, each of the database that it names.
    """

    files: tuple[Path, ...]
    policy_text: str
    source: str
    wanted: Wanted
    catalogs: tuple[bytes, ...] = ()

    def share(self, share: Share, on_progress: Callable[[Progress], None]) -> Tally:
        """Replay one share of the sessions."""
        policy = Policy(load(self.policy_text, source=self.source))
        sink = _Sink(policy)
        catalogs = [decode(data, source="catalog") for data in self.catalogs]
        resolvers = {each.database: Resolver(each) for each in catalogs}
        follower = Follower(Judges(policy, resolvers=resolvers), self.wanted, sink)
        reader = Reader(share, self.wanted.until, on_progress=on_progress)
        for file in self.files:
            for line in reader.lines(file):
                follower.feed(line)
        tally = sink.counter.finish()
        tally.records = reader.records
        tally.unreadable = reader.unreadable + follower.unreadable
        tally.sessions = follower.sessions
        tally.begun_before = follower.begun_before
        return tally


def replay(
    wish: Replay, processes: int, on_progress: Callable[[Progress], None]
) -> Tally:
    """Replay a log in so many processes.

    Raises:
        PolicyError: what is wrong with the candidate policy.
        OSError: a file can't be read.
        PgwardenError: a process ended before it was done.
    """
    return added_up(run(wish.share, Tally, processes, on_progress))


class _Sink:
    """Counts statements, and judges and counts logins."""

    def __init__(self, policy: Policy) -> None:
        self.counter = Counter()
        self._policy = policy

    def statement(self, record: Record, answer: Answer) -> None:
        """Count a statement."""
        self.counter.statement(record, answer)

    def login(self, record: Record) -> None:
        """Judge a login again: the role, then each start-up setting."""
        refusal, setting = self._refused_login(record)
        if refusal is None:
            answer = Answer(Change.NONE, refusals.LOGIN)
        else:
            answer = Answer(Change.REFUSED, refusal.rule, refusal.reason)
        shape = f'login with setting "{setting}"' if setting else "login"
        self.counter.login(record, answer, shape)

    def _refused_login(self, record: Record) -> tuple[Decision | None, str]:
        if record.role not in self._policy.roles:
            return refusals.unknown_role(record.role), ""
        role = self._policy.role(record.role)
        if not role.may_login:
            return refusals.no_login(
                role.login_reason, role.login_hint, Kind.SESSION
            ), ""
        situation = self._policy.situation(record.role, circumstances_of(record))
        context = Context(database=record.database, situation=situation)
        for name, value in record.settings.items():
            decision = role.decide_setting(name, value, context)
            if not decision.allowed:
                return decision, name
        return None, ""
