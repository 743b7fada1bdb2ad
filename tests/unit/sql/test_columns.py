"""Aliases in many scopes: `tests/oracle/test_columns.py` has what a reader may send."""

from __future__ import annotations

import pytest

from proxy.sql.columns import ALL, columns_in

UPDATE = "UPDATE t SET a = 1 RETURNING"


def used(text: str) -> set[str]:
    """The columns that a text may use of its table "t"."""
    (found,) = columns_in(text)
    return {
        name for each in found.ranges if each.name == "t" for name in found.of(each)
    }


@pytest.mark.parametrize(
    "text",
    [
        f"{UPDATE} old.secret",
        f"{UPDATE} old.secret, (SELECT 1 FROM (SELECT 1) AS old)",
        f"{UPDATE} WITH (OLD AS o) o.secret, (SELECT 1 FROM (SELECT 1) AS o)",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.secret",
        "SELECT j.secret FROM (t CROSS JOIN u) AS j, (SELECT 1) AS q",
        "SELECT j.secret FROM (t CROSS JOIN u) AS j WHERE EXISTS (SELECT FROM u AS j)",
    ],
)
def test_a_column_is_found_whatever_else_has_its_qualifier(text: str) -> None:
    assert used(text) >= {"secret"}


@pytest.mark.parametrize(
    "text",
    [
        f"{UPDATE} old",
        f"{UPDATE} new.*",
        f"{UPDATE} WITH (OLD AS o) o",
        f"{UPDATE} WITH (NEW AS n) n.*, (SELECT 1 FROM (SELECT 1) AS n)",
        "SELECT c FROM (t CROSS JOIN u) AS j (a, b, c)",
        "SELECT c FROM u CROSS JOIN (t CROSS JOIN u AS v) AS j (a, b, c)",
        "SELECT j.* FROM (t CROSS JOIN u) AS j WHERE EXISTS (SELECT FROM u AS j)",
        "SELECT j FROM (t CROSS JOIN u) AS j WHERE EXISTS (SELECT FROM u AS j)",
    ],
)
def test_what_renames_or_is_a_row_takes_all(text: str) -> None:
    assert ALL in used(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT t.a, u.secret FROM t, u",
        "SELECT t.a, q.secret FROM t, (SELECT 1 AS secret) AS q",
        "SELECT t.a FROM t JOIN u ON u.secret = t.a",
    ],
)
def test_what_another_one_has_is_not_its_own(text: str) -> None:
    assert used(text) == {"a"}
