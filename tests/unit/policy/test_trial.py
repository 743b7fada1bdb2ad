"""Rules in shadow: they refuse nothing, and nothing that they would refuse is lost."""

from __future__ import annotations

import json

import pytest

from proxy.audit.judged import judged_fragment
from proxy.policy.decision import Context, Decision, ShadowRefusal
from proxy.policy.documents import PolicyError, load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from proxy.policy.situation import Circumstances
from proxy.policy.trace import trace
from proxy.policy.windows import moment_of
from proxy.sql.analyse import analyse

TEXT = """
version: 1
name: trial
roles:
  r:
    login: permit
    upstream: u
    rules:
      - id: read
        permit:
          kinds: [read, session]
          actions: [select, set]
          functions: [{effects: none}]
          relations: [{access: read}]
        in_quarantine: true
      - id: sleep
        shadow: {until: 2026-12-31}
        permit: {functions: [{effects: sleep}], settings: [jit, client_encoding]}
      - id: no-pay
        shadow: {until: "2026-12-31T18:00+01:00"}
        forbid: {relations: [{access: "*", names: pay}]}
        reason: private
        quarantine: true
      - id: no-max
        forbid: {functions: [max]}
        reason: no sums
"""
POLICY = Policy(load(TEXT, source="trial.yaml"))
TRIAL = moment_of("2026-12-31T16:59:59Z")
SLEEP_TRIAL = moment_of("2026-12-31T23:59:59Z")
OVER = moment_of("2027-01-01T00:00Z")


def decide(sql: str, at: float | None, *, quarantined: bool = False) -> Decision:
    situation = POLICY.situation("r", Circumstances(at=at))
    context = Context("shop", quarantined=quarantined, situation=situation)
    statements = analyse(sql.encode()).statements
    decision = POLICY.decide("r", statements, context)
    found = trace(POLICY, "r", statements, context)
    assert (found.allowed, found.rule, found.quarantines) == (
        decision.allowed,
        decision.rule,
        decision.quarantines,
    )
    return decision


def told(sql: str, at: float | None = TRIAL, *, quarantined: bool = False) -> str:
    decision = decide(sql, at, quarantined=quarantined)
    shadow = f" shadow {decision.shadow.rule}" if decision.shadow else ""
    return f"{'allow' if decision.allowed else 'deny'} {decision.rule}{shadow}"


@pytest.mark.parametrize(
    ("sql", "at", "expected"),
    [
        ("select * from pay", TRIAL, "allow read shadow no-pay"),
        ("select * from pay", TRIAL + 1, "deny no-pay"),
        ("select * from pay", None, "deny no-pay"),
        ("select pg_sleep(1)", TRIAL, "allow sleep shadow sleep"),
        ("select pg_sleep(1)", SLEEP_TRIAL, "allow sleep shadow sleep"),
        ("select pg_sleep(1)", OVER, "deny default-deny"),
        ("select pg_sleep(1)", None, "deny default-deny"),
        ("select 1", TRIAL, "allow read"),
        ("select 1", OVER, "allow read"),
        # refused anyway: nothing is on trial
        ("select max(a) from pay", TRIAL, "deny no-max"),
        ("insert into pay values (1)", TRIAL, "deny default-deny"),
        # of several statements the one that would quarantine
        ("select pg_sleep(1); select * from pay", TRIAL, "allow sleep shadow no-pay"),
    ],
)
def test_what_would_be_refused(sql: str, at: float | None, expected: str) -> None:
    assert told(sql, at) == expected


def test_a_quarantine_on_trial_is_told_and_does_not_begin() -> None:
    decision = decide("select * from pay", TRIAL)
    assert not decision.quarantines
    assert decision.shadow == ShadowRefusal(
        "no-pay",
        'reading "pay" is not allowed for role r: private',
        quarantines=True,
    )
    assert decide("select * from pay", OVER).quarantines
    assert told("select * from pay", quarantined=True) == "allow read shadow no-pay"


@pytest.mark.parametrize(
    "sql", ["set client_encoding = 'sjis'", "set standard_conforming_strings = off"]
)
def test_what_no_policy_can_permit_no_trial_can_free(sql: str) -> None:
    everything = TEXT.replace(
        "permit: {functions: [{effects: sleep}], settings: [jit, client_encoding]}",
        "permit: {everything: true}",
    )
    for text in (TEXT, everything):
        policy = Policy(load(text, source="x"))
        situation = policy.situation("r", Circumstances(at=TRIAL))
        context = Context("shop", situation=situation)
        decision = policy.decide("r", analyse(sql.encode()).statements, context)
        assert not decision.allowed
        assert decision.shadow is None
    trouble = analyse(b"selct").trouble
    assert trouble is not None
    assert not POLICY.decide_trouble("r", trouble).allowed


def test_it_ends_at_its_instant() -> None:
    situations = POLICY.role("r").situations
    assert situations.of(Circumstances(at=TRIAL - 3600)).until == TRIAL + 1
    assert situations.of(Circumstances(at=TRIAL + 1)).until == OVER


def test_a_startup_setting_on_trial() -> None:
    for at, is_allowed in ((TRIAL, True), (OVER, False)):
        situation = POLICY.situation("r", Circumstances(at=at))
        context = Context("shop", situation=situation)
        decision = POLICY.decide_setting("r", "jit", "off", context)
        assert decision.allowed is is_allowed
        assert (decision.shadow is not None) is is_allowed


def test_the_record_says_it() -> None:
    sql = b"select * from pay where a = 'x'"
    decision = decide(sql.decode(), TRIAL)
    record = json.loads(b"{%b}" % judged_fragment(analyse(sql), decision))
    assert record["decision"] == "allow"
    assert record["shadow"] == {
        "rule": "no-pay",
        "reason": 'reading "pay" is not allowed for role r: private',
        "quarantines": True,
    }
    plain = judged_fragment(analyse(b"select 1"), decide("select 1", TRIAL))
    assert b"shadow" not in plain


def test_a_name_that_is_not_utf8_is_spelled_out_there_too() -> None:
    shadow = ShadowRefusal("no-pay", "x\udcff" * 3000)
    decision = Decision(allowed=True, rule="read", reason="x\udcff", shadow=shadow)
    record = json.loads(b"{%b}" % judged_fragment(analyse(b"select 1"), decision))
    assert record["shadow"]["reason"].startswith("x\\xff")
    assert len(record["shadow"]["reason"]) <= 5_000


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        ("{}", 'key "until" is missing'),
        ("true", "must be a mapping"),
        ("{until: soon}", '"soon" is no end of a trial'),
        ("{until: 2026-12-31T18:00}", "an instant with its offset"),
        ("{until: 9999-12-31}", "never comes"),
        ("{till: 2026-12-31}", 'did you mean "until"?'),
    ],
)
def test_a_trial_without_an_end_is_refused_with_its_line(
    shadow: str, said: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load(TEXT.replace("{until: 2026-12-31}", shadow), source="x.yaml")
    assert "x.yaml:17: " in str(caught.value)
    assert said in str(caught.value)


def test_lint_names_trials_that_are_over_or_too_long() -> None:
    document = load(TEXT, source="x")
    assert not lint(document, now=moment_of("2026-11-26T00:00Z"))
    long, _ = (each.message for each in lint(document, now=moment_of("2026-01-01T00Z")))
    assert long == (
        'rule "sleep" is in shadow until 2026-12-31, longer than 90 days: nobody will '
        "remember the trial"
    )
    permit, forbid = (each.message for each in lint(document, now=OVER))
    assert permit.startswith('rule "sleep" was in shadow until 2026-12-31, and permits')
    assert "refuses since then: remove its shadow" in forbid


def test_lint_takes_a_rule_on_trial_for_no_wall() -> None:
    twice = TEXT + (
        "      - id: again\n        forbid: {relations: [{access: read, names: pay}]}\n"
        "        reason: private\n        quarantine: true\n"
    )
    assert not lint(load(twice, source="x"))
    decided = Policy(load(twice, source="x"))
    situation = decided.situation("r", Circumstances(at=TRIAL))
    statements = analyse(b"select * from pay").statements
    context = Context("shop", situation=situation)
    assert decided.decide("r", statements, context).rule == "again"
