"""What calling each function of a catalog may do. Pure.

Volatility is what a function says of itself, and Postgres holds it to half of that: one
that is STABLE can't write by itself, but what it calls can. So a reading session stays
read-only as well (locks (b) and (c)). Next: `proxy.catalog.resolve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.catalog.reviewed import extension_reads
from proxy.sql.facts import Effect
from proxy.sql.functions import EFFECTS, KNOWN

if TYPE_CHECKING:
    from proxy.catalog.model import Catalog, Function

SAFE: Final = frozenset({Effect.NONE, Effect.STABLE})
"""What an operator, cast or CHECK may call without any call showing in the text."""

GUARDED_SETTINGS: Final = frozenset(
    {
        "backslash_quote",
        "client_encoding",
        "default_transaction_read_only",
        "role",
        "row_security",
        "session_authorization",
        "session_replication_role",
        "standard_conforming_strings",
        "transaction_read_only",
    }
)
"""A function whose SET clause changes one of these, or a setting of the user's own
(with a dot), is judged as a statement that sets it."""

MOST_NESTED: Final = 16
"""Aggregates of functions of aggregates ... ends here, as unknown."""


class Effects:
    """The effect of each function, by schema and name."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_name: dict[str, list[Function]] = {}
        for function in catalog.functions:
            self._by_name.setdefault(function.name, []).append(function)

    def overloads(self, schema: str, name: str) -> list[Function]:
        """What a call of `name` may reach; `schema` is "" where none is written."""
        found = self._by_name.get(name, [])
        return [each for each in found if each.schema == schema] if schema else found

    def attributes(self) -> dict[str, list[Function]]:
        """The functions that `row.name` or `(value).name` can call, by name."""
        found = {
            name: [each for each in functions if each.of_row]
            for name, functions in self._by_name.items()
        }
        return {name: functions for name, functions in found.items() if functions}

    def of(self, function: Function, depth: int = 0) -> Effect:
        """What one overload may do."""
        known = EFFECTS.get(function.name)
        if known is not None:
            return known  # dblink in whatever schema it was put
        if function.is_definer:
            return Effect.DEFINER
        if (function.extension, function.name) in extension_reads():
            return Effect.STABLE
        is_aggregate = bool(function.support)
        if not (function.is_trusted or function.extension or is_aggregate):
            # A server's language does what the system lets it, whatever it promises.
            return Effect.UNKNOWN
        if not function.is_stable:
            return Effect.VOLATILE
        return self._of_support(function, depth)

    def named(self, schema: str, name: str, depth: int = 0) -> Effect:
        """The worst that a function of this qualified name may do."""
        found = [self.of(each, depth) for each in self.overloads(schema, name)]
        known = KNOWN.get((schema, name))
        if known is not None:
            found.append(known.effect)
        return worst(found)

    def is_safe(self, schema: str, name: str) -> bool:
        """Whether it may be called without showing; see `SAFE`.

        What an extension brought as an operator's or cast's function was chosen by
        whoever installed it: many never say that it is IMMUTABLE.
        """
        for each in self.overloads(schema, name):
            if self.of(each) not in SAFE and not (
                each.extension and self.of(each) is Effect.VOLATILE
            ):
                return False
        known = KNOWN.get((schema, name))
        if known is None:
            # Built-in and not on the list: what SQL can't call by name, such as the
            # estimators that operators have.
            return schema == "pg_catalog" or bool(self.overloads(schema, name))
        return known.effect in SAFE

    def _of_support(self, function: Function, depth: int) -> Effect:
        if depth > MOST_NESTED:
            return Effect.UNKNOWN
        called = [
            self.named(schema, name, depth + 1) for schema, name in function.support
        ]
        return worst([*called, Effect.STABLE])


def worst(effects: list[Effect]) -> Effect:
    """The effect that decides; UNKNOWN where there is none."""
    if not effects:
        return Effect.UNKNOWN
    for effect in effects:
        if effect not in SAFE:
            return effect
    return Effect.STABLE if Effect.STABLE in effects else Effect.NONE


def guarded_settings(function: Function) -> list[tuple[str, str]]:
    """The SET clauses that are judged."""
    return [
        (name.lower(), value)
        for name, value in function.settings
        if name.lower() in GUARDED_SETTINGS or "." in name
    ]
