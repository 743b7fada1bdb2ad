from __future__ import annotations

import time

import pytest
from hypothesis import given, settings, strategies as st

from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql import parse as parse_module
from proxy.sql.analyse import analyse
from proxy.sql.facts import Analysis, Effect, Flag, Kind
from tests.unit.sql.corpus import Case, statements, tool_statements

CASES = statements()
TOOL_CASES = tool_statements()
TOOLS = sorted({case.tool for case in TOOL_CASES})
NO_WRITES = {
    *(Kind.READ, Kind.SESSION, Kind.TRANSACTION, Kind.CURSOR, Kind.EXECUTE),
    *(Kind.COPY_OUT, Kind.LOCK, Kind.NOTIFY),
}
BAD_FLAGS = {Flag.HIDDEN_WRITE, Flag.DESTRUCTIVE, Flag.INTO, Flag.ROW_LOCK}


def test_the_corpus_is_large_and_unambiguous() -> None:
    assert len(CASES) >= 400
    assert len({case.sql for case in CASES}) == len(CASES)
    assert len(TOOL_CASES) >= 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.sql}")
def test_facts_of_the_corpus(case: Case) -> None:
    analysis = analyse(case.sql.encode())
    assert analysis.trouble is None
    (facts,) = analysis.statements
    assert facts.kinds == case.kinds
    assert facts.flags == case.flags
    effects = {use.effect.value for use in facts.functions} - {"none"}
    assert effects == case.effects
    assert facts.kind in facts.kinds
    if case.actions is not None:
        assert list(facts.actions) == case.actions


@pytest.mark.parametrize("tool", TOOLS)
def test_what_tools_send_is_understood_and_does_not_write(tool: str) -> None:
    for case in TOOL_CASES:
        if case.tool != tool:
            continue
        analysis = analyse(case.sql.encode())
        assert analysis.trouble is None
        for facts in analysis.statements:
            effects = {use.effect for use in facts.functions}
            assert facts.kinds <= NO_WRITES, case.sql
            assert not facts.flags & BAD_FLAGS, case.sql
            assert effects <= {Effect.NONE, Effect.SETTING}, case.sql


def test_an_empty_text_has_no_statements_and_no_trouble() -> None:
    for text in (b"", b" ", b";", b";;", b"-- only a comment", b"/* one */ ; \n"):
        analysis = analyse(text)
        assert analysis.statements == ()
        assert analysis.trouble is None


def test_each_statement_of_a_text_is_judged_and_placed() -> None:
    text = "SELECT 'é'; DROP TABLE t; SELECT 2"
    analysis = analyse(text.encode())
    assert [facts.kind for facts in analysis.statements] == [
        Kind.READ,
        Kind.DDL,
        Kind.READ,
    ]
    start, length = analysis.statements[1].location
    assert text.encode()[start : start + length].strip() == b"DROP TABLE t"


def test_a_single_statement_is_placed_behind_its_comment() -> None:
    text = b"/* x */ SELECT a FROM t"
    start, length = analyse(text).statements[0].location
    assert (start, length) == (0, 0) or text[start:].strip().startswith(b"SELECT")


@pytest.mark.parametrize(
    ("text", "sqlstate", "position"),
    [
        (b"selec 1", SYNTAX_ERROR, 1),
        ("select é 'x".encode(), SYNTAX_ERROR, 10),
        (b"select 1 from", SYNTAX_ERROR, 14),
        (b"select 1\0; drop table x", SYNTAX_ERROR, 0),
        (b"select '\xff'", SYNTAX_ERROR, 0),
        (b"select '\xed\xa0\x80'", SYNTAX_ERROR, 0),
        (b"select " + b"(" * 20000, TOO_LARGE, 0),
        (b"select " + b"1+" * 20000 + b"1", TOO_LARGE, 0),
        (b"select " + b"1," * 600000 + b"1", TOO_LARGE, 0),
        (b"select 1;" * 20000, TOO_LARGE, 0),
    ],
)
def test_what_is_not_understood_has_trouble_and_no_facts(
    text: bytes, sqlstate: str, position: int
) -> None:
    analysis = analyse(text)
    assert analysis.statements == ()
    assert analysis.trouble is not None
    assert analysis.trouble.sqlstate == sqlstate
    assert analysis.trouble.position == position
    assert len(analysis.trouble.message) < 400


def test_a_bug_of_ours_is_trouble_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError(text)

    monkeypatch.setattr(parse_module, "_parse", broken)
    analysis = analyse(b"SELECT 'secret'")
    assert analysis.trouble is not None
    assert "secret" not in analysis.recorded_text + analysis.trouble.message


def test_a_deep_statement_never_breaks_the_walk() -> None:
    for depth in (10, 100, 300, 500, 1000, 3000):
        for text in (
            "select " + "1+" * depth + "1",
            "select " + "(select " * depth + "1" + ")" * depth,
            "with a as (" * depth + "select 1" + ") select 1" * depth,
            "select 1" + " union select 1" * depth,
            "select " + "f(" * depth + "1" + ")" * depth,
            "select " + "not " * depth + "true",
            "update t set a = " + "- " * depth + "1 where id = 1",
            "delete from t where a = 1" + " or a = 2" * depth,
            "delete from t where " + "not (a = 1 or " * depth + "b" + ")" * depth,
        ):
            analysis = analyse(text.encode())
            assert analysis.trouble is None or analysis.trouble.sqlstate == TOO_LARGE


@given(st.binary(max_size=200))
def test_total_on_any_bytes(text: bytes) -> None:
    assert isinstance(analyse(text), Analysis)


SEEDS = [*(case.sql for case in CASES), *(case.sql for case in TOOL_CASES)]
PIECES = st.sampled_from(
    [
        *(
            "'",
            '"',
            "$$",
            "$a$",
            "/*",
            "*/",
            "--",
            "\n",
            ";",
            "(",
            ")",
            ",",
            "E'",
            "\\",
        ),
        *("é", "WITH x AS (DELETE FROM t) ", " OR true", " FOR UPDATE", "\u2028", "\r"),
    ]
)


@given(st.sampled_from(SEEDS), PIECES, st.floats(0, 1), st.integers(0, 12))
@settings(max_examples=300)
def test_total_and_quick_on_mutated_statements(
    seed: str, piece: str, place: float, cut: int
) -> None:
    at = int(place * len(seed))
    text = seed[:at] + piece + seed[at + cut :]
    started = time.process_time()
    analysis = analyse(text.encode("utf-8", "surrogatepass"))
    assert time.process_time() - started < 1
    assert (analysis.trouble is None) or analysis.statements == ()
