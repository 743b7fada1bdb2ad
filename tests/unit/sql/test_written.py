"""What a statement writes where, for those who ask beyond the facts."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.sql.written import MAX_TEXT, NOTHING, Call, Value, Written, written


def of(text: str) -> Written:
    return written(text.encode())


def test_an_insert_by_column() -> None:
    said = of(
        "INSERT INTO s.t (a, b, c, d) VALUES ($1, 'x', -7, now()), (1, '', true, NULL)"
    )
    assert said.columns == ("a", "b", "c", "d")
    assert said.rows[0] == {
        "a": Value(parameter=1), "b": Value("x"), "c": Value("-7"), "d": Value()
    }  # fmt: skip
    assert said.rows[1] == {
        "a": Value("1"), "b": Value(""), "c": Value("true"), "d": Value()
    }  # fmt: skip
    assert said.calls == (Call("now"),)


def test_an_insert_without_a_list_counts_its_columns() -> None:
    assert of("INSERT INTO t VALUES (0, false)").rows == (
        {"#1": Value("0"), "#2": Value("false")},
    )


@pytest.mark.parametrize(
    "text", ["INSERT INTO t (a) SELECT b FROM c", "INSERT INTO t DEFAULT VALUES"]
)
def test_an_insert_of_something_else_has_no_rows(text: str) -> None:
    assert of(text).rows == ()


def test_an_update_with_its_comparisons() -> None:
    said = of("UPDATE t SET v = 'a2' WHERE t.v = 'a1' AND id = $2::int AND x > 1")
    assert said.rows == ({"v": Value("a2")},)
    assert said.where == {"v": Value("a1"), "id": Value(parameter=2)}


def test_what_is_not_joined_by_and_is_not_told() -> None:
    assert of("DELETE FROM t WHERE a = 1 OR b = 2").where == {}
    assert of("DELETE FROM t WHERE NOT (a = 1)").where == {}
    assert of("DELETE FROM t WHERE a IN (1, 2)").where == {}
    assert of("DELETE FROM t WHERE a <> 1 AND b IN (2)").where == {"b": Value("2")}


def test_columns_of_a_table_and_of_a_select() -> None:
    assert of("CREATE TABLE t (a int, b text, UNIQUE (a))").columns == ("a", "b")
    assert of("SELECT t.a, *, lower(b) FROM t").columns == ("a", "*")


def test_calls_with_plain_arguments() -> None:
    said = of("SELECT pg_advisory_lock('123'::bigint, $1), f(g(x))")
    assert said.calls[0] == Call("pg_advisory_lock", (Value("123"), Value(parameter=1)))
    assert {call.name for call in said.calls} == {"pg_advisory_lock", "f", "g"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DROP DATABASE IF EXISTS x", {"if exists"}),
        ("DROP TABLE x CASCADE", {"cascade"}),
        ("CREATE TABLE IF NOT EXISTS x ()", {"if not exists"}),
        ("TRUNCATE a RESTART IDENTITY", {"restart identity"}),
        ("TRUNCATE a", set()),
    ],
)
def test_small_words(text: str, words: set[str]) -> None:
    assert of(text).words == words


def test_names_of_schemas() -> None:
    assert of("DROP SCHEMA a, b").names == ("a", "b")
    assert of("CREATE SCHEMA IF NOT EXISTS drizzle").names == ("drizzle",)
    assert of("DROP TABLE a").names == ()


@pytest.mark.parametrize(
    "text", ["", "SELEC", "SELECT 1; SELECT 2", "SELECT " + "1," * MAX_TEXT + "1"]
)
def test_what_is_no_single_statement_is_nothing(text: str) -> None:
    assert of(text) is NOTHING


@given(st.binary(max_size=200))
def test_it_never_raises(text: bytes) -> None:
    assert isinstance(written(text), Written)


@given(
    st.sampled_from(["INSERT INTO t", "UPDATE t SET", "DELETE FROM t WHERE", "SELECT"]),
    st.text("ab=,()$1'\" *ANDIN", max_size=40),
)
def test_nor_on_what_looks_like_sql(beginning: str, rest: str) -> None:
    assert isinstance(of(f"{beginning} {rest}"), Written)
