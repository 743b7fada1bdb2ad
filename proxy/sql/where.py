"""Whether a WHERE clause really narrows what an UPDATE or DELETE touches.

A real one names a column of the changed table and is not true for every row by its form
alone: not `true`, `1 = 1`, `id = id`, `id = 1 OR id <> 1`, `name LIKE '%'`, nor any of
these as an arm of a top-level OR. `USING other o WHERE o.id = 1` names none.

The bound: this looks at form. `id > 0`, `id IS NOT NULL`, `id <> -1` or a condition on
a parameter pass, though they may cover every row; only the table could tell.

Reads trees, changes nothing. Next: `proxy.sql.statements_data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.json import Encoder

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node

_FALSE_WORDS = frozenset({"f", "false", "off", "no", "n", "0", ""})
_ANY_TEXT = frozenset({"", "^", "$", "^$|", ".*", "^.*", ".*$", "^.*$"})
"""Regular expressions that every text matches."""
_OPPOSITES = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def narrows(where: Node | None, *, target: str | None = None) -> bool:
    """Whether `where` is there and is a real one.

    `target` is the name by which the statement calls the table it changes; without it
    a column of any table will do.
    """
    if where is None:
        return False
    if "CurrentOfExpr" in where:
        return True
    return _names_column(where, target) and not _always_true(where)


def name_of(relation: Body) -> str:
    """What a statement calls its own relation: by the alias, if it has one."""
    alias = relation.get("alias")
    name: str = alias["aliasname"] if alias else relation["relname"]
    return name


def _names_column(tree: Node, target: str | None) -> bool:
    """Inside a sub-select only a column written with the target's name counts."""
    stack: list[tuple[Any, bool]] = [(tree, False)]
    while stack:
        item, is_inside = stack.pop()
        if isinstance(item, dict):
            if "ColumnRef" in item and _is_of(
                item["ColumnRef"]["fields"], target, is_inside=is_inside
            ):
                return True
            stack.extend(
                (value, is_inside or name == "subselect")
                for name, value in item.items()
            )
        elif isinstance(item, list):
            stack.extend((each, is_inside) for each in item)
    return False


def _is_of(fields: list[Node], target: str | None, *, is_inside: bool) -> bool:
    if target is None:
        return True
    names = [field["String"]["sval"] for field in fields if "String" in field]
    if len(fields) == 1:
        # The table's own name is the whole row; its tableoid is that of every row.
        return not is_inside and names[0] not in {target, "tableoid"}
    return len(names) > 1 and names[-2] == target and names[-1] != "tableoid"


def _always_true(node: Node) -> bool:  # noqa: PLR0911 - one return a case
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
            return _null_test_always_true(body)
        case "CoalesceExpr":
            return _first_always_true(body["args"])
        case "CaseExpr":
            return _case_always_true(body)
        case _:
            return False


def _null_test_always_true(body: Body) -> bool:
    arg = body["arg"]
    if body["nulltesttype"] == "IS_NULL":
        return _is_literal(arg) and _literal(arg) is None
    if "NullTest" in arg or "BooleanTest" in arg:
        return True  # these are never null
    return _is_literal(arg) and _literal(arg) is not None


def _first_always_true(args: list[Node]) -> bool:
    for arg in args:
        if not (_is_literal(arg) and _literal(arg) is None):
            return _always_true(arg)
    return False


def _case_always_true(body: Body) -> bool:
    results = []
    for each in body["args"]:
        when = each["CaseWhen"]
        results.append(when["result"])
        if "arg" not in body and _always_true(when["expr"]):
            return all(map(_always_true, results))
    return "defresult" in body and all(map(_always_true, [*results, body["defresult"]]))


def _truth_always_true(body: Body) -> bool:
    test = body["booltesttype"]
    if test in {"IS_TRUE", "IS_NOT_FALSE"}:
        return _always_true(body["arg"])
    return test in {"IS_FALSE", "IS_NOT_TRUE"} and _always_false(body["arg"])


def _bool_always_true(body: Body) -> bool:
    arms = body["args"]
    match body["boolop"]:
        case "OR_EXPR":
            return (
                any(map(_always_true, arms))
                or _covers_nulls(arms)
                or _covers_both(arms)
            )
        case "AND_EXPR":
            return all(map(_always_true, arms))
        case _:
            return _always_false(arms[0])


def _always_false(node: Node) -> bool:
    if "A_Expr" in node:
        body = node["A_Expr"]
        if _both_literal(body):
            return not _comparison_always_true(body)
        left, right = body.get("lexpr"), body.get("rexpr")
        differs = body["kind"] == "AEXPR_DISTINCT" or (
            body["kind"] == "AEXPR_OP" and _operator(body) in {"<>", "<", ">"}
        )
        return differs and left is not None and _same(left, right)
    return _is_literal(node) and _literal(node) in {None, False}


def _covers_nulls(arms: list[Node]) -> bool:
    """`x IS NULL OR x IS NOT NULL`."""
    tested: dict[str, set[bytes]] = {"IS_NULL": set(), "IS_NOT_NULL": set()}
    for arm in arms:
        if "NullTest" in arm:
            body = arm["NullTest"]
            tested[body["nulltesttype"]].add(_canonical(_unplaced(body["arg"])))
    return not tested["IS_NULL"].isdisjoint(tested["IS_NOT_NULL"])


def _covers_both(arms: list[Node]) -> bool:
    """`x OR NOT x`, `id = 1 OR id <> 1`."""
    plain = [_unplaced(arm) for arm in arms]
    # A set: comparing each arm with each takes seconds for some thousand of them.
    known = {_canonical(arm) for arm in plain}
    for arm in plain:
        opposite: Any = None
        if "BoolExpr" in arm and arm["BoolExpr"]["boolop"] == "NOT_EXPR":
            opposite = arm["BoolExpr"]["args"][0]
        elif "A_Expr" in arm and arm["A_Expr"]["kind"] == "AEXPR_OP":
            operator = _OPPOSITES.get(_operator(arm["A_Expr"]))
            name = [{"String": {"sval": operator}}]
            opposite = {"A_Expr": arm["A_Expr"] | {"name": name}}
        if opposite is not None and _canonical(opposite) in known:
            return True
    return False


_canonical = Encoder(order="sorted").encode
"""Equal trees have equal bytes."""


def _operator(body: Body) -> str:
    name: str = body["name"][-1]["String"]["sval"]
    return name


def _comparison_always_true(body: Body) -> bool:
    left, right = body.get("lexpr"), body.get("rexpr")
    if left is None or right is None:
        return False
    kind, operator = body["kind"], _operator(body)
    if _both_literal(body):
        return _compare(operator, _literal(left), _literal(right))
    if kind in {"AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM"}:
        return all(_same(left, bound) for bound in _items(right))
    if kind in {"AEXPR_IN", "AEXPR_OP_ANY"} and operator == "=":
        return any(_same(left, item) for item in _items(right))
    pattern = _pattern(right)
    if pattern is not None:
        return _matches_all(operator, pattern, is_similar=kind == "AEXPR_SIMILAR")
    reflexive = operator in {"=", ">=", "<=", "~~", "~~*"} and kind != "AEXPR_DISTINCT"
    return reflexive and _same(left, right)


def _items(node: Node) -> list[Node]:
    """The members of a list, or of an ARRAY[...]."""
    holder = node.get("List") or node.get("A_ArrayExpr") or {}
    items: list[Node] = holder.get("items") or holder.get("elements") or []
    return items


def _pattern(right: Node) -> str | None:
    """The literal that a text is compared with; SIMILAR TO wraps it in a call."""
    if "FuncCall" in right and right["FuncCall"].get("args"):
        right = right["FuncCall"]["args"][0]
    value = _literal(right) if _is_literal(right) else None
    return value if isinstance(value, str) else None


def _matches_all(operator: str, pattern: str, *, is_similar: bool) -> bool:
    if is_similar or operator in {"~~", "~~*"}:
        return pattern != "" and set(pattern) == {"%"}
    return operator in {"~", "~*"} and pattern in _ANY_TEXT


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
