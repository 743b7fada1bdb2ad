"""The grammar's tables against pglast's own: an upgrade can't slip anything in."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pglast import ast, enums
from pglast.parser import get_postgresql_version, parse_sql_json

from proxy.sql.grammar import CLASSES, Content
from proxy.sql.grammar_parts import NEVER_RAW
from proxy.sql.handlers import HANDLERS, MEANINGS, NOT_ACTS
from proxy.sql.parse import GRAMMAR_VERSION
from proxy.sql.vocabulary import ALTER_TABLE, OBJECTS

# Not nodes: bases, and the union of a constant's values.
PSEUDO = {"Node", "Expr", "ValUnion"}
# Lists have no class of their own in pglast.
LISTS = {"List", "IntList", "OidList"}
# In the JSON but not in pglast's classes.
ONLY_JSON = {
    "A_Const": {"ival", "fval", "boolval", "sval", "bsval", "location"},
    "MergeSupportFunc": {"msftype"},
}
ONLY_PGLAST = {"A_Const": {"val"}}


def pglast_classes() -> dict[str, dict[str, Any]]:
    return {
        name: dict(getattr(cls, "__slots__", None) or {})
        for name, cls in vars(ast).items()
        if inspect.isclass(cls) and issubclass(cls, ast.Node) and name not in PSEUDO
    }


def test_every_class_is_handled_or_refused() -> None:
    assert set(CLASSES) - LISTS | set(NEVER_RAW.split()) == set(pglast_classes())
    assert not set(CLASSES) & set(NEVER_RAW.split())
    # Counted by hand once; a new one must be read by a person.
    assert len(CLASSES) == 218
    assert len(NEVER_RAW.split()) == 47


@pytest.mark.parametrize("name", sorted(set(CLASSES) - LISTS))
def test_every_field_is_classified(name: str) -> None:
    slots = {slot.rstrip("_") for slot in pglast_classes()[name]}
    expected = slots - ONLY_PGLAST.get(name, set()) | ONLY_JSON.get(name, set())
    assert set(CLASSES[name]) == expected


@pytest.mark.parametrize("name", sorted(set(CLASSES) - LISTS))
def test_fields_hold_what_pglast_says(name: str) -> None:
    for slot, info in pglast_classes()[name].items():
        field = CLASSES[name].get(slot.rstrip("_"))
        if field is None or field.content is Content.REFUSED:
            continue
        c_type = info.c_type
        if c_type == "List*":
            assert field.content in {Content.LIST, Content.NAMES}
        elif c_type in {"Node*", "Expr*"}:
            assert field.content is Content.NODE
        elif (c_type.endswith("*") and c_type != "char*") or c_type == "CreateStmt":
            assert (field.content, field.of) == (Content.BODY, c_type.rstrip("*"))
        else:
            assert field.content is Content.PLAIN


def test_the_parser_is_the_one_that_was_read() -> None:
    assert parse_sql_json("select 1").startswith(f'{{"version":{GRAMMAR_VERSION},')
    assert get_postgresql_version()[0] == GRAMMAR_VERSION // 10000


def test_every_statement_class_means_something() -> None:
    statements = {name for name in CLASSES if name.endswith("Stmt")}
    assert statements - set(MEANINGS) == NOT_ACTS
    assert set(HANDLERS) == set(CLASSES)


def test_every_subcommand_and_object_has_words() -> None:
    assert set(ALTER_TABLE) == set(enums.AlterTableType.__members__)
    assert set(OBJECTS) == set(enums.ObjectType.__members__)


def test_a_field_is_refused_where_only_analysis_makes_it() -> None:
    refused = {
        (name, field.name)
        for name, fields in CLASSES.items()
        for field in fields.values()
        if field.content is Content.REFUSED
    }
    assert ("IntoClause", "viewQuery") in refused
    assert ("CallStmt", "funcexpr") in refused
