"""What the parts below a statement mean: calls, columns, relations, row locks.

Next: `proxy.sql.statements`, `proxy.sql.handlers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Effect, Flag, FunctionUse, Kind
from proxy.sql.functions import (
    EFFECTS,
    KNOWN,
    SAMPLING,
    TAKES_CONNECTION_STRING,
)
from proxy.sql.settings_change import set_config_call
from proxy.sql.walk import GENERIC, Handler

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Stack, Walk

SINCE: Final = {
    "JsonAggConstructor": 16,
    "JsonArrayAgg": 16,
    "JsonArrayConstructor": 16,
    "JsonArrayQueryConstructor": 16,
    "JsonIsPredicate": 16,
    "JsonObjectAgg": 16,
    "JsonObjectConstructor": 16,
    "JsonFuncExpr": 17,
    "JsonParseExpr": 17,
    "JsonScalarExpr": 17,
    "JsonSerializeExpr": 17,
    "JsonTable": 17,
    "MergeSupportFunc": 17,
    "ReturningOption": 18,
}
"""Class to the first major that has it, of those that are not in every supported one:
src/include/nodes/{parsenodes,primnodes}.h of 15 to 18. Of most an older server reads
the same text as the call of a function; of the rest it reads nothing."""

_RANGE_VAR = GENERIC["RangeVar"]
_COLUMN_REF = GENERIC["ColumnRef"]
_A_EXPR = GENERIC["A_Expr"]
_FUNC_CALL = GENERIC["FuncCall"]
_A_INDIRECTION = GENERIC["A_Indirection"]
_SELECT = GENERIC["SelectStmt"]


def select(body: Body, stack: Stack, walk: Walk) -> None:
    """SELECT, VALUES and TABLE, at any depth."""
    walk.selects = True
    if "withClause" in body:
        walk.scoped(body, _SELECT)
    else:
        _SELECT(body, stack, walk)


def relation(body: Body, stack: Stack, walk: Walk) -> None:
    """A relation that is read, unless a CTE of that name hides it."""
    schema = body.get("schemaname", "")
    name = body["relname"]
    if schema or name not in walk.with_names:
        walk.relations[schema, name, Access.READ] = None
    _RANGE_VAR(body, stack, walk)


def column(body: Body, stack: Stack, walk: Walk) -> None:
    """A column; `t.f` may be a call of function f with a row of t."""
    fields = body["fields"]
    if len(fields) > 1 and "String" in fields[-1]:
        _dotted(fields[-2]["String"]["sval"], fields[-1]["String"]["sval"], walk)
    _COLUMN_REF(body, stack, walk)


def _dotted(qualifier: str, name: str, walk: Walk) -> None:
    walk.columns[qualifier, name] = None
    if name in EFFECTS:
        walk.flag(Flag.ATTRIBUTE_CALL)


def indirection(body: Body, stack: Stack, walk: Walk) -> None:
    """`(x).f` may be a call of any one-argument function f, built-in ones included."""
    for step in body["indirection"]:
        if "String" in step:
            _dotted("", step["String"]["sval"], walk)
    _A_INDIRECTION(body, stack, walk)


def expression(body: Body, stack: Stack, walk: Walk) -> None:
    """An operator, IN, LIKE, BETWEEN ..."""
    if len(body["name"]) > 1:
        walk.operator(body["name"])
    _A_EXPR(body, stack, walk)


def sort(body: Body, stack: Stack, walk: Walk) -> None:
    """ORDER BY, which may name an operator."""
    if len(body.get("useOp", ())) > 1:
        walk.operator(body["useOp"])
    GENERIC["SortBy"](body, stack, walk)


def sublink(body: Body, stack: Stack, walk: Walk) -> None:
    """A sub-select in an expression, which may follow an operator."""
    if len(body.get("operName", ())) > 1:
        walk.operator(body["operName"])
    GENERIC["SubLink"](body, stack, walk)


def call(body: Body, stack: Stack, walk: Walk) -> None:
    """A function call, wherever it stands: FROM, VALUES, CALL, defaults ..."""
    names = body["funcname"]
    name = names[-1]["String"]["sval"]
    schema = names[-2]["String"]["sval"] if len(names) > 1 else ""
    key = schema, name
    use = KNOWN.get(key)
    if use is None or len(names) > 2:
        use = FunctionUse(schema, name, Effect.UNKNOWN)
    walk.functions[key] = use
    if use.effect is not Effect.NONE:
        _special(name, use, body, walk)
    _FUNC_CALL(body, stack, walk)


def _special(name: str, use: FunctionUse, body: Body, walk: Walk) -> None:
    if use.effect is Effect.SETTING:
        set_config_call(walk, body)
    if name in TAKES_CONNECTION_STRING:
        walk.flag(Flag.SECRET)


def into(body: Body, stack: Stack, walk: Walk) -> None:
    """SELECT INTO, at any depth: it makes a table."""
    walk.act(Kind.DDL, "select into", Flag.INTO)
    walk.relation(body["rel"], Access.CREATE)
    made(body, stack, walk)


def made(body: Body, stack: Stack, walk: Walk) -> None:
    """The rest of an INTO, the table itself being noted."""
    target = body.pop("rel")
    _RANGE_VAR(target, stack, walk)
    GENERIC["IntoClause"](body, stack, walk)


def row_lock(body: Body, stack: Stack, walk: Walk) -> None:
    """FOR UPDATE and its weaker kin. The names are aliases, not relations."""
    walk.flag(Flag.ROW_LOCK)
    body.pop("lockedRels", None)
    GENERIC["LockingClause"](body, stack, walk)


def sampled(body: Body, stack: Stack, walk: Walk) -> None:
    """TABLESAMPLE: the method is a function."""
    names = [name["String"]["sval"] for name in body["method"]]
    if names[-1] not in SAMPLING or names[:-1] not in ([], ["pg_catalog"]):
        schema = names[-2] if len(names) > 1 else ""
        use = FunctionUse(schema, names[-1], Effect.UNKNOWN)
        walk.functions[schema, names[-1]] = use
    GENERIC["RangeTableSample"](body, stack, walk)


def newer(class_name: str, major: int) -> Handler:
    """What is grammar from this major on, and the call of a function before."""
    rest = GENERIC[class_name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        walk.needs(major)
        rest(body, stack, walk)

    return handle


PARTS: Final[dict[str, Handler]] = {
    "SelectStmt": select,
    "RangeVar": relation,
    "ColumnRef": column,
    "A_Indirection": indirection,
    "A_Expr": expression,
    "SortBy": sort,
    "SubLink": sublink,
    "FuncCall": call,
    "IntoClause": into,
    "LockingClause": row_lock,
    "RangeTableSample": sampled,
    **{name: newer(name, major) for name, major in SINCE.items()},
}
