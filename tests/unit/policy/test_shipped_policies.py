"""Every case of every shipped policy, each as a test of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.cli.cases import run_file
from proxy.cli.offline import load_policy
from proxy.policy.decision import Context
from proxy.policy.lint import lint
from proxy.sql.facts import Facts, Flag, Kind

if TYPE_CHECKING:
    from proxy.policy.cases import CaseResult

POLICIES = Path(__file__).parents[3] / "policies"
NAMES = ("production", "staging", "development")
RESULTS = [
    result for name in NAMES for result in run_file(POLICIES / f"{name}.cases.yaml")
]


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(each, id=f"{Path(each.source).name}:{each.line}")
        for each in RESULTS
    ],
)
def test_case(result: CaseResult) -> None:
    assert result.passed, "\n".join([result.role, result.title, *result.failures])


@pytest.mark.parametrize(
    ("name", "least"), [("production", 360), ("staging", 95), ("development", 30)]
)
def test_there_are_enough(name: str, least: int) -> None:
    own = [each for each in RESULTS if Path(each.source).name == f"{name}.cases.yaml"]
    assert len(own) >= least
    assert {each.decided for each in own} == {"allow", "deny"}


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_policy_has_nothing_idle(name: str) -> None:
    assert list(lint(load_policy(POLICIES / f"{name}.yaml").document)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_roles(name: str) -> None:
    policy = load_policy(POLICIES / f"{name}.yaml")
    assert policy.name == name
    own = {"developer", "migrator", "auditor"}
    lent = set(policy.document.model.access.roles)
    assert lent == ({"writer"} if name == "production" else set())
    assert set(policy.roles) == own | lent | ({"lead"} if lent else set())
    assert not policy.role("auditor").may_login
    assert policy.role("developer").read_only is (name == "production")


NETS = {("production", "migrator"): {"migrator.destructive"}}
"""Rules that no statement of today reaches: see the test below."""


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_decides_a_case_of_each_of_its_roles(name: str) -> None:
    policy = load_policy(POLICIES / f"{name}.yaml")
    for role in policy.roles:
        own = [
            each
            for each in RESULTS
            if each.role == role and Path(each.source).name == f"{name}.cases.yaml"
        ]
        assert own, f"{role} has no case"
        idle = {rule.id for rule in policy.role(role).rules} - {r.rule for r in own}
        assert idle == NETS.get((name, role), set()), role


def test_what_no_other_rule_names_but_can_lose_data_is_caught() -> None:
    policy = load_policy(POLICIES / "production.yaml")
    facts = Facts(
        kind=Kind.DDL,
        kinds=frozenset({Kind.DDL}),
        actions=("alter table add something new",),
        verb="AlterTableStmt",
        flags=frozenset({Flag.DESTRUCTIVE}),
    )
    decision = policy.decide("migrator", [facts], Context())
    assert decision.rule == "migrator.destructive"
    assert decision.quarantines
