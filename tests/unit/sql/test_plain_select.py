"""The shortcut against the walk: the same facts, or no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import structs

from proxy.sql import analyse as analyse_module, plain_grammar
from proxy.sql.grammar import CLASSES
from proxy.sql.parse import ParseTroubleError, parse, statements
from proxy.sql.plain_grammar import Node, Part
from proxy.sql.plain_select import _idle, plain_select
from tests.unit.sql.corpus import statements as corpus, tool_statements

if TYPE_CHECKING:
    from proxy.sql.facts import Facts

TEXTS = [
    *(case.sql for case in corpus()),
    *(case.sql for case in tool_statements()),
]


def comparable(facts: Facts) -> dict[str, object]:
    """Facts whose lists of uses have no order."""
    found = structs.asdict(facts)
    for name in ("relations", "functions", "columns"):
        assert len(set(found[name])) == len(found[name])
        found[name] = frozenset(found[name])
    return found


def walked(json: str) -> list[Facts]:
    return [analyse_module._walked(raw) for raw in statements(json)]


def agrees(text: str) -> bool:
    """Whether the shortcut answered; where it does, it must agree with the walk."""
    json = parse(text)
    plain = plain_select(json)
    if plain is None:
        return False
    (facts,) = walked(json)
    assert comparable(plain) == comparable(facts)
    return True


def test_the_corpus_gets_the_same_facts_both_ways() -> None:
    answered = sum(agrees(text) for text in TEXTS)
    assert answered > 150


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT a.b, c FROM s.a JOIN d USING (e) WHERE f(a.b) > $1 ORDER BY 1 LIMIT 3",
        "WITH a AS (SELECT * FROM a), b AS (TABLE a) SELECT * FROM b, a, c",
        "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1 FROM a) SELECT * FROM b",
        "SELECT public.f(1), pg_catalog.now(), g()",
        "SELECT 1 UNION SELECT count(*) FROM t",
    ],
)
def test_plain_ones_take_the_shortcut(text: str) -> None:
    assert agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DELETE FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1 INTO t",
        "SELECT * FROM t FOR UPDATE",
        "WITH d AS (DELETE FROM t) SELECT 1",
        "WITH a AS (WITH b AS (SELECT 1) TABLE b) TABLE a",
        "SELECT (x).f FROM t x",
        "SELECT t.nextval FROM t",
        "SELECT nextval('s')",
        "SELECT set_config('a', 'b', true)",
        "SELECT 1 OPERATOR(s.+) 2",
        "SELECT * FROM t TABLESAMPLE system (1)",
        "SELECT json_scalar('a')",
        "SELECT a.pg_catalog.pg_sleep(1)",
        "SELECT a.pg_catalog.now()",
        "EXPLAIN SELECT 1",
    ],
)
def test_anything_else_takes_the_long_way(text: str) -> None:
    assert plain_select(parse(text)) is None
    assert _idle == [True]
    lists = (plain_grammar.RELATIONS, plain_grammar.CALLS, plain_grammar.COLUMNS)
    assert not any(lists)


def test_a_second_caller_at_the_same_time_takes_the_long_way() -> None:
    json = parse("SELECT 1")
    _idle.pop()
    try:
        assert plain_select(json) is None
    finally:
        _idle.append(True)
    assert plain_select(json) is not None


LITERALS = (
    "1",
    "1234567",
    "2.5",
    "'a'",
    "'it''s'",
    "E'\\\\'",
    "'},\"location\":7'",
    "''",
    "0",
)


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t WHERE b = {}",
        "SELECT s.f({}), {} FROM s.t JOIN u USING (a) WHERE t.b IN ({}, $1) LIMIT 3",
        "WITH c AS (SELECT {} FROM d) SELECT * FROM c, e WHERE x.y = {}::int8",
        "SELECT CASE WHEN a = {} THEN {} ELSE b END FROM t",
    ],
)
def test_a_literal_is_nothing_but_a_literal(text: str, literal: str) -> None:
    assert agrees(text.replace("{}", literal))


def test_its_grammar_is_a_part_of_the_whole() -> None:
    """Every field of its types is a field that the tables know for that class."""
    node_classes = {field.name: field.type for field in structs.fields(Node)}
    for name, of in node_classes.items():
        struct = next(
            part
            for part in getattr(of, "__args__", (of,))
            if isinstance(part, type) and issubclass(part, Part)
        )
        assert {field.name for field in structs.fields(struct)} <= set(CLASSES[name])


WORDS = """
    SELECT 1 , a a.b (a).b a.nextval FROM t s.t WHERE a=1 AND ( ) f(a) nextval('s') WITH
    RECURSIVE UNION JOIN u ON true ORDER BY GROUP HAVING count(*) LIMIT CASE WHEN THEN
    END NOT NULL IS FOR UPDATE INTO x ::int ARRAY[1] IN EXISTS LATERAL ; OPERATOR(s.+)
    OVER TABLE VALUES AS
"""
PHRASES = ("(DELETE FROM t)", "WITH t AS (SELECT * FROM t)", "WITH u AS (TABLE t)")
TOKENS = st.sampled_from([*WORDS.split(), *PHRASES])


@given(st.lists(TOKENS, max_size=14).map(" ".join))
@settings(max_examples=500)
def test_generated_texts_get_the_same_facts_both_ways(text: str) -> None:
    try:
        agrees("SELECT 1 " + text)
    except ParseTroubleError:
        pass
