"""What a statement record says about its text: facts, decision, ceilings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from proxy.audit.judged import MAX_FACTS, MAX_STATEMENTS, MAX_TEXT, judged_fragment
from proxy.policy.decision import Decision
from proxy.sql.facts import (
    Access,
    Analysis,
    Effect,
    Facts,
    Flag,
    FunctionUse,
    Kind,
    RelationUse,
    Scope,
    SettingChange,
    Trouble,
)

ALLOW = Decision(
    allowed=True, rule="developer.read", reason="reads are permitted", kind="read"
)
DENY = Decision(
    allowed=False,
    rule="default-deny",
    reason="nothing permits it",
    sqlstate="42501",
    quarantines=True,
    kind="delete",
)
READ = Facts(Kind.READ, frozenset({Kind.READ}), ("select",), "SelectStmt")


def read(fragment: bytes) -> dict[str, Any]:
    text = b"{" + fragment + b"}"
    assert text.isascii()
    assert b"\n" not in text
    record: dict[str, Any] = json.loads(text)
    return record


def test_an_allowed_text_is_short() -> None:
    record = read(judged_fragment(Analysis((READ,), "SELECT 1"), ALLOW, policy="ab12"))
    assert record == {
        "decision": "allow",
        "rule": "developer.read",
        "reason": "reads are permitted",
        "statement_kind": "read",
        "statements": [{"kind": "read", "actions": ["select"]}],
        "text": "SELECT 1",
        "policy": "ab12",
    }


def test_a_refusal_carries_all_its_facts() -> None:
    facts = Facts(
        Kind.DELETE,
        frozenset({Kind.READ, Kind.DELETE}),
        ("delete",),
        "DeleteStmt",
        (RelationUse("public", "orders", Access.DELETE),),
        (FunctionUse("", "lo_unlink", Effect.LARGE_OBJECT),),
        (SettingChange("search_path", "hunter2", Scope.LOCAL),) * 2,
        frozenset({Flag.UNFILTERED, Flag.DESTRUCTIVE}),
        columns=(("o", "email"),),
        lock_mode="access share",
        operators=(("public", "+"),),
        databases=("shop",),
    )
    fragment = judged_fragment(Analysis((facts,), "DELETE FROM orders"), DENY)
    record = read(fragment)
    assert (record["decision"], record["sqlstate"]) == ("deny", "42501")
    assert record["quarantines"] is True
    assert record["statements"] == [
        {
            "kind": "delete",
            "kinds": ["delete", "read"],
            "actions": ["delete"],
            "relations": [{"schema": "public", "name": "orders", "access": "delete"}],
            "functions": [
                {"schema": "", "name": "lo_unlink", "effect": "large_object"}
            ],
            "columns": [["o", "email"]],
            "settings": ["search_path"],
            "flags": ["destructive", "unfiltered"],
            "lock_mode": "access share",
            "databases": ["shop"],
            "operators": [["public", "+"]],
        }
    ]
    assert b"hunter2" not in fragment


def test_trouble_is_recorded() -> None:
    trouble = Trouble("42601", 'syntax error at or near "SELEC"', 1)
    record = read(judged_fragment(Analysis((), "SELEC", trouble), DENY))
    assert record["trouble"] == 'syntax error at or near "SELEC"'
    assert record["statements"] == []


@pytest.mark.parametrize("length", [MAX_TEXT, MAX_TEXT + 1])
def test_a_long_text_is_cut_with_length_and_hash(length: int) -> None:
    text = "é" * length
    record = read(judged_fragment(Analysis((READ,), text), ALLOW))
    assert record["text"] == text[:MAX_TEXT]
    if length == MAX_TEXT:
        assert "text_sha256" not in record
    else:
        assert record["text_length"] == length
        assert record["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_many_statements_are_counted() -> None:
    many = (READ,) * (MAX_STATEMENTS + 5)
    record = read(judged_fragment(Analysis(many, "SELECT 1;"), ALLOW))
    assert len(record["statements"]) == MAX_STATEMENTS
    assert record["statements_total"] == MAX_STATEMENTS + 5
    assert record["facts_truncated"] is True


def test_facts_have_a_ceiling() -> None:
    names = tuple(RelationUse("s" * 63, f"{n:063}", Access.READ) for n in range(250))
    big = Facts(Kind.READ, frozenset({Kind.READ}), ("select",), "SelectStmt", names)
    fragment = judged_fragment(Analysis((big,) * 100, "SELECT 1"), ALLOW)
    assert len(fragment) < MAX_FACTS
    record = read(fragment)
    assert record["facts_truncated"] is True
    assert record["statements"] == [{"kind": "read"}] * 100
    assert record["text"] == "SELECT 1"


def test_a_quoted_megabyte_in_a_reason_is_cut() -> None:
    trouble = Trouble("42601", "near " + "x" * 1_000_000)
    deny = Decision(allowed=False, rule="r", reason="near " + "x" * 1_000_000)
    assert len(judged_fragment(Analysis((), "x", trouble), deny)) < 5_000


def test_bytes_that_are_not_utf8_are_spelled_out() -> None:
    text = b"SELECT '\xff\\'".decode("utf-8", "surrogateescape")
    relation = RelationUse("", "\udcff", Access.READ)
    odd = Facts(
        Kind.READ, frozenset({Kind.READ}), ("select",), "SelectStmt", (relation,)
    )
    record = read(judged_fragment(Analysis((odd,), text), DENY))
    assert record["text"] == r"SELECT '\xff\\'"
    assert record["text_escaped"] is True
    assert record["facts_truncated"] is True


@pytest.mark.parametrize(
    "text", ['x"}\n{"v":1', "\x1b[2J", "a\u2028b\u202ec", "\x7f\x9b", "🐘"]
)
def test_nothing_forges_a_line(text: str) -> None:
    facts = Facts(
        Kind.READ,
        frozenset({Kind.READ}),
        ("select",),
        "SelectStmt",
        (RelationUse(text, text, Access.READ),),
    )
    decision = Decision(allowed=True, rule="r", reason=text)
    record = read(judged_fragment(Analysis((facts,), text), decision))
    assert record["text"] == record["reason"] == text
    assert record["statements"][0]["relations"][0]["name"] == text
