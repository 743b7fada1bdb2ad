"""Names and patterns."""

from __future__ import annotations

import pytest

from proxy.policy.patterns import NamePattern, Pattern, nearest


@pytest.mark.parametrize(
    ("words", "word", "fits"),
    [
        (["drop table"], "drop table", True),
        (["drop table"], "drop tables", False),
        (["drop *"], "drop table", True),
        (["drop *"], "drop", False),
        (["*"], "", True),
        ([], "x", False),
        ([], "", False),
        (["a.b"], "axb", False),
        (["*_x"], "a\n_x", True),
        (["a", "b*"], "bc", True),
        (["a*c"], "abcd", False),
        (["A"], "a", False),
    ],
)
def test_pattern(words: list[str], word: str, fits: bool) -> None:
    assert Pattern(words).matches(word) is fits


@pytest.mark.parametrize(
    ("words", "schema", "name", "surely", "maybe"),
    [
        (["users"], "", "users", True, True),
        (["users"], "hr", "users", True, True),
        (["hr.users"], "hr", "users", True, True),
        (["hr.users"], "", "users", False, True),
        (["hr.users"], "public", "users", False, False),
        (["hr.*"], "", "anything", False, True),
        (["*.users"], "hr", "users", True, True),
        (["*"], "hr", "x", True, True),
        (["*"], "", "x", True, True),
        (["u*"], "", "users", True, True),
    ],
)
def test_a_name_without_schema_may_be_any(
    words: list[str], schema: str, name: str, surely: bool, maybe: bool
) -> None:
    pattern = NamePattern(words)
    assert pattern.surely_matches(schema, name) is surely
    assert pattern.maybe_matches(schema, name) is maybe


def test_nearest() -> None:
    assert nearest("kind", ["kinds", "flags"]) == '; did you mean "kinds"?'
    assert nearest("zzz", ["kinds", "flags"]) == "; known: flags, kinds"
    assert nearest("zzz", []) == ""
