"""A shortcut for plain SELECTs, where most of the time goes: decoded and judged in C.

The tree is decoded into the strict types of `proxy.sql.plain_grammar`: whatever they
do not know takes the long way of `proxy.sql.walk`. What they know does nothing by
itself but read, so the few things worth knowing are on their lists, and no tree is
walked here.

The answer is the walk's: `tests/unit/sql/test_plain_select.py` holds both against each
other. Next: `proxy.sql.analyse`.
"""

from __future__ import annotations

from typing import Final

from msgspec import ValidationError
from msgspec.json import Decoder

from proxy.sql.facts import Access, Effect, Facts, FunctionUse, Kind, RelationUse
from proxy.sql.functions import EFFECTS, KNOWN
from proxy.sql.parse import GRAMMAR_VERSION
from proxy.sql.plain_grammar import (
    CALLS,
    COLUMNS,
    RELATIONS,
    Relation,
    SelectNode,
    Statement,
    Tree,
    With,
)
from proxy.sql.walk import NO_FLAGS, ONLY_READ, ONLY_SELECT

# An enum's attribute is a Python call: ten times a global.
_READ: Final = Kind.READ
_READS: Final = Access.READ
_HARMLESS: Final = Effect.NONE
_UNKNOWN: Final = Effect.UNKNOWN

_idle: Final = [True]
"""Holds one element while the three lists are free. `pop` is atomic, so that a second
thread finds it empty and takes the long way."""

_decode_tree: Final = Decoder(Tree).decode
_decode_query: Final = Decoder(SelectNode).decode

_FIRST_IS_SELECT: Final = f'{{"version":{GRAMMAR_VERSION},"stmts":[{{"stmt":{{"Sel'


def plain_select(json: str) -> Facts | None:
    """The facts of a tree that is one plain SELECT, or None for any other."""
    if not json.startswith(_FIRST_IS_SELECT):
        return None
    try:
        _idle.pop()
    except IndexError:
        return None
    try:
        return _facts(_decode_tree(json).stmts[0])
    except ValidationError:
        return None
    finally:
        RELATIONS.clear()
        CALLS.clear()
        COLUMNS.clear()
        _idle.append(True)


def _facts(statement: Statement) -> Facts | None:
    clause = statement.stmt.SelectStmt.withClause
    relations = _read_by(RELATIONS) if clause is None else _scoped(clause)
    functions = _called() if CALLS else ()
    columns = _dotted() if COLUMNS else ()
    if functions is None or columns is None:
        return None
    return Facts(
        _READ,
        ONLY_READ,
        ONLY_SELECT,
        "SelectStmt",
        relations,
        functions,
        (),
        NO_FLAGS,
        (),
        "",
        "",
        None,
        columns,
        (statement.stmt_location, statement.stmt_len),
    )


def _read_by(relations: list[Relation]) -> tuple[RelationUse, ...]:
    if len(relations) == 1:
        relation = relations[0]
        return (RelationUse(relation.schemaname, relation.relname, _READS),)
    names = {(relation.schemaname, relation.relname): True for relation in relations}
    return tuple([RelationUse(*name, _READS) for name in names])


def _scoped(clause: With) -> tuple[RelationUse, ...]:
    """Relations that no CTE hides; see `Walk.scoped`."""
    visible = [(relation, clause.ctes) for relation in RELATIONS]
    for position, node in enumerate(clause.ctes):
        RELATIONS.clear()
        _decode_query(node.CommonTableExpr.ctequery)
        hiding = clause.ctes if clause.recursive else clause.ctes[:position]
        visible.extend([(relation, hiding) for relation in RELATIONS])
    return _read_by(
        [
            relation
            for relation, hiding in visible
            if relation.schemaname
            or relation.relname not in [cte.CommonTableExpr.ctename for cte in hiding]
        ]
    )


def _called() -> tuple[FunctionUse, ...] | None:
    """The functions called; None if one of them asks for a closer look."""
    uses: dict[tuple[str, str], FunctionUse] = {}
    for call in CALLS:
        names = [name.String.sval if name.String else "" for name in call.funcname]
        key = (names[-2] if len(names) > 1 else "", names[-1])
        use = KNOWN.get(key)
        if use is None:
            use = FunctionUse(*key, _UNKNOWN)
        elif use.effect is not _HARMLESS or len(names) > 2:
            return None
        uses[key] = use
    return tuple(uses.values())


def _dotted() -> tuple[tuple[str, str], ...] | None:
    """Columns written with a dot; None if one names a function to look closer at."""
    columns: dict[tuple[str, str], bool] = {}
    for column in COLUMNS:
        fields = column.fields
        if len(fields) > 1 and (last := fields[-1].String) is not None:
            qualifier = fields[-2].String
            if last.sval in EFFECTS or qualifier is None:
                return None
            columns[qualifier.sval, last.sval] = True
    return tuple(columns)
