"""What a person reads where a statement is not the proven one."""

from __future__ import annotations

import pytest

from proxy.migrations.difference import differing, nearest

LONG = "INSERT INTO t VALUES (" + ", ".join(f"'value {n}'" for n in range(100)) + ")"


def test_short_statements_are_shown_whole() -> None:
    said = differing(b"DELETE FROM t WHERE id < 90", "DELETE FROM t WHERE id < 10")
    assert said == (
        "it is 'DELETE FROM t WHERE id < 90', proven was 'DELETE FROM t WHERE id < 10'"
    )


def test_of_long_ones_the_first_difference_is_shown() -> None:
    said = differing(LONG.replace("value 70", "value x").encode(), LONG)
    assert "'value x'" in said.replace('"', "")
    assert "value 70" in said
    assert "value 1'" not in said
    assert len(said) < 400


def test_a_difference_in_white_space_is_shown() -> None:
    said = differing(b"SELECT\n 1", "SELECT 1")
    assert said == "it is 'SELECT\\n 1', proven was 'SELECT 1'"


def test_values_that_differ_are_named_as_such() -> None:
    said = differing(b"INSERT INTO t VALUES ($1)", "INSERT INTO t VALUES ($1)")
    assert "its values are not" in said


def test_a_secret_is_not_told() -> None:
    """The message is in the audit log, too."""
    said = differing(b"CREATE ROLE x PASSWORD 'hunter2'", "CREATE ROLE x PASSWORD 'a'")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"UPDATE t SET a = 9 WHERE id = 7", 1),
        (b"UPDATE t SET a = 1 WHERE id = 8", 1),
        (b"UPDATE t SET a = 1 WHERE id = 7 AND true", 1),
        (b"DROP TABLE t", None),
        (b"", None),
    ],
)
def test_the_nearest(text: bytes, expected: int | None) -> None:
    proven = ["CREATE TABLE t (id int)", "UPDATE t SET a = 1 WHERE id = 7", ""]
    assert nearest(text, proven) == expected
