"""What one statement writes where: columns, values, comparisons, calls, small words.

More than `proxy.sql.facts` keeps, for the few statements of which somebody asks it:
whose text names a migration tool's history table, or takes a lock. Facts, never
verdicts. Next: `proxy.migrations.profile_match`, which asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from proxy.sql.parse import ParseTroubleError, parse, statements
from proxy.sql.prescan import trouble_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_TEXT: Final = 64 * 1024
"""Bytes of a statement that is looked into. A history row is some hundred; a longer
one has values that nobody matches."""
MAX_ROWS: Final = 1_000
"""Rows of one INSERT that are told."""
MAX_CALLS: Final = 100
"""Calls of one statement that are told."""


class Value(Struct, frozen=True, gc=False):
    """One value: a constant, a parameter, or something else (both unset).

    Attributes:
        constant: its text, as Postgres would print it ("true" for TRUE); None for NULL
            and for what is no constant.
        parameter: the number behind the dollar sign, or 0.
    """

    constant: str | None = None
    parameter: int = 0


class Call(Struct, frozen=True, gc=False):
    """A function call with its arguments, where they are plain."""

    name: str
    arguments: tuple[Value, ...] = ()


class Written(Struct, frozen=True, gc=False):
    """What a statement of one of the plain kinds says, beyond its facts.

    Attributes:
        columns: that an INSERT lists, an UPDATE sets, a CREATE TABLE defines, or a
            SELECT names in its list, "*" among them.
        rows: values by column, one mapping a row of VALUES; one row for an UPDATE.
            Columns of an INSERT without a list are called "#1", "#2" and so on.
        where: columns that WHERE compares by `=`, or IN of one, joined by AND; of any
            other condition nothing is told.
        names: of the schema that is created, or the schemas that are dropped.
        calls: function calls at any depth, by name without schema.
        words: "if exists", "if not exists", "restart identity", "cascade", "temporary",
            "on conflict update".
    """

    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Value], ...] = ()
    where: Mapping[str, Value] = {}
    names: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    words: frozenset[str] = frozenset()


NOTHING: Final = Written()
"""Of a text that is none, too long, or of several statements."""


def written(text: bytes) -> Written:
    """What the one statement in `text` writes. Never raises: what is not plain, or has
    no tree, is `NOTHING` or left out.

    Args:
        text: one statement, without the closing NUL.
    """
    if len(text) > MAX_TEXT or trouble_with(text) is not None:
        return NOTHING
    try:
        raw = statements(parse(text.decode()))
    except (ParseTroubleError, UnicodeDecodeError, RecursionError, MemoryError):
        return NOTHING
    if len(raw) != 1:
        return NOTHING
    ((verb, body),) = raw[0]["stmt"].items()
    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Value], ...] = ()
    match verb:
        case "InsertStmt":
            columns, rows = _inserted(body)
        case "UpdateStmt":
            row = _assigned(body)
            columns, rows = tuple(row), (row,)
        case "CreateStmt":
            columns = tuple(
                each["ColumnDef"]["colname"]
                for each in body.get("tableElts", [])
                if "ColumnDef" in each
            )
        case "SelectStmt":
            columns = tuple(_selected(body))
        case _:
            pass
    where = dict(_compared(body.get("whereClause")))
    return Written(
        columns, rows, where, _schemas(verb, body), tuple(_calls(body)), _words(body)
    )


def _inserted(body: Any) -> tuple[tuple[str, ...], tuple[Mapping[str, Value], ...]]:  # noqa: ANN401 - a raw tree
    columns = tuple(each["ResTarget"]["name"] for each in body.get("cols", []))
    source = body.get("selectStmt", {}).get("SelectStmt", {})
    rows = []
    for one in source.get("valuesLists", [])[:MAX_ROWS]:
        values = [_value(item) for item in one.get("List", {}).get("items", [])]
        names = columns or tuple(f"#{n}" for n in range(1, len(values) + 1))
        rows.append(dict(zip(names, values, strict=False)))
    return columns, tuple(rows)


def _assigned(body: Any) -> Mapping[str, Value]:  # noqa: ANN401
    return {
        each["ResTarget"]["name"]: _value(each["ResTarget"].get("val", {}))
        for each in body.get("targetList", [])
        if "name" in each.get("ResTarget", {})
    }


def _selected(body: Any) -> Iterator[str]:  # noqa: ANN401
    for each in body.get("targetList", []):
        value = each.get("ResTarget", {}).get("val", {})
        fields = value.get("ColumnRef", {}).get("fields", [{}])
        if "A_Star" in fields[-1]:
            yield "*"
        elif "String" in fields[-1]:
            yield fields[-1]["String"]["sval"]


def _compared(clause: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401
    """The `column = value` terms of a WHERE that is one term, or an AND of terms."""
    if not isinstance(clause, dict):
        return
    conjunction = clause.get("BoolExpr")
    terms = [clause]
    if conjunction is not None and conjunction.get("boolop") == "AND_EXPR":
        terms = conjunction.get("args", [])
    for term in terms:
        comparison = term.get("A_Expr", {})
        names = comparison.get("name", [])
        right = comparison.get("rexpr", {})
        if comparison.get("kind") == "AEXPR_IN":
            items = right.get("List", {}).get("items", [])
            if len(items) != 1:
                continue
            right = items[0]
        elif comparison.get("kind") != "AEXPR_OP":
            continue
        if names[-1:] != [{"String": {"sval": "="}}]:
            continue
        fields = comparison.get("lexpr", {}).get("ColumnRef", {}).get("fields", [{}])
        column = fields[-1].get("String", {}).get("sval")
        if column is not None:
            yield column, _value(right)


def _schemas(verb: str, body: Any) -> tuple[str, ...]:  # noqa: ANN401
    if verb == "CreateSchemaStmt":
        return (body.get("schemaname", ""),)
    if verb == "DropStmt" and body.get("removeType") == "OBJECT_SCHEMA":
        return tuple(each["String"]["sval"] for each in body.get("objects", []))
    return ()


def _value(node: Any) -> Value:  # noqa: ANN401
    """A constant or parameter, also behind casts: in `'7'::int` the text is told."""
    while "TypeCast" in node:
        node = node["TypeCast"].get("arg", {})
    if "ParamRef" in node:
        return Value(parameter=node["ParamRef"].get("number", 0))
    constant = node.get("A_Const")
    if constant is None or constant.get("isnull"):
        return Value()
    if "ival" in constant:
        return Value(str(constant["ival"].get("ival", 0)))
    if "boolval" in constant:
        is_true = constant["boolval"].get("boolval", False)
        return Value("true" if is_true else "false")
    for kind in ("sval", "fval", "bsval"):
        if kind in constant:
            return Value(str(constant[kind].get(kind, "")))
    return Value()


def _calls(body: Any) -> list[Call]:  # noqa: ANN401
    found: list[Call] = []
    stack: list[Any] = [body]
    while stack and len(found) < MAX_CALLS:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(reversed(node))
        elif isinstance(node, dict):
            call = node.get("FuncCall")
            if isinstance(call, dict):
                found.append(_call(call))
            stack.extend(reversed(list(node.values())))
    return found


def _call(call: Any) -> Call:  # noqa: ANN401
    name = call["funcname"][-1]["String"]["sval"]
    return Call(name, tuple(_value(each) for each in call.get("args", [])))


def _words(body: Any) -> frozenset[str]:  # noqa: ANN401
    words = {
        "if exists": body.get("missing_ok"),
        "if not exists": body.get("if_not_exists"),
        "restart identity": body.get("restart_seqs"),
        "cascade": body.get("behavior") == "DROP_CASCADE",
        "temporary": body.get("relation", {}).get("relpersistence") == "t",
        "on conflict update": body.get("onConflictClause", {}).get("action")
        == "ONCONFLICT_UPDATE",
    }
    return frozenset(word for word, is_there in words.items() if is_there)
