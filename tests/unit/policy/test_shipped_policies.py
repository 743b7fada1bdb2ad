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
    ("name", "least"), [("production", 120), ("staging", 30), ("development", 15)]
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
    assert policy.roles == ("developer", "migrator", "auditor")
    assert not policy.role("auditor").may_login
    assert policy.role("developer").read_only is (name == "production")


def test_every_forbid_of_production_has_a_case() -> None:
    policy = load_policy(POLICIES / "production.yaml")
    decided = {each.rule for each in RESULTS if "production" in each.source}
    forbids = {
        rule.id
        for role in policy.roles
        for rule in policy.role(role).rules
        if not rule.permits
    }
    assert forbids - decided == {"migrator.destructive"}, "the net below: see next"


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
