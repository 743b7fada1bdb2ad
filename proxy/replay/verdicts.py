"""What a policy says about texts, remembered: the one thing that a replay pays for.

The judge is the wire's own, and remembers too, but within the memory of a busy proxy; a
month of a log has more texts than that. Next: `proxy.replay.sessions`, which asks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.generations import Generations
from proxy.policy.situation import PLAIN, Situation, Situations
from proxy.session.judge import Judge
from proxy.sql.majors import NEWEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.catalog.resolve import Resolver
    from proxy.policy.evaluate import Policy
    from proxy.session.judge import Judged
    from proxy.sql.facts import Facts

    Key = tuple[int, bool, str]

MOST_REMEMBERED: Final = 100_000
"""Verdicts of one generation, two of which live; with texts of 500 bytes, 150 MB."""
MOST_WITH_FACTS: Final = 20_000
"""The same where the facts are kept, which take a few times the text."""
ENDS_TRANSACTION: Final = frozenset({"commit", "rollback", "prepare"})
"""What closes cursors that are not WITH HOLD, as `Facts.transaction` says it."""
MOST_JUDGES: Final = 64
"""Judges (role, database and situation) that are kept ready: each has a cache."""
_OF_NOTHING: Final = Situations(())


class Verdict(Struct, frozen=True, gc=False):
    """A decision, as much of it as a replay compares and shows.

    `touches_names` says that the text does something to prepared statements or cursors,
    be it by the end of a transaction. `judged` is there for such a text, and for every
    text where whoever asks keeps the facts.
    """

    allowed: bool
    rule: str
    reason: str
    quarantines: bool
    touches_names: bool
    judged: Judged | None


class Verdicts:
    """The verdicts of one policy for one role on one database, in one situation.

    Attributes:
        may_quarantine: whether the role has a rule that quarantines at all.
    """

    def __init__(
        self,
        judge: Judge,
        memory: Generations[Key, Verdict],
        number: int,
        *,
        keeps_facts: bool,
    ) -> None:
        policy, role = judge.policy, judge.role
        self.may_quarantine = role in policy.roles and any(
            rule.quarantines for rule in policy.role(role).rules
        )
        self._judge = judge
        self._memory = memory
        self._number = number
        self._keeps_facts = keeps_facts

    def of(
        self, text: str, *, quarantined: bool, prepared: Mapping[str, Facts]
    ) -> Verdict:
        """The verdict on a text that a session sends as it stands."""
        key = (self._number, quarantined, text)
        found = self._memory.get(key)
        if found is None:
            judged = self._judge.judge(
                text.encode(), quarantined=quarantined, prepared=prepared
            )
            found = self._verdict(judged)
            if not judged.executes:  # those depend on what was prepared
                self._memory.put(key, found)
        return found

    def first_statement(self, text: str) -> Facts | None:
        """The facts of what a Parse of this text prepares, if it holds anything."""
        statements = self._judge.judge(text.encode()).statements
        return statements[0] if statements else None

    def _verdict(self, judged: Judged) -> Verdict:
        decision = judged.decision
        touches_names = judged.renames or any(
            facts.transaction in ENDS_TRANSACTION for facts in judged.statements
        )
        return Verdict(
            decision.allowed,
            decision.rule,
            decision.reason,
            decision.quarantines,
            touches_names,
            judged if touches_names or self._keeps_facts else None,
        )


class Judges:
    """The verdicts of a policy for whatever roles and databases a log names."""

    def __init__(
        self,
        policy: Policy,
        *,
        as_role: str = "",
        keeps_facts: bool = False,
        resolvers: Mapping[str, Resolver] | None = None,
    ) -> None:
        """Begin without any verdict.

        Args:
            policy: decides.
            as_role: judges every role as that one.
            keeps_facts: keep the facts beside a verdict.
            resolvers: by database, its catalog; the others are judged strictly.
        """
        self._resolvers = resolvers or {}
        self._policy = policy
        self._as_role = as_role
        self._keeps_facts = keeps_facts
        most = MOST_WITH_FACTS if keeps_facts else MOST_REMEMBERED
        self._memory: Generations[Key, Verdict] = Generations(most)
        self._made = 0
        self._ready: OrderedDict[tuple[str, str, Situation], Verdicts] = OrderedDict()

    def situations(self, role: str) -> Situations:
        """What the rules of a role hang on beside the statement."""
        role = self._as_role or role
        if role not in self._policy.roles:
            return _OF_NOTHING
        return self._policy.role(role).situations

    def of(self, role: str, database: str, situation: Situation = PLAIN) -> Verdicts:
        """The verdicts for one role on one database in a situation."""
        key = (role, database, situation)
        found = self._ready.get(key)
        if found is None:
            self._made += 1
            # A log does not say which server it is of: take it for one that had the
            # grammar, or every such text would seem newly refused.
            resolver = self._resolvers.get(database)
            judge = Judge(
                self._policy,
                self._as_role or role,
                database=database,
                resolver=resolver,
                situation=situation,
                server_major=NEWEST if resolver is None else 0,
            )
            found = Verdicts(
                judge, self._memory, self._made, keeps_facts=self._keeps_facts
            )
            self._ready[key] = found
        self._ready.move_to_end(key)
        if len(self._ready) > MOST_JUDGES:
            self._ready.popitem(last=False)
        return found
