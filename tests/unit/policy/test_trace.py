"""The tree of reasons: it agrees with the decision, and names each rule that speaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from proxy.policy.acts import ActionAct, KindAct
from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy, UnknownRoleError
from proxy.policy.trace import ActTrace, Standing, Trace, trace
from proxy.sql.analyse import analyse
from proxy.sql.facts import Facts, Kind
from tests.unit.policy.test_two_evaluators import (
    EFFECTS,
    contexts,
    documents,
    made_facts,
)

TEXT = """
version: 1
name: traced
roles:
  r:
    login: permit
    upstream: u
    rules:
      - id: reads
        permit:
          kinds: [read, session]
          actions: [select, set]
          relations: [{access: read}]
          settings: ["*"]
        in_quarantine: true
      - {id: writes, permit: {kinds: [delete], relations: [{access: delete}]}}
      - {id: on-shop, when: {databases: [shop]}, permit: {actions: [delete]}}
      - {id: no-hr, forbid: {relations: [{access: "*", names: hr.*}]}, reason: private}
      - id: worse
        forbid: {relations: [{access: delete, names: hr.pay}]}
        reason: wages
        quarantine: true
  away: {login: {refuse: elsewhere}}
"""


def traced(sql: str, role: str = "r", **context: object) -> Trace:
    statements = analyse(sql.encode()).statements
    where = Context(**context)  # type: ignore[arg-type]
    return trace(Policy(load(TEXT, source="x")), role, statements, where)


def ids(found: ActTrace) -> dict[str, list[str]]:
    return {
        key: [rule.id for rule in getattr(found, key)]
        for key in ("forbidden_by", "permitted_by", "suspended", "elsewhere")
        if getattr(found, key)
    }


def act_of(found: Trace, act: object) -> ActTrace:
    return next(each for each in found.statements[0].acts if each.act == act)


@settings(max_examples=100, deadline=None)
@given(documents(), st.lists(made_facts, max_size=4), contexts)
def test_it_agrees_with_the_decision(
    text: str, statements: list[Facts], context: Context
) -> None:
    policy = Policy(load(text, source="made"), effects=EFFECTS)
    decision = policy.decide("r", statements, context)
    found = trace(policy, "r", statements, context, effects=EFFECTS)
    assert (found.allowed, found.rule, found.quarantines, found.statement) == (
        decision.allowed,
        decision.rule,
        decision.quarantines,
        decision.statement,
    )
    for each in found.statements:
        alone = policy.decide("r", [each.facts], context)
        assert (each.allowed, each.rule, each.quarantines) == (
            alone.allowed,
            alone.rule,
            alone.quarantines,
        )


def test_it_agrees_where_there_is_no_login() -> None:
    policy = Policy(load(TEXT, source="x"))
    for sql in ("", "SELECT 1", "SELECT 1; SET client_encoding TO latin1"):
        statements = analyse(sql.encode()).statements
        decision = policy.decide("away", statements, Context())
        found = trace(policy, "away", statements, Context())
        assert (found.allowed, found.rule) == (decision.allowed, decision.rule)


def test_a_permitted_act_names_its_rule() -> None:
    found = traced("SELECT 1")
    assert found.allowed
    kind = act_of(found, KindAct(Kind.READ))
    assert kind.standing is Standing.PERMITTED
    assert ids(kind) == {"permitted_by": ["reads"]}


def test_a_rule_for_other_statements_is_named_as_such() -> None:
    found = traced("DELETE FROM public.t", database="test")
    action = act_of(found, ActionAct("delete"))
    assert (found.rule, action.standing) == ("default-deny", Standing.UNLISTED)
    assert ids(action) == {"elsewhere": ["on-shop"]}


def test_quarantine_suspends_permits() -> None:
    found = traced("DELETE FROM public.t", quarantined=True)
    kind = act_of(found, KindAct(Kind.DELETE))
    assert (found.rule, kind.standing) == ("quarantine", Standing.SUSPENDED)
    assert ids(kind) == {"suspended": ["writes"]}


def test_every_forbid_is_named_and_the_quarantining_one_decides() -> None:
    found = traced("SELECT 1; DELETE FROM hr.pay", database="shop")
    assert (found.rule, found.quarantines, found.statement) == ("worse", True, 1)
    (relation,) = (
        each for each in found.statements[1].acts if each.standing is Standing.FORBIDDEN
    )
    assert ids(relation) == {
        "forbidden_by": ["no-hr", "worse"],
        "permitted_by": ["writes"],
    }


def test_what_no_policy_can_permit() -> None:
    found = traced("SET client_encoding TO latin1")
    assert found.rule == "pgwarden.text"
    assert Standing.NEVER in {each.standing for each in found.statements[0].acts}


def test_an_unknown_role() -> None:
    with pytest.raises(UnknownRoleError, match='no role "x"'):
        traced("SELECT 1", role="x")
