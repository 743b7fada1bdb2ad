"""What of the acts observed in one kind of statement a rule can list, and what not.

An act is left out, and named, rather than widened: where no pattern spells its name and
nothing else, where a setting had too many values, where it was seen too rarely for the
one who asks. Pure. Next: `proxy.policy.suggest`, which writes the rule.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from msgspec import Struct, structs

from proxy.policy.observed import MANY, Observation, Seen

LONGEST_WORD: Final = 200
"""As `proxy.policy.model` has it."""
MANY_VALUES: Final = 20
"""Values of a setting above which `any_value` takes any."""

_DOTTED: Final = frozenset({"relations", "functions"})
"""Keys whose words have a schema before the dot."""


class Wish(Struct, frozen=True):
    """How to suggest.

    Attributes:
        least: acts that were seen less often are left out.
        any_relation: every relation of a schema from which one was used.
        any_value: any value of a setting that had many.
    """

    least: int = 1
    any_relation: bool = False
    any_value: bool = False


class Selection(Struct, frozen=True):
    """What a rule lists, in order, and what it leaves out, in words with the reason."""

    kept: list[Observation]
    left_out: list[str]


def select(observed: list[Observation], wish: Wish) -> Selection:
    """Sort the acts observed in one kind of statement."""
    kept: list[Observation] = []
    left_out: list[str] = []
    for each in _generalised(observed, wish):
        why = _unspeakable(each.seen, wish)
        if not why and each.count < wish.least:
            why = "seen once" if each.count == 1 else f"seen {each.count:,} times"
        if why:
            left_out.append(f"{told(each.seen)} ({why})")
        else:
            kept.append(each)
    return Selection(sorted(kept, key=_order), sorted(left_out))


def pattern(seen: Seen) -> str:
    """The word of a rule that stands for the act."""
    return f"{seen.schema}.{seen.name}" if seen.schema else seen.name


def told(seen: Seen) -> str:
    """The act on one line, for comments."""
    how = f"{seen.how} " if seen.how not in {"", MANY} else ""
    value = "" if seen.value is None else f" = {seen.value}"
    return f"{seen.key}: {how}{pattern(seen)}{value}"


def _order(observation: Observation) -> tuple[str, str, str, str]:
    seen = observation.seen
    return seen.how, seen.schema, seen.name, seen.value or ""


def _generalised(observed: list[Observation], wish: Wish) -> list[Observation]:
    """The same acts, less finely told apart: by schema, or whatever their value."""
    any_value = _settings_of_any_value(observed, wish)
    merged: dict[Seen, Observation] = {}
    for each in observed:
        seen = each.seen
        if _by_schema(seen, wish):
            seen = structs.replace(seen, name="*")
        elif seen.key == "settings" and seen.name in any_value:
            seen = structs.replace(seen, value=None, how=any_value[seen.name])
        into = merged.setdefault(
            seen, Observation(each.role, each.kind, seen, people={})
        )
        into.take(each)
    return list(merged.values())


def _settings_of_any_value(observed: list[Observation], wish: Wish) -> dict[str, str]:
    """Settings whose values are not told apart, each with `MANY` if that is no wish.

    A computed value needs any: nothing narrower permits it.
    """
    values: dict[str, set[str | None]] = defaultdict(set)
    found: dict[str, str] = {}
    for each in observed:
        if each.seen.key == "settings":
            values[each.seen.name].add(each.seen.value)
            if each.seen.how == MANY:
                found[each.seen.name] = "" if wish.any_value else MANY
    for name, own in values.items():
        if None in own or (wish.any_value and len(own) > MANY_VALUES):
            found.setdefault(name, "")
    return found


def _by_schema(seen: Seen, wish: Wish) -> bool:
    return wish.any_relation and seen.key == "relations" and bool(seen.schema)


def _unspeakable(seen: Seen, wish: Wish) -> str:
    """Why no word of a document matches this act and nothing else, "" if one does."""
    if seen.how == MANY:
        return "too many values to list"
    word = f"{seen.schema}." if _by_schema(seen, wish) else pattern(seen)
    if "*" in word:
        return "its name holds a *"
    has_dot = "." in seen.schema or (not seen.schema and "." in seen.name)
    if has_dot and seen.key in _DOTTED:
        return "its name holds a dot"
    if word.startswith("@"):
        return "its name begins with @"
    if not 1 <= len(word) <= LONGEST_WORD:
        return "its name is too long"
    return ""
