"""Shapes: what many texts have in common, and an answer for every text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from proxy.sql.shape import MAX_LEXED, MAX_SHAPE, shape
from tests.unit.sql.corpus import statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", "select ?"),
        ("select 'a''b', E'c\\'d', U&'x', B'01', $t$ e $t$", "select ?, ..."),
        ("SELECT $1, 1.5e-3, .5, 0x1F, 1_000", "select ?, ..."),
        ("SELECT a1, t2.b3, x$4 FROM t", "select a1, t2.b3, x$4 from t"),
        ('SELECT "A  b" FROM "c""d"', 'select "A  b" from "c""d"'),
        ('SELECT U&"\\0061"', 'select U&"\\0061"'),
        ("SELECT/* a /* b */ c */1 -- d\n ;", "select ?"),
        ("/* trace='7' */ SELECT 1", "select ?"),
        ("SELECT *\n\tFROM\r\n t", "select * from t"),
        ("x IN (1,2 , 3)", "x in (?, ...)"),
        ("TABLE t VALUES (1, 'a'), (2, 'b')", "table t values (?, ...), ..."),
        ("VALUES (1),(2)", "values (?), ..."),
        ("VALUES (1, now()), (2, now())", "values (?, now()), (?, now())"),
        ("COMMENT ON TABLE t IS 'x'", "comment on table t is ?"),
        ("DO $$ begin drop; end $$", "do ?"),
        ("SELECT 'not closed", "select ?"),
        ('SELECT "not closed', 'select "not closed'),
        ("SELECT /* not closed", "select"),
        ("SELECT $a$ $b$", "select ?"),
        ("", ""),
        (" ; ", ""),
    ],
)  # fmt: skip
def test_shapes(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_a_long_one_is_cut_and_still_told_apart() -> None:
    first, second = (shape("SELECT " + "a, " * 300 + end) for end in ("b", "c"))
    assert len(first) == len(second) == MAX_SHAPE
    assert first[:-9] == second[:-9]
    assert first != second
    assert "… #" in first


@pytest.mark.parametrize("case", statements(), ids=lambda case: case.sql[:40])
def test_comments_and_space_do_not_matter_and_a_shape_is_its_own(case: object) -> None:
    text: str = case.sql  # type: ignore[attr-defined]
    found = shape(text)
    assert found == shape(f"  {text}\n-- and a comment")
    assert found == shape(found) or len(found) == MAX_SHAPE


@given(st.text(alphabet="aE1$'\"/*-\n\\ (,)?;.é\0\ud800") | st.text())
def test_it_has_an_answer_for_every_text(text: str) -> None:
    assert len(shape(text)) <= MAX_SHAPE


@pytest.mark.parametrize(
    "piece",
    ["'", "''", '"', "e'\\", "/*", "*/", "$a$", "$", "(", "(1),", "?, ", "--\n", "1e"],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    started = time.process_time()
    shape(piece * (MAX_LEXED // len(piece)))
    assert time.process_time() - started < 2.0
