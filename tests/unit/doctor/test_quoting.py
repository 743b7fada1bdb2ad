"""`proxy.doctor.quoting`: no name ends its own quotes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from pglast import parse_sql

from proxy.doctor.quoting import (
    one_line,
    qualified,
    quote_name,
    quote_psql,
    quote_text,
)

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
    max_size=15,  # Postgres cuts names at 63 bytes
)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("plain", '"plain"'), ('a"b', '"a""b"'), ("x; DROP", '"x; DROP"')],
)
def test_quotes_names(name: str, quoted: str) -> None:
    assert quote_name(name) == quoted


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("plain", "'plain'"), ("o'b", "'o''b'"), ("a\\'b", " E'a\\\\''b'")],
)
def test_quotes_texts(text: str, quoted: str) -> None:
    assert quote_text(text) == quoted


@given(NAMES, NAMES)
def test_postgres_reads_the_same_names(schema: str, name: str) -> None:
    statement: Any = parse_sql(f"DROP TABLE {qualified(schema, name)}")[0].stmt
    found = [each.sval for each in statement.objects[0]]
    assert found == [schema, name]


@given(NAMES)
def test_postgres_reads_the_same_text(text: str) -> None:
    statement: Any = parse_sql(f"SELECT {quote_text(text)}")[0].stmt
    assert statement.targetList[0].val.val.sval == text


@given(st.text())
def test_one_line_is_one(text: str) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text).splitlines()) <= 1


def test_psql_values() -> None:
    assert quote_psql("a'b\\c\nd") == "'a''b\\\\c\\nd'"
