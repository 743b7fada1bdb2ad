"""Trees with one key differ in places and in values of constants, in nothing else."""

from __future__ import annotations

import json as stdlib_json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, strategies as st

from proxy.sql.analyse import analyse
from proxy.sql.literals import (
    MOST_BYTES,
    hangs_on_integers,
    without_integers,
    without_literals,
)
from proxy.sql.parse import ParseTroubleError, parse
from proxy.sql.plain_select import facts_of, plain_select
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
            if kind in constant:
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


# --- texts ----------------------------------------------------------------------


def is_plain(json: str) -> bool:
    return bool(json) and plain_select(json) is not None


def has_one_tree(first: str, second: str) -> bool:
    """Whether two texts have one key; if so and one is a plain SELECT, one tree too."""
    if without_integers(first.encode()) != without_integers(second.encode()):
        return False
    if hangs_on_integers(first.encode()):
        return False
    jsons = parsed(first), parsed(second)
    if is_plain(jsons[0]) or is_plain(jsons[1]):
        assert tree(jsons[0]) == tree(jsons[1])
        assert is_plain(jsons[0])
        assert is_plain(jsons[1])
    return True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT a FROM t WHERE b = 12;", "SELECT a FROM t WHERE b = 34;"),
        ("SELECT f(1,2)+3 FROM s.t1", "SELECT f(9,8)+7 FROM s.t1"),
        ("SELECT * FROM t LIMIT 1 OFFSET 2", "SELECT * FROM t LIMIT 3 OFFSET 4"),
        ("SELECT 1", "SELECT 0"),
        ("SELECT CAST(a AS numeric(1,2))", "SELECT CAST(a AS numeric(3,1))"),
    ],
)
def test_texts_that_differ_in_integers_have_one_key(first: str, second: str) -> None:
    assert without_integers(first.encode())
    assert has_one_tree(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT a1 FROM t", "SELECT a2 FROM t"),
        ("SELECT _1 FROM t", "SELECT _2 FROM t"),
        ("SELECT t.a FROM s1.t", "SELECT t.a FROM s2.t"),
        ("SELECT 1a FROM t", "SELECT 2a FROM t"),
        ("SELECT 1.5", "SELECT 2.5"),
        ("SELECT 1.5", "SELECT 1.6"),
        ("SELECT .5", "SELECT .6"),
        ("SELECT 1e5", "SELECT 1e6"),
        ("SELECT 0x1f", "SELECT 0x2f"),
        ("SELECT 1_0", "SELECT 1_1"),
        ("SELECT 1 a", "SELECT 1 b"),
        ("SELECT 123456789", "SELECT 1234567890"),
        ("SELECT 1234567890", "SELECT 1234567891"),
        ("SELECT 1", "SELECT 11"),
        ("SELECT 1", "SELECT  1"),
    ],
)
def test_nothing_else_is_taken_out(first: str, second: str) -> None:
    assert without_integers(first.encode())
    assert without_integers(first.encode()) != without_integers(second.encode())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a1'",
        'SELECT "a 1"',
        "SELECT $1",
        "SELECT $a$ 1 $a$",
        "SELECT 1 -- 2",
        "SELECT 1 /* 2 */",
        "SELECT 1 - 2",
        "SELECT 1 ? 2",
        "SELECT a[1]",
        "SELECT 1::int",
        "SELECT :1",
        "SELECT E\\1",
        "SELECT \x00 1",
        "SELECT \u00e9 = 1",
        "SELECT 1" + " " * MOST_BYTES,
    ],
)
def test_a_text_with_anything_else_in_it_has_no_key(text: str) -> None:
    assert without_integers(text.encode()) == b""


def test_float_looks_at_its_integer() -> None:
    assert hangs_on_integers(b"SELECT CAST(a AS FLOAT(24))")
    assert parsed("SELECT CAST(a AS FLOAT(24))")
    assert not parsed("SELECT CAST(a AS FLOAT(54))")


INTEGERS = st.sampled_from(["0", "00", "1", "7", "42", "99", "123456789", "987654321"])
TOKENS = st.one_of(
    INTEGERS,
    st.sampled_from([*"aAe_x.,;()=<>*+% \n", "SELECT", "FROM", "t1", "1a", "1.", "e1"]),
    st.sampled_from(
        [" LIMIT ", " ORDER BY ", " IN (", " numeric(", " interval(", " bit("]
    ),
)


@given(st.lists(TOKENS, max_size=25), st.lists(INTEGERS, min_size=25, max_size=25))
def test_whatever_tokens_stand_beside_each_other(
    tokens: list[str], others: list[str]
) -> None:
    digits = set("0123456789")
    first = "SELECT " + "".join(tokens)
    second = "SELECT " + "".join(
        (other * 9)[: len(token)] if set(token) <= digits else token
        for token, other in zip(tokens, others, strict=False)
    )
    has_one_tree(first, second)


def test_the_corpus_has_one_tree_for_one_key() -> None:
    same = [
        has_one_tree(text, text.replace(old, new))
        for text in TEXTS
        for old, new in ("12", "21", "09", "90")
        if without_integers(text.encode()) and old in text
    ]
    assert sum(same) > 30


def test_the_answer_for_a_family_is_the_one_that_its_text_has() -> None:
    for number in (b"1", b"7", b"9"):
        text = b"SELECT a, count(*) FROM s.t WHERE b = %b GROUP BY a LIMIT 5" % number
        analysis = analyse(text)
        assert analysis.recorded_text == text.decode()
        assert analysis.statements == (facts_of(parsed(text.decode())),)
        assert analysis.trouble is None
    assert analyse(b"SELECT CAST(a AS float(24))").trouble is None
    assert analyse(b"SELECT CAST(a AS float(54))").trouble is not None
