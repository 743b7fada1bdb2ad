"""From a text to its verdict: resolved names, the cache, who may reuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from proxy.session import judge as judging
from proxy.session.judge import Judge, Judged
from proxy.sql import parse as parsing
from proxy.sql.analyse import analyse
from tests.unit.session.playbook import judge_of

if TYPE_CHECKING:
    from proxy.sql.facts import Facts


def facts_of(text: bytes) -> Facts:
    return analyse(text).statements[0]


@pytest.fixture
def judge() -> Judge:
    return Judge(judge_of("migrator").policy, "migrator")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"EXECUTE p", ""),
        (b"EXPLAIN ANALYZE EXECUTE p", ""),
        (b"EXECUTE q", "session.unknown-prepared-statement"),
        (b"DEALLOCATE p; EXECUTE p", "session.unknown-prepared-statement"),
        (b"DEALLOCATE ALL; EXECUTE p", "session.unknown-prepared-statement"),
        (b"DISCARD ALL; EXECUTE p", "session.unknown-prepared-statement"),
        (b"PREPARE q AS SELECT 1; EXECUTE q", ""),
        (b"DEALLOCATE p; PREPARE p AS SELECT pg_sleep(1)", "default-deny"),
        (b"EXECUTE drops", "migrator.every-row"),
        (b"EXECUTE nested", "session.nested-execute"),
    ],
)
def test_an_execute_is_judged_by_what_it_runs(
    judge: Judge, text: bytes, rule: str
) -> None:
    prepared = {
        "p": facts_of(b"SELECT 1"),
        "drops": facts_of(b"PREPARE drops AS DELETE FROM t"),
        "nested": facts_of(b"EXECUTE p"),
    }
    decision = judge.judge(text, prepared=prepared).decision
    assert (decision.allowed, rule or decision.rule) == (not rule, decision.rule)


def test_the_record_tells_what_an_execute_runs(judge: Judge) -> None:
    judged = judge.judge(
        b"EXECUTE p", prepared={"p": facts_of(b"INSERT INTO t SELECT 1")}
    )
    assert b'"name":"t"' in judged.fragment


def test_what_depends_on_names_is_not_kept(judge: Judge) -> None:
    first = judge.judge(b"EXECUTE p", prepared={"p": facts_of(b"SELECT 1")})
    second = judge.judge(b"EXECUTE p", prepared={"p": facts_of(b"DELETE FROM t")})
    assert first.decision.allowed
    assert not second.decision.allowed


def kept(judge: Judge, text: bytes) -> Judged:
    """The verdict on a text that has come twice."""
    judge.judge(text)
    return judge.judge(text)


def test_a_text_that_comes_again_is_kept_and_no_other(judge: Judge) -> None:
    once = judge.judge(b"SELECT 1")
    first = judge.judge(b"SELECT 1")
    assert first is not once
    assert judge.judge(b"SELECT 1") is first
    assert judge.judge(b"SELECT 1 ") is not first
    assert judge.judge(b"SELECT 1", quarantined=True) is not first


def test_long_texts_are_judged_anew(judge: Judge) -> None:
    text = b"SELECT 1 --" + b"x" * judging.CACHED_TEXT_BYTES
    assert kept(judge, text) is not judge.judge(text)


def test_what_is_used_stays_and_the_rest_goes(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "GENERATION_BYTES", 20_000)
    used, forgotten = kept(judge, b"SELECT 'used'"), kept(judge, b"SELECT 'forgotten'")
    for number in range(60):
        kept(judge, b"SELECT %d" % number)
        assert judge.judge(b"SELECT 'used'") is used
    assert judge.judge(b"SELECT 'forgotten'") is not forgotten


def test_quarantine_and_policy_have_names_of_their_own(judge: Judge) -> None:
    free, quarantined = judge.under(quarantined=False), judge.under(quarantined=True)
    assert free != quarantined
    assert judge.judge(b"SELECT 1", quarantined=True).under == quarantined


SAME_FACTS = (
    b"SELECT a FROM t WHERE b = 1 AND c = 'x'",
    b"SELECT a FROM t WHERE b = 7 AND c = 'y\xc3\xa9\x7f\\'",
    b"SELECT a FROM t WHERE b = 9 AND c = 'z' -- password 'hunter2'",
    b"SELECT a FROM t WHERE b = 3 AND c = '" + b"x" * 70_000 + b"'",
    b"SELECT nextval('a')",
    b"SELECT nextval('b')",
    b"SELECT f('a'), g.h FROM g",
    b"SELECT f('b'), g.h FROM g",
    b"INSERT INTO t VALUES (1)",
    b"INSERT INTO t VALUES (22)",
    b"COPY t FROM STDIN",
    b"copy t from stdin",
    b"EXECUTE nothing(1)",
    b"EXECUTE nothing(2)",
    b"SET work_mem = 1",
    b"SET work_mem = 2",
    b"ALTER ROLE a PASSWORD 'x'",
    b"ALTER ROLE a PASSWORD 'y'",
    b"SELECT 1; SELECT 2",
    b"SELECT 3; SELECT 4",
    b"SELEC 1",
    b"SELEC 2",
    b"",
)


@pytest.mark.parametrize("quarantined", [False, True])
@pytest.mark.parametrize("role", ["developer", "migrator"])
def test_texts_of_the_same_facts_get_the_verdict_and_record_that_each_has(
    role: str, quarantined: bool
) -> None:
    policy = judge_of("migrator").policy
    busy = Judge(policy, role)
    for text in SAME_FACTS * 2:
        known = busy.judge(text, quarantined=quarantined)
        fresh = Judge(policy, role).judge(text, quarantined=quarantined)
        assert known.decision == fresh.decision
        assert known.fragment == fresh.fragment
        assert known.statements == fresh.statements
        assert known.analysis == fresh.analysis
        assert known.copies_in == fresh.copies_in
        assert (known.renames, known.executes) == (fresh.renames, fresh.executes)
        assert (known.kind, known.shadow, known.under, known.text) == (
            fresh.kind,
            fresh.shadow,
            fresh.under,
            text,
        )


def test_facts_that_take_much_memory_are_not_kept(judge: Judge) -> None:
    for number in range(20):
        names = ", ".join(f"t{number}_{n}" for n in range(1_000))
        text = f"SELECT 1 FROM {names}"
        assert judge.judge(text.encode()).decision.allowed
    assert len(judge._free.verdicts) == 0
    for number in range(judging.VERDICTS * 3):
        judge.judge(f"SELECT 1 FROM t{number}".encode())
    assert len(judge._free.verdicts) <= judging.VERDICTS * 2


def test_the_same_facts_are_judged_apart_in_quarantine_and_in_another_judge() -> None:
    policy = judge_of("migrator").policy
    text = b"SELECT pg_sleep(1), a FROM t WHERE b = %d"
    judge = Judge(policy, "migrator")
    assert judge.judge(text % 1).decision.rule != "quarantine"
    assert judge.judge(text % 2, quarantined=True).decision.rule == (
        Judge(policy, "migrator").judge(text % 3, quarantined=True).decision.rule
    )


@pytest.mark.parametrize("text", [b"SELECT a FROM t WHERE b = 1", b"TABLE t", b"BEGIN"])
def test_a_verdict_that_failed_inside_holds_for_that_time_alone(text: bytes) -> None:
    policy = judge_of("developer").policy
    judge = Judge(policy, "developer")
    roles: dict[str, Any] = policy._roles
    whole = roles["developer"]
    roles["developer"] = object()
    try:
        for _ in range(3):
            failed = judge.judge(text)
            assert not failed.decision.allowed
            assert failed.decision.rule == "internal-error"
            assert failed.under != judge.under(quarantined=False), "a Bind asks again"
    finally:
        roles["developer"] = whole
    assert judge.judge(text).decision.allowed
    assert judge.judge(text.replace(b"1", b"2")).decision.allowed
    assert judge.judge(text).under == judge.under(quarantined=False)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_a_text_that_was_too_much_for_once_is_read_anew(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    text = f"SELECT {error.__name__} FROM t WHERE b = 1".encode()
    with monkeypatch.context() as broken:
        broken.setattr(parsing, "_parse", Mock(side_effect=error))
        assert not kept(judge, text).decision.allowed
        assert not kept(judge, text.replace(b"1", b"2")).decision.allowed
    assert judge.judge(text).decision.allowed
    assert judge.judge(text.replace(b"1", b"2")).decision.allowed
