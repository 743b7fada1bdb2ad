"""Acts that were seen in allowed statements: what, how often, by whom.

An act is kept with the kind of its statement (the strongest), so that a rule can hold
for statements of that kind alone. Pure. Next: `proxy.policy.suggest`, which writes
rules of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.policy.acts import (
    Act,
    ActionAct,
    DatabaseAct,
    FlagAct,
    KindAct,
    LockAct,
    acts_of,
)
from proxy.policy.model import COMPUTED
from proxy.sql.facts import ColumnUse, FunctionUse, RelationUse, SettingChange
from proxy.sql.functions import EFFECTS

if TYPE_CHECKING:
    from proxy.sql.facts import Facts

STARTUP: Final = "startup"
"""Stands for the kind of a statement where the setting was in a startup packet."""

MOST_VALUES: Final = 1_000
"""Values of one setting that are kept: more is nothing that a list could say."""
MANY: Final = "many"
MOST_PEOPLE: Final = 100
"""Identities that are kept of those who used one thing."""


class Seen(Struct, frozen=True, gc=False):
    """An act in the words of a rule.

    Attributes:
        key: the rule's key ("relations", "settings", ...).
        how: access or effect; `MANY` for a setting whose values are too many to keep.
        schema: as the statement writes it, "" where it writes none.
        name: relation, function, setting, database, or the word itself.
        value: a setting's value, None where it is computed or the default.
    """

    key: str
    how: str
    schema: str
    name: str
    value: str | None = None


class Observation(Struct):
    """One act of one role in statements of one kind."""

    role: str
    kind: str
    seen: Seen
    count: int = 0
    people: dict[str, int] = {}

    def take(self, other: Observation) -> None:
        """Add what was observed of the same act elsewhere."""
        self.count += other.count
        for identity, count in other.people.items():
            if identity in self.people or len(self.people) < MOST_PEOPLE:
                self.people[identity] = self.people.get(identity, 0) + count


def as_seen(act: Act) -> Seen:
    """The act in the words of a rule."""
    match act:
        case FunctionUse(schema=schema, name=name, effect=effect):
            return Seen("functions", effect.value, schema, name)
        case RelationUse(schema=schema, name=name, access=access):
            return Seen("relations", access.value, schema, name)
        case ColumnUse(schema=schema, relation=relation, access=access):
            return Seen("relations", access.value, schema, relation)
        case SettingChange(name=name, is_reset=True):
            return Seen("resets", "", "", "all" if name == "*" else name or COMPUTED)
        case SettingChange(name=name, value=value):
            return Seen("settings", "", "", name or COMPUTED, value)
        case _:
            return _word(act)


def _word(act: KindAct | ActionAct | FlagAct | LockAct | DatabaseAct) -> Seen:
    match act:
        case KindAct(kind=kind):
            return Seen("kinds", "", "", kind.value)
        case ActionAct(action=action):
            return Seen("actions", "", "", action)
        case FlagAct(flag=flag):
            return Seen("flags", "", "", flag.value)
        case LockAct(mode=mode):
            return Seen("lock_modes", "", "", mode)
        case DatabaseAct(database=database):
            return Seen("databases", "", "", database)


class Observed:
    """Gathers observations."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, Seen], Observation] = {}
        self._values: dict[tuple[str, str, str], int] = {}

    def statement(self, role: str, identity: str, facts: Facts) -> None:
        """Take an allowed statement."""
        kind = facts.kind.value
        for act in dict.fromkeys(map(as_seen, acts_of(facts, EFFECTS))):
            self.add(Observation(role, kind, act, 1, {identity: 1}))

    def setting(self, role: str, identity: str, name: str, value: str) -> None:
        """Take a setting of a startup packet that was let in."""
        seen = Seen("settings", "", "", name.lower(), value)
        self.add(Observation(role, STARTUP, seen, 1, {identity: 1}))

    def add(self, observation: Observation) -> None:
        """Take what was observed, here or by another process."""
        key = (observation.role, observation.kind, observation.seen)
        known = self._found.get(key)
        if known is None:
            key = self._within_values(*key)
            known = self._found.setdefault(key, Observation(*key, people={}))
        known.take(observation)

    def all(self) -> list[Observation]:
        """Everything that was observed, in no order."""
        return list(self._found.values())

    def _within_values(self, role: str, kind: str, seen: Seen) -> tuple[str, str, Seen]:
        """The same, but without the value where a setting has too many of them."""
        if seen.value is None:
            return role, kind, seen
        values = self._values.get((role, kind, seen.name), 0)
        if values >= MOST_VALUES:
            return role, kind, Seen("settings", MANY, "", seen.name)
        self._values[role, kind, seen.name] = values + 1
        return role, kind, seen
