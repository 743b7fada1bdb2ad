"""SQL that Postgres wrote, in one form for all majors and after a dump and restore.

A definition comes out of a server as text, and the same definition as another text out
of another one. So it is read with one parser, and what differs without meaning anything
is taken out of the tree. Pure. What is done, and why:

- Where something stands is dropped, and so are needless parentheses (the parser does).
- A view that reads one relation has its columns with that relation's name before 16,
  and without it since (get_query_def in ruleutils.c): at that level the name is cut.
- `(ARRAY['a'::varchar])::text[]` is `ARRAY[('a'::varchar)::text]` once it has been
  dumped and restored: a cast of an array in brackets is moved to its elements.

A text that can't be read, or nests too deep, stands for itself.
Next: `proxy.migrations.schema_digest`.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import json

from proxy.sql.parse import ParseTroubleError, parse, statements
from proxy.sql.prescan import trouble_with

_PLACES: Final = frozenset(
    {
        "location",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
        "name_location",
        "stmt_location",
        "stmt_len",
    }
)
_OWN_LEVEL: Final = (
    "targetList",
    "whereClause",
    "groupClause",
    "havingClause",
    "windowClause",
    "distinctClause",
    "sortClause",
    "limitCount",
    "limitOffset",
)
"""Where a SELECT names columns of its own FROM."""
MAX_DEPTH: Final = 400
"""Levels of a tree: a chain of 200 operators. A fixed number, well below the depth at
which Python gives up, for that depends on who is asking."""
_encode: Final = json.Encoder(order="sorted").encode


def expression(text: str) -> bytes:
    """The form of an expression, as in a default or a check."""
    tree = _read(f"SELECT {text}")
    targets = _at(tree, "SelectStmt", "targetList")
    is_one = isinstance(targets, list) and len(targets) == 1
    return _form(tree, text, is_whole=is_one)


def query(text: str) -> bytes:
    """The form of a view's query."""
    tree = _read(text)
    select = _at(tree, "SelectStmt")
    if isinstance(select, dict):
        _cut_qualifiers(select)
    return _form(tree, text, is_whole=tree is not None)


def statement(text: str) -> bytes:
    """The form of a statement, as of a trigger or a rule."""
    tree = _read(text)
    return _form(tree, text, is_whole=tree is not None)


def body(text: str) -> bytes:
    """The form of a function's body that is SQL and no string."""
    return statement(f"CREATE FUNCTION f() RETURNS void LANGUAGE sql {text}")


def same_tree(one: str, other: str) -> bool:
    """Whether the parser reads two texts as the same, one, statement."""
    first, second = _read(one), _read(other)
    return first is not None and _without_places(first) == _without_places(second)


def _read(text: str) -> dict[str, Any] | None:
    if trouble_with(text.encode("utf-8", "surrogatepass")) is not None:
        return None
    try:
        found = statements(parse(text))
    except (ParseTroubleError, UnicodeError, RecursionError):
        return None
    if len(found) != 1 or _is_deep(found[0]["stmt"]):
        return None
    tree: dict[str, Any] = found[0]["stmt"]
    return tree


def _is_deep(tree: Any) -> bool:  # noqa: ANN401 - JSON
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for node in level
            if isinstance(node, dict | list)
            for inner in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _form(tree: Any, text: str, *, is_whole: bool) -> bytes:  # noqa: ANN401 - JSON
    if not is_whole:
        return b"text\0" + text.encode("utf-8", "surrogatepass")
    return b"tree\0" + _encode(_without_places(tree))


def _at(tree: Any, *keys: str) -> Any:  # noqa: ANN401 - JSON
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _without_places(node: Any) -> Any:  # noqa: ANN401 - JSON
    # Loops, because a comprehension would take a second frame for each level.
    if isinstance(node, list):
        items = []
        for each in node:
            items.append(_without_places(each))  # noqa: PERF401 - see above
        return items
    if not isinstance(node, dict):
        return node
    plain = {}
    for key, value in node.items():
        if key not in _PLACES:
            plain[key] = _without_places(value)
    cast = plain.get("TypeCast")
    return plain if cast is None else _cast_of_elements(plain, cast)


def _cast_of_elements(plain: dict[str, Any], cast: dict[str, Any]) -> dict[str, Any]:
    """A cast of ARRAY[...] to an array type as casts of its elements."""
    elements = _at(cast, "arg", "A_ArrayExpr", "elements")
    kind = cast.get("typeName", {})
    bounds = kind.get("arrayBounds", [])
    if not isinstance(elements, list) or len(bounds) != 1:
        return plain
    of_one = {key: value for key, value in kind.items() if key != "arrayBounds"}
    return {
        "A_ArrayExpr": {
            "elements": [
                _cast_of_elements(inner, inner["TypeCast"])
                for inner in (
                    {"TypeCast": {"arg": each, "typeName": of_one}} for each in elements
                )
            ]
        }
    }


def _cut_qualifiers(select: dict[str, Any]) -> None:
    sources = select.get("fromClause", [])
    if len(sources) != 1 or select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return
    name = _source_name(sources[0])
    if name is not None:
        for part in _OWN_LEVEL:
            _cut(select.get(part), name)


def _source_name(source: dict[str, Any]) -> str | None:
    """What the one item of a FROM is called; None for a join or a nameless one."""
    ((kind, item),) = source.items()
    if kind not in {"RangeVar", "RangeSubselect", "RangeFunction", "RangeTableFunc"}:
        return None
    found = _at(item, "alias", "aliasname") or item.get("relname")
    return found if isinstance(found, str) else None


def _cut(node: Any, name: str) -> None:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        for each in node:
            _cut(each, name)
        return
    if not isinstance(node, dict):
        return
    fields = _at(node, "ColumnRef", "fields")
    if isinstance(fields, list) and len(fields) > 1:
        is_own = _at(fields[0], "String", "sval") == name
        if is_own and "String" in fields[1]:
            del fields[0]
        return
    for key, value in node.items():
        # A query within has its names always qualified, in all majors.
        if key != "subselect":
            _cut(value, name)
