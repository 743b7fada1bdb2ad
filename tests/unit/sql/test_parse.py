from __future__ import annotations

import pytest

from proxy.errors import SYNTAX_ERROR
from proxy.sql import parse as parse_module
from proxy.sql.parse import (
    MAX_MESSAGE,
    TOO_COMPLEX,
    ParseTroubleError,
    parse,
    statements,
)


def test_statements_come_in_order() -> None:
    raw = statements(parse("SELECT 1; TABLE a; COMMIT"))
    assert [next(iter(statement["stmt"])) for statement in raw] == [
        "SelectStmt",
        "SelectStmt",
        "TransactionStmt",
    ]
    assert statements(parse("")) == []


def test_a_syntax_error_has_the_servers_words_and_place() -> None:
    with pytest.raises(ParseTroubleError) as raised:
        parse("SELECT 'é' FROM FROM t")
    trouble = raised.value.trouble
    assert trouble.sqlstate == SYNTAX_ERROR
    assert trouble.message == 'syntax error at or near "FROM"'
    assert trouble.position == 17


def test_an_error_at_the_end_points_behind_the_text() -> None:
    with pytest.raises(ParseTroubleError) as raised:
        parse("SELECT é FROM")
    assert raised.value.trouble.position == 14


def test_a_long_token_is_not_quoted_whole() -> None:
    with pytest.raises(ParseTroubleError) as raised:
        parse("a" * 100_000)
    assert len(raised.value.trouble.message) <= MAX_MESSAGE


@pytest.mark.parametrize("text", ["SELECT " + "(" * 20_000, "SELECT 1" + "+1" * 50_000])
def test_what_nests_too_deep_is_too_large(text: str) -> None:
    with pytest.raises(ParseTroubleError) as raised:
        parse(text)
    assert raised.value.trouble is TOO_COMPLEX


def test_another_grammar_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        parse_module, "_parse", lambda _text: '{"version":190000,"stmts":[]}'
    )
    with pytest.raises(ParseTroubleError, match="version"):
        parse("SELECT 1")
