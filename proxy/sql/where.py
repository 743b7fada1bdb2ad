"""Whether a WHERE clause really narrows what an UPDATE or DELETE touches.

A real one names a column and is not true for every row by its form alone: not `true`,
`1 = 1`, `id = id`, `id IS NULL OR id IS NOT NULL`, `name LIKE '%'`, nor any of these as
an arm of a top-level OR.

The bound: this looks at form. `id > 0`, `id IS NOT NULL`, `id <> -1` or a condition on
a parameter pass, though they may cover every row; only the table could tell.

Reads trees, changes nothing. Next: `proxy.sql.statements_data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node

_FALSE_WORDS = frozenset({"f", "false", "off", "no", "n", "0", ""})


def narrows(where: Node | None) -> bool:
    """Whether `where` is there and is a real one."""
    if where is None:
        return False
    if "CurrentOfExpr" in where:
        return True
    return _names_column(where) and not _always_true(where)


def _names_column(tree: Node) -> bool:
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "ColumnRef" in item:
                return True
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _always_true(node: Node) -> bool:
    (name, body), *_ = node.items()
    match name:
        case "BoolExpr":
            return _bool_always_true(body)
        case "A_Expr":
            return _comparison_always_true(body)
        case "A_Const" | "TypeCast":
            return _is_literal(node) and _literal(node) not in {None, False}
        case "BooleanTest":
            return _truth_always_true(body)
        case "NullTest":
            is_null = body["nulltesttype"] == "IS_NULL"
            return (
                _is_literal(body["arg"]) and (_literal(body["arg"]) is None) == is_null
            )
        case _:
            return False


def _truth_always_true(body: Body) -> bool:
    test = body["booltesttype"]
    if test in {"IS_TRUE", "IS_NOT_FALSE"}:
        return _always_true(body["arg"])
    return test in {"IS_FALSE", "IS_NOT_TRUE"} and _always_false(body["arg"])


def _bool_always_true(body: Body) -> bool:
    arms = body["args"]
    match body["boolop"]:
        case "OR_EXPR":
            return any(map(_always_true, arms)) or _covers_nulls(arms)
        case "AND_EXPR":
            return all(map(_always_true, arms))
        case _:
            return _always_false(arms[0])


def _always_false(node: Node) -> bool:
    if "A_Expr" in node and _both_literal(node["A_Expr"]):
        return not _comparison_always_true(node["A_Expr"])
    return _is_literal(node) and _literal(node) in {None, False}


def _covers_nulls(arms: list[Node]) -> bool:
    """`x IS NULL OR x IS NOT NULL`."""
    tested = {"IS_NULL": [], "IS_NOT_NULL": []}  # type: dict[str, list[Any]]
    for arm in arms:
        if "NullTest" in arm:
            body = arm["NullTest"]
            tested[body["nulltesttype"]].append(_unplaced(body["arg"]))
    return any(arg in tested["IS_NULL"] for arg in tested["IS_NOT_NULL"])


def _comparison_always_true(body: Body) -> bool:
    left, right = body.get("lexpr"), body.get("rexpr")
    if left is None or right is None:
        return False
    operator = body["name"][-1]["String"]["sval"]
    if _both_literal(body):
        return _compare(operator, _literal(left), _literal(right))
    if operator in {"~~", "~~*"} and _is_literal(right):
        value = _literal(right)
        return isinstance(value, str) and set(value) == {"%"}
    reflexive = operator in {"=", ">=", "<=", "~~", "~~*"}
    if body["kind"] == "AEXPR_DISTINCT" or not reflexive:
        return False
    return _same(left, right)


def _both_literal(body: Body) -> bool:
    left, right = body.get("lexpr"), body.get("rexpr")
    return (
        isinstance(left, dict)
        and isinstance(right, dict)
        and _is_literal(left)
        and _is_literal(right)
    )


def _compare(operator: str, left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    match operator:
        case "=":
            return left == right
        case "<>":
            return left != right
        case _:
            return True  # not worked out: the strict answer


def _is_literal(node: Node) -> bool:
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return "A_Const" in node


def _literal(node: Node) -> object:
    """The value of a literal: None for NULL, False for one that reads as false."""
    cast_to_bool = False
    while "TypeCast" in node:
        names = node["TypeCast"]["typeName"]["names"]
        cast_to_bool |= names[-1]["String"]["sval"] == "bool"
        node = node["TypeCast"]["arg"]
    constant = node["A_Const"]
    if "isnull" in constant:
        return None
    for kind, empty in (("boolval", False), ("ival", 0), ("fval", ""), ("sval", "")):
        if kind in constant:
            value = constant[kind].get(kind, empty)
            if cast_to_bool:
                return str(value).lower() not in _FALSE_WORDS
            return value
    return str(constant.get("bsval"))


def _same(left: Node, right: Node) -> bool:
    """Whether two operands are one and the same: `id` and `t.id` count as that."""
    if "ColumnRef" in left and "ColumnRef" in right:
        one = _unplaced(left["ColumnRef"]["fields"])
        other = _unplaced(right["ColumnRef"]["fields"])
        shared = min(len(one), len(other))
        return bool(one[-shared:] == other[-shared:])
    return bool(_unplaced(left) == _unplaced(right))


def _unplaced(item: Any) -> Any:  # noqa: ANN401 - any piece of a decoded tree
    """A copy of a tree without its positions in the text."""
    if isinstance(item, dict):
        return {
            key: _unplaced(value) for key, value in item.items() if key != "location"
        }
    if isinstance(item, list):
        return [_unplaced(value) for value in item]
    return item
