"""Every case of every shipped policy, each as a test of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from proxy.cli.around import Around
from proxy.cli.cases import run_file
from proxy.cli.offline import load_policy
from proxy.policy.cases import load_cases
from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
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
    ("name", "least"), [("production", 560), ("staging", 95), ("development", 30)]
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
    assert lent == ({"hotfix", "writer"} if name == "production" else set())
    assert set(policy.roles) == own | lent | ({"lead"} if lent else set())
    assert not policy.role("auditor").may_login
    assert policy.role("developer").read_only is (name == "production")


def test_what_migrations_have_to_do_with_proofs() -> None:
    said = {
        (name, role): migrations.proofs
        for name in NAMES
        for policy in [load_policy(POLICIES / f"{name}.yaml")]
        for role in policy.roles
        if (migrations := policy.role(role).migrations) is not None
    }
    assert said == {
        ("production", "migrator"): "accept",
        ("staging", "developer"): "record",
        ("staging", "migrator"): "record",
    }


def test_a_hotfix_takes_two_and_is_over_soon() -> None:
    lent = load_policy(POLICIES / "production.yaml").document.model.access
    hotfix = lent.roles["hotfix"]
    assert (hotfix.approvals, hotfix.longest) == (2, "30m")
    assert hotfix.approvers == ["lead"]
    assert "migrator" not in hotfix.requesters  # a job can't say why


HELD_BY_FORBIDS = {
    "migrator.whole-schema",
    "migrator.lost-history",
    "migrator.emptied-history",
    "migrator.alter-history",
    "migrator.catalog",
    "reading.secrets",
}
"""What names the same acts as something that a migration may do, but elsewhere."""


def test_a_proof_permits_nothing_of_what_it_must_not_open() -> None:
    """Also without a single forbid: what is not listed is refused."""
    content = yaml.safe_load((POLICIES / "production.yaml").read_text())
    groups = [*content["rules"].values(), content["roles"]["migrator"]["rules"]]
    for rules in groups:
        rules[:] = [rule for rule in rules if "permit" in rule]
    del content["rules"]["guarding"]
    for role in content["roles"].values():
        role["include"] = [x for x in role.get("include", []) if x != "guarding"]
    policy = Policy(load(yaml.safe_dump(content), source="permits"))
    cases = load_cases((POLICIES / "production.cases.yaml").read_text(), source="x")
    refused = [
        case
        for case in cases.cases
        if case.role == "migrator" and case.proven and case.expect == "deny"
    ]
    tried = 0
    for case in refused:
        if case.rule in HELD_BY_FORBIDS or case.quarantined or case.sql is None:
            continue
        judge = Around("shop", case.circumstances).judge(policy, "migrator")
        decision = judge.judge(case.sql[-1].encode()).decision
        if len(case.sql) == 1:
            tried += 1
            assert not decision.allowed, case.title
    assert tried > 25


def test_what_is_rehearsed_on_staging_is_what_a_proof_opens() -> None:
    """Staging proves no more than it lets pass; a proof opens no more than that."""
    staging = load_policy(POLICIES / "staging.yaml")
    judge = Around("shop").judge(staging, "migrator")
    cases = load_cases((POLICIES / "production.cases.yaml").read_text(), source="x")
    for case in cases.cases:
        if case.proven and case.expect == "allow" and case.sql is not None:
            decision = judge.judge(case.sql[-1].encode()).decision
            assert decision.allowed, case.title


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
