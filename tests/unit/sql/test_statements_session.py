from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.sql.analyse import analyse
from proxy.sql.vocabulary import LOCK_MODES

if TYPE_CHECKING:
    from proxy.sql.facts import Facts


def facts_of(sql: str) -> Facts:
    (facts,) = analyse(sql.encode()).statements
    return facts


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("PREPARE p AS SELECT 1", [("prepare", "p")]),
        ('PREPARE "P" AS SELECT 1', [("prepare", "P")]),
        ("EXECUTE p(1)", [("execute", "p")]),
        ("EXPLAIN ANALYZE EXECUTE p", [("execute", "p")]),
        ("EXPLAIN EXECUTE p", [("execute", "p")]),
        ("CREATE TABLE t AS EXECUTE p", [("execute", "p")]),
        ("DEALLOCATE p", [("deallocate", "p")]),
        ("DEALLOCATE ALL", [("deallocate", None)]),
        ("DECLARE c CURSOR FOR SELECT 1", [("declare", "c")]),
        ("FETCH 1 FROM c", [("fetch", "c")]),
        ("MOVE ALL IN c", [("fetch", "c")]),
        ("CLOSE c", [("close", "c")]),
        ("CLOSE ALL", [("close", None)]),
        ("DISCARD ALL", [("discard", None)]),
        ("DISCARD PLANS", []),
        ("EXPLAIN DECLARE c CURSOR FOR SELECT 1", []),
        ("SELECT 1", []),
    ],
)
def test_names(sql: str, names: list[tuple[str, str | None]]) -> None:
    assert [(name.verb, name.name) for name in facts_of(sql).names] == names


@pytest.mark.parametrize(
    ("sql", "transaction"),
    [
        ("BEGIN", "begin"),
        ("START TRANSACTION", "begin"),
        ("COMMIT", "commit"),
        ("END", "commit"),
        ("ROLLBACK", "rollback"),
        ("ABORT", "rollback"),
        ("SAVEPOINT a", "savepoint"),
        ("RELEASE a", "release"),
        ("ROLLBACK TO a", "rollback to"),
        ("PREPARE TRANSACTION 'a'", "prepare"),
        ("COMMIT PREPARED 'a'", "commit prepared"),
        ("ROLLBACK PREPARED 'a'", "rollback prepared"),
        ("SELECT 1", ""),
    ],
)
def test_transactions(sql: str, transaction: str) -> None:
    assert facts_of(sql).transaction == transaction


@pytest.mark.parametrize("mode", LOCK_MODES.values())
def test_lock_modes(mode: str) -> None:
    assert facts_of(f"LOCK t IN {mode.upper()} MODE").lock_mode == mode


def test_a_lock_without_a_mode_is_the_strongest() -> None:
    assert facts_of("LOCK t").lock_mode == "access exclusive"


def test_functions_inside_explain_count() -> None:
    facts = facts_of("EXPLAIN SELECT liar() FROM t WHERE x.nextval > 1")
    assert {use.name for use in facts.functions} == {"liar"}
    assert ("x", "nextval") in facts.columns
    assert "attribute_call" in facts.flags
