"""What a decision hangs on beside the statement: where from, as what, when, and proof.

The conditions of a role's rules (`networks`, `applications`, `during`, `proven`) are
compiled once. A *situation* is the set of rules that have no say now, and of those that
are on trial (in shadow), with the instant until which that is so: a verdict is made in
a situation, and never outlives it. Time comes in with the call.
Where something is not known, the answer is the strict one: a permit that hangs on it
does not count, a forbid does. Pure.
Next: `proxy.policy.evaluate`, which decides in a situation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec import Struct

from proxy.policy.networks import Networks
from proxy.policy.patterns import Pattern
from proxy.policy.windows import CompiledWindow, end_of_trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.policy.documents import Document
    from proxy.policy.model import Rule, Surroundings

ALWAYS: Final = float("inf")

Holds: TypeAlias = "bool | None"
"""Kleene's truth: None is what is not known."""


class Circumstances(Struct, frozen=True):
    """Where it comes from, what it calls itself, when, and as what; None: not known.

    Attributes:
        address: the client's numeric address.
        application: the application_name that it gives itself.
        at: seconds since the epoch.
        proven: the statement is part of a proven migration whose gates have all let it
            pass. Never so of a session as such, only of a statement.
    """

    address: str | None = None
    application: str | None = None
    at: float | None = None
    proven: bool | None = None


class Situation(Struct, frozen=True):
    """Which rules of a role have no say now, and which are only on trial.

    Attributes:
        asleep: ids of the rules whose conditions do not hold.
        shadowed: ids of the rules that are in shadow: a forbid that does not refuse, a
            permit whose absence is tried. Not so when its time is over: the forbid
            refuses then, and the permit is asleep.
    """

    asleep: frozenset[str] = frozenset()
    shadowed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Tells situations of one policy and role apart; "" for the plain one."""
        if not self.asleep and not self.shadowed:
            return ""
        return f"{','.join(sorted(self.asleep))}~{','.join(sorted(self.shadowed))}"


PLAIN: Final = Situation()
"""Of a role whose rules hang on nothing."""


class Spell(NamedTuple):
    """A situation, and the instant before which the clock does not change it."""

    situation: Situation
    until: float


class Need(Struct, frozen=True):
    """Something a rule hangs on and that was not given.

    Attributes:
        what: "address", "application", "at" or "proven".
        rule: the rule's id.
    """

    what: str
    rule: str


class Situations:
    """The conditions of a role's rules, compiled.

    Attributes:
        are_fixed: no rule hangs on anything: there is but the plain situation.
    """

    def __init__(self, conditions: Iterable[RuleConditions]) -> None:
        self._rules = [rule for rule in conditions if rule.needs]
        self.are_fixed = not self._rules

    def of(self, around: Circumstances) -> Spell:
        """The situation in these circumstances, the strict one where they are open."""
        asleep = frozenset(rule.id for rule in self._rules if not rule.is_awake(around))
        until = ALWAYS
        if around.at is not None:
            for rule in self._rules:
                until = min(until, rule.steady_until(around.at))
        shadowed = frozenset(
            rule.id
            for rule in self._rules
            if rule.id not in asleep and rule.is_in_shadow(around)
        )
        if not asleep and not shadowed:
            return Spell(PLAIN, until)
        return Spell(Situation(asleep, shadowed), until)

    def unknown(self, around: Circumstances) -> list[Need]:
        """What rules hang on that these circumstances leave open."""
        return [
            Need(what, rule.id)
            for rule in self._rules
            for what in rule.needs
            if getattr(around, what) is None
        ]


class RuleConditions:
    """`when` and `unless` of a rule, as far as they do not ask for the statement.

    And until when it is in shadow.
    """

    __slots__ = ("_permits", "_shadow_until", "_unless", "_when", "id", "needs")

    def __init__(self, rule: Rule, document: Document) -> None:
        self.id = rule.id
        self._permits = rule.permit is not None
        self._when = _Conditions(rule.when, document)
        self._unless = _Conditions(rule.unless, document)
        shadow = rule.shadow
        self._shadow_until = None if shadow is None else end_of_trial(shadow.until)
        needs = [*self._when.needs, *self._unless.needs]
        if shadow is not None:
            needs.append("at")
        self.needs = tuple(dict.fromkeys(needs))

    def is_awake(self, around: Circumstances) -> bool:
        """Whether the rule has a say; a permit needs certainty, a forbid none."""
        here = self._when.hold(around)
        if self._unless.needs:
            here = _both(here, _opposite(self._unless.hold(around)))
        if not self._permits:
            return here is not False
        # What was tried, to do without this permit, becomes so when the time is over.
        is_void = self._shadow_until is not None and not self.is_in_shadow(around)
        return here is True and not is_void

    def is_in_shadow(self, around: Circumstances) -> bool:
        """Whether the rule is on trial; not so where the time is not known."""
        end, at = self._shadow_until, around.at
        return end is not None and at is not None and at < end

    def steady_until(self, at: float) -> float:
        """An instant before which the clock does not change that."""
        until = min(self._when.steady_until(at), self._unless.steady_until(at))
        end = self._shadow_until
        return until if end is None or end <= at else min(until, end)


class _Conditions:
    """Every key that is given must hold; within a key one item is enough."""

    __slots__ = ("_applications", "_networks", "_proven", "_windows", "needs")

    def __init__(self, model: Surroundings, document: Document) -> None:
        self._networks = (
            None if model.networks is None else Networks(document.words(model.networks))
        )
        self._applications = (
            None
            if model.applications is None
            else Pattern(document.words(model.applications))
        )
        self._windows = (
            None
            if model.during is None
            else [CompiledWindow(window) for window in model.during]
        )
        self._proven = model.proven
        self.needs = tuple(self._needs())

    def _needs(self) -> Iterator[str]:
        if self._networks is not None:
            yield "address"
        if self._applications is not None:
            yield "application"
        if self._windows is not None:
            yield "at"
        if self._proven is not None:
            yield "proven"

    def hold(self, around: Circumstances) -> Holds:
        """Whether they hold; None where that hangs on what is not known."""
        found: Holds = True
        address, application, at = around.address, around.application, around.at
        if self._networks is not None:
            found = None if address is None else self._networks.have(address)
        if self._applications is not None:
            fits = None
            if application is not None:
                fits = self._applications.matches(application)
            found = _both(found, fits)
        if self._windows is not None:
            opens = None
            if at is not None:
                opens = any(window.holds(at) for window in self._windows)
            found = _both(found, opens)
        if self._proven is not None:
            proven = around.proven
            found = _both(found, None if proven is None else proven is self._proven)
        return found

    def steady_until(self, at: float) -> float:
        return min(
            (window.steady_until(at) for window in self._windows or ()), default=ALWAYS
        )


def _both(one: Holds, other: Holds) -> Holds:
    """Both hold."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _opposite(one: Holds) -> Holds:
    return None if one is None else not one
