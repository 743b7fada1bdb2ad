"""Facts of a text, completed by what the catalog knows of the names in it. Pure.

A name stands for everything that it could resolve to, whatever the session's
search_path says: statements change that. So a call is judged over all overloads of its
name, and a relation over all of its name. Views are opened, with what they call and
read, and so are the row-level policies of tables.

What is resolved is remembered by the names alone, so that a new text over known names
costs one look-up. Next: `proxy.session.judge`, which asks for each new text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.catalog.effects import SAFE, Effects, guarded_settings
from proxy.catalog.model import SYSTEM_SCHEMAS
from proxy.catalog.resolved import Resolved
from proxy.generations import Generations
from proxy.sql.analyse import analyse
from proxy.sql.facts import (
    Access,
    Effect,
    Facts,
    FunctionUse,
    RelationUse,
    Scope,
    SettingChange,
)
from proxy.sql.mentions import mentions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.catalog.model import Catalog, Function, Hidden, Relation

REMEMBERED: Final = 4096
"""Sets of names resolved in one generation; two live."""
MOST_DEPTH: Final = 32
"""Views over views ... deeper ones are judged unknown."""
MOST_CANDIDATES: Final = 64
"""Relations of one name (a schema a tenant) that are named one by one; of more, the
name stays as it is written, which the strictest reading covers."""

_AS_WRITTEN: Final = Resolved((), (), (), (), ())
"""Stands for: every name means what is written, and nothing else."""
_NOBODY_KNOWS: Final = FunctionUse("", "hidden", Effect.UNKNOWN)
"""What may be called where an expression is newer than our grammar, or too far behind
the relation that is read."""


class _Found:
    """What was found behind some names, in order; `reads` is still to be opened."""

    __slots__ = ("behind", "functions", "operators", "reads", "relations", "settings")

    def __init__(self) -> None:
        self.functions: dict[FunctionUse, None] = {}
        self.relations: dict[RelationUse, None] = {}
        self.behind: dict[RelationUse, None] = {}
        self.reads: dict[tuple[str, str], Relation] = {}
        self.settings: dict[SettingChange, None] = {}
        self.operators: dict[tuple[str, str], None] = {}

    def add(self, other: _Found) -> None:
        """What another one found too, but for what is behind it."""
        self.functions.update(other.functions)
        self.relations.update(other.relations)
        self.settings.update(other.settings)
        self.operators.update(other.operators)


class Resolver:
    """One catalog, ready to be asked.

    Attributes:
        catalog: what it knows.
        version: tells this catalog from the next.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.version = catalog.version
        self._effects = Effects(catalog)
        self._attributes = self._effects.attributes()
        self._relations: dict[str, list[Relation]] = {}
        for relation in catalog.relations:
            self._relations.setdefault(relation.name, []).append(relation)
        self._own_of: dict[tuple[str, str], _Found] = {}
        self._opened: dict[tuple[str, str], _Found] = {}
        self._bad_operators: dict[str, FunctionUse] = {}
        self._bad_types: dict[str, FunctionUse] = {}
        self._bad_operators = self._dangerous(catalog.operators)
        known = -1
        while len(self._bad_types) > known:  # one domain's CHECK may name another
            known = len(self._bad_types)
            self._bad_types = self._dangerous(catalog.types)
        self._operators = {(each.schema, each.name) for each in catalog.operators}
        self._answers: Generations[object, Resolved] = Generations(REMEMBERED)

    def resolve(self, statements: Sequence[Facts], text: bytes) -> tuple[Facts, ...]:
        """The facts of a text's statements with every name resolved."""
        extra: tuple[FunctionUse, ...] = ()
        if self.asks_text:
            extra = tuple(self._mentioned(text.decode()))
        return tuple([self._statement(facts, extra) for facts in statements])

    @property
    def asks_text(self) -> bool:
        """Whether the text counts too: an operator or a type in it runs something."""
        return bool(self._bad_operators or self._bad_types)

    def relations(self, schema: str, name: str) -> list[Relation]:
        """Every relation that a name could mean; `schema` may be ""."""
        found = self._relations.get(name, [])
        return [each for each in found if not schema or each.schema == schema]

    def _statement(self, facts: Facts, extra: tuple[FunctionUse, ...]) -> Facts:
        names = (facts.relations, facts.functions, facts.columns, facts.operators)
        resolved = self._answers.get(names)
        if resolved is None:
            resolved = self._resolved(facts)
            self._answers.put(names, resolved)
        if resolved is _AS_WRITTEN:
            if not extra:
                return facts
            return structs.replace(facts, functions=(*facts.functions, *extra))
        return structs.replace(
            facts,
            functions=(*resolved.functions, *extra),
            relations=resolved.relations,
            behind=resolved.behind,
            settings=(*facts.settings, *resolved.settings),
            operators=resolved.operators,
        )

    def _resolved(self, facts: Facts) -> Resolved:
        found = _Found()
        self._names_of(facts, found)
        for relation in found.reads.values():
            self._put_behind(self._open(relation), found)
        resolved = Resolved(
            tuple(found.functions),
            tuple(found.relations),
            tuple(found.behind),
            tuple(found.settings),
            tuple(found.operators),
        )
        is_same = (
            resolved.functions == facts.functions
            and resolved.relations == facts.relations
            and resolved.operators == facts.operators
            and not resolved.behind
            and not resolved.settings
        )
        return _AS_WRITTEN if is_same else resolved

    def _names_of(self, facts: Facts, found: _Found) -> None:
        for use in facts.functions:
            self._call(use, found)
        for _, name in facts.columns:
            for function in self._attributes.get(name, ()):
                self._overload(function, found)
        for schema, name in facts.operators:
            self._operator(schema, name, found)
        for relation in facts.relations:
            self._relation(relation, found)

    # --- functions -----------------------------------------------------------

    def _call(self, use: FunctionUse, found: _Found) -> None:
        overloads = self._effects.overloads(use.schema, use.name)
        if not overloads or use.effect is not Effect.UNKNOWN:
            found.functions[use] = None
        for function in overloads:
            self._overload(function, found)

    def _overload(self, function: Function, found: _Found) -> None:
        effect = self._effects.of(function)
        found.functions[FunctionUse(function.schema, function.name, effect)] = None
        for name, value in guarded_settings(function):
            found.settings[SettingChange(name, value, Scope.LOCAL)] = None

    def _operator(self, schema: str, name: str, found: _Found) -> None:
        if (schema, name) not in self._operators or name in self._bad_operators:
            found.operators[schema, name] = None

    # --- what no call shows ----------------------------------------------------

    def _dangerous(self, hidden: Iterable[Hidden]) -> dict[str, FunctionUse]:
        """By the name of an operator or type, what its use would call."""
        found: dict[str, FunctionUse] = {}
        checks: dict[str, list[FunctionUse]] = {}  # one may be that of many types
        for each in hidden:
            if each.expression:
                bad = checks.get(each.expression)
                if bad is None:
                    inner = _Found()
                    self._query(f"SELECT {each.expression}", inner)
                    bad = [use for use in inner.functions if use.effect not in SAFE]
                    checks[each.expression] = bad
                if bad:
                    found[each.name] = bad[0]
            elif not self._effects.is_safe(each.function_schema, each.function):
                effect = self._effects.named(each.function_schema, each.function)
                found[each.name] = FunctionUse(
                    each.function_schema, each.function, effect
                )
        return found

    def _mentioned(self, text: str) -> list[FunctionUse]:
        """The dangerous functions behind the operators and types that a text names."""
        named = mentions(text)
        return [
            self._bad_operators[name]
            for name in sorted(named.operators & self._bad_operators.keys())
        ] + [
            self._bad_types[name]
            for name in sorted(named.types & self._bad_types.keys())
        ]

    # --- relations -------------------------------------------------------------

    def _relation(self, use: RelationUse, found: _Found) -> None:
        if use.access is Access.CREATE:
            found.relations[use] = None
            return
        candidates = self.relations(use.schema, use.name)
        if not candidates or len(candidates) > MOST_CANDIDATES:
            found.relations[use] = None
        else:
            for each in candidates:
                own = RelationUse(each.schema, each.name, use.access)
                found.relations[own] = None
        for each in candidates:
            found.reads[each.schema, each.name] = each

    def _put_behind(self, inner: _Found, found: _Found) -> None:
        for call in inner.functions:
            if call.effect is not Effect.NONE:
                found.functions[call] = None
        found.settings.update(inner.settings)
        found.operators.update(inner.operators)
        for hidden in inner.relations:
            if hidden.access is Access.READ_FOREIGN:
                found.relations[hidden] = None
            else:
                found.behind[hidden] = None

    def _open(self, relation: Relation) -> _Found:
        """What reading it runs and reads besides itself, however far behind it.

        Level by level, as views and policies may read each other in circles. Nothing is
        kept before it is whole: a part of it would let through what the rest refuses.
        """
        key = relation.schema, relation.name
        found = self._opened.get(key)
        if found is not None:
            return found
        found = _Found()
        seen = {key}
        level = [relation]
        for _ in range(MOST_DEPTH):
            behind = []
            for each in level:
                own = self._own(each)
                found.add(own)
                behind += [own.reads[name] for name in own.reads if name not in seen]
                seen.update(own.reads)
            level = behind
        if level:
            found.functions[_NOBODY_KNOWS] = None
        self._opened[key] = found
        return found

    def _own(self, relation: Relation) -> _Found:
        """What its definition and its row-level policies name."""
        key = relation.schema, relation.name
        found = self._own_of.get(key)
        if found is not None:
            return found
        found = _Found()
        if relation.is_foreign:
            use = RelationUse(relation.schema, relation.name, Access.READ_FOREIGN)
            found.relations[use] = None
        if relation.schema not in SYSTEM_SCHEMAS and not relation.is_of_extension:
            if relation.definition:
                self._query(relation.definition, found)
            for policy in relation.policies:
                self._query(f"SELECT {policy}", found)
        self._own_of[key] = found
        return found

    def _query(self, query: str, found: _Found) -> None:
        analysis = analyse(query.encode())
        if analysis.trouble is not None:
            found.functions[_NOBODY_KNOWS] = None
            return
        for facts in analysis.statements:
            self._names_of(facts, found)
        for use in self._mentioned(query) if self.asks_text else ():
            found.functions[use] = None
