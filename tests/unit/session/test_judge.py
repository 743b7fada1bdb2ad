"""From a text to its verdict: resolved names, the cache, who may reuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.session import judge as judging
from proxy.session.judge import Judge, Judged
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
