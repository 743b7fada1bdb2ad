"""Trees with one key differ in places and in values of constants, in nothing else."""

from __future__ import annotations

import json as stdlib_json
from collections import defaultdict
from typing import Any

from hypothesis import given, strategies as st

from proxy.sql.literals import without_literals
from proxy.sql.parse import ParseTroubleError, parse
from tests.unit.sql.corpus import statements as corpus, tool_statements

TEXTS = [
    *(case.sql for case in corpus()),
    *(case.sql for case in tool_statements()),
]


def blank(node: Any) -> Any:
    """The tree without places and without the values that may be taken out."""
    if isinstance(node, list):
        return [blank(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: blank(value) for key, value in node.items() if key != "location"}
    constant = node.get("A_Const")
    if isinstance(constant, dict):
        for kind in ("ival", "sval", "fval"):
            if constant.get(kind):
                found["A_Const"] = {kind: None}
    return found


def tree(json: str) -> str:
    return stdlib_json.dumps(blank(stdlib_json.loads(json)), sort_keys=True)


def parsed(text: str) -> str:
    try:
        return parse(text)
    except ParseTroubleError:
        return ""


def test_one_key_means_one_tree_but_for_values() -> None:
    trees: dict[str, set[str]] = defaultdict(set)
    for json in filter(None, map(parsed, TEXTS)):
        trees[without_literals(json)].add(tree(json))
    assert [found for found in trees.values() if len(found) > 1] == []
    assert len(trees) > 300


TEMPLATES = (
    "SELECT a, ? FROM t WHERE b = ? OR c LIKE ?",
    "SELECT set_config(?, ?, false)",
    "SELECT ? AS x, t.@ FROM t",
    "UPDATE t SET a = ? WHERE b IN (?, ?)",
)
PIECES = st.sampled_from([*'"\\},:{a1-', "location", "A_Const", '"},"location":1'])
NASTY = st.lists(PIECES, max_size=8).map("".join)
LITERAL = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    NASTY.map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.text(st.characters(codec="utf-8", exclude_characters="\0'")).map(
        lambda text: f"'{text}'"
    ),
)
NAME = NASTY.filter(bool).map(lambda name: '"' + name.replace('"', '""') + '"')


def filled(template: str, values: list[str], name: str) -> str:
    pieces = template.replace("@", "?", 1).split("?")
    fills = [
        name if "@" in template and index == 1 else values[index] for index in (0, 1, 2)
    ]
    return "".join(
        piece + (fills[index] if index < len(pieces) - 1 else "")
        for index, piece in enumerate(pieces)
    )


@given(
    st.sampled_from(TEMPLATES), st.lists(LITERAL, min_size=6, max_size=6), NAME, NAME
)
def test_whatever_is_written_in_them(
    template: str, values: list[str], name: str, other: str
) -> None:
    trees: dict[str, str] = {}
    for called in (name, other):
        for chosen in (values[:3], values[3:]):
            json = parsed(filled(template, chosen, called))
            if json:
                known = trees.setdefault(without_literals(json), tree(json))
                assert known == tree(json)
