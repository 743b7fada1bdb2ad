"""Facts with the columns that a text uses, by the names that the catalog has for them.

With a catalog "*" is told column by column, views are opened, and a name that is no
column of a relation is none. Without one every name may be a column of every relation.
Pure. Next: `proxy.sql.columns`, and `proxy.policy.rules`, which matches the uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from proxy.sql.columns import ALL, columns_in
from proxy.sql.facts import Access, ColumnUse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.catalog.model import Relation
    from proxy.catalog.resolve import Resolver
    from proxy.sql.columns import Columns, Range
    from proxy.sql.facts import Facts


def with_columns(
    statements: Sequence[Facts], text: bytes, resolver: Resolver | None
) -> tuple[Facts, ...]:
    """The facts of a text's statements with their `column_uses`."""
    found = columns_in(text.decode())
    return tuple(
        [
            _with_uses(facts, tuple(_uses(columns, facts, resolver)))
            for facts, columns in zip(statements, found, strict=True)
        ]
    )


def _with_uses(facts: Facts, uses: tuple[ColumnUse, ...]) -> Facts:
    prepared = facts.prepared
    if prepared is not None:
        # The body is what an EXECUTE will run, and all columns are the body's.
        prepared = structs.replace(prepared, column_uses=uses)
    return structs.replace(facts, column_uses=uses, prepared=prepared)


def _uses(
    columns: Columns, facts: Facts, resolver: Resolver | None
) -> Iterator[ColumnUse]:
    seen: dict[ColumnUse, None] = {}
    named = {use.name for use in facts.relations}
    for each in columns.ranges:
        if each.name in named:  # else it is a CTE
            for relation in _candidates(each, resolver):
                seen.update(dict.fromkeys(_of(each, columns, relation, resolver)))
    yield from seen


def _candidates(wanted: Range, resolver: Resolver | None) -> list[Relation | Range]:
    found = resolver.relations(wanted.schema, wanted.name) if resolver else []
    return list(found) or [wanted]


def _of(
    wanted: Range,
    columns: Columns,
    relation: Relation | Range,
    resolver: Resolver | None,
) -> Iterator[ColumnUse]:
    schema, name = relation.schema, relation.name
    own: tuple[str, ...] = getattr(relation, "columns", ())
    for column in columns.of(wanted):
        for each in _spelt_out(column, own):
            yield ColumnUse(schema, name, each, Access.READ)
    for access, column in wanted.written:
        for each in _spelt_out(column, own):
            yield ColumnUse(schema, name, each, access)
    if resolver is not None:
        yield from _behind(relation, resolver, set())


def _spelt_out(column: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """One name, all that "*" stands for, or nothing if the relation lacks it."""
    if column == ALL:
        return own or (ALL,)
    return (column,) if not own or column in own else ()


def _behind(
    relation: Relation | Range, resolver: Resolver, seen: set[tuple[str, str]]
) -> Iterator[ColumnUse]:
    """What a view reads, whichever of its columns are asked for."""
    definition: str = getattr(relation, "definition", "")
    if not definition or (relation.schema, relation.name) in seen:
        return
    seen.add((relation.schema, relation.name))
    try:
        inner = columns_in(definition)
    except ValueError:  # of a newer grammar than ours
        yield ColumnUse("", ALL, ALL, Access.READ, is_behind=True)
        return
    for columns in inner:
        for each in columns.ranges:
            for candidate in resolver.relations(each.schema, each.name):
                for use in _of(each, columns, candidate, None):
                    yield structs.replace(use, is_behind=True)
                yield from _behind(candidate, resolver, seen)
