"""Lent roles that nobody could borrow, or nobody could decide on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.auth.secrets import make_secret
from proxy.cli.policy import policy_app
from proxy.policy.documents import load
from proxy.policy.lint import lint
from proxy.policy.problems import PolicyError
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
version: 1
name: x
access:
  roles:
    writer: {LENT}
roles:
  developer: {login: permit, upstream: u, rules: [{id: d, permit: {kinds: [read]}}]}
  lead: {login: permit, upstream: u, rules: [{id: l, permit: {kinds: [read]}}]}
  writer: {login: permit, upstream: w, rules: [{id: w, permit: {kinds: [update]}}]}
  auditor: {login: {refuse: elsewhere}}
"""
USUAL = "requesters: [developer], approvers: [lead]"


def found(lent: str, people: dict[str, str] | None = None, more: str = "") -> list[str]:
    text = POLICY.replace("LENT", lent) + more
    problems = lint(load(text, source="x"), people=people)
    return [f"{problem.line}: {problem.message}" for problem in problems]


def test_a_role_that_can_be_lent_is_no_finding() -> None:
    assert found(USUAL) == []
    assert found(f"{USUAL}, longest: 1d, approvals: 5") == []
    assert lint(load(policy_path("production").read_text(), source="x")) == []


@pytest.mark.parametrize(
    ("lent", "said"),
    [
        (
            "requesters: [developer], approvers: [auditor]",
            '5: "auditor" can\'t approve, as the role has no SQL '
            "login; so nobody can approve",
        ),
        (
            "requesters: [developer], approvers: [lead, auditor]",
            '5: "auditor" can\'t approve, as the role has no SQL login',
        ),
        (
            "requesters: [auditor], approvers: [lead]",
            '5: "auditor" can\'t ask, as the role has no SQL login; so nobody can ask',
        ),
        (
            f"{USUAL}, reviewers: [auditor]",
            '5: "auditor" can\'t review, as the role has no SQL '
            "login; so nobody can review",
        ),
        (
            f"{USUAL}, longest: 4s",
            "5: for 4s at most, and a loan is for 5s at least",
        ),
    ],
)
def test_what_can_not_be_meant(lent: str, said: str) -> None:
    line, _, rest = said.partition(": ")
    assert found(lent) == [f'{line}: role "writer" is lent: {rest}']


@pytest.mark.parametrize(
    ("lent", "said"),
    [
        ("requesters: [developer], approvers: [leed]", 'did you mean "lead"'),
        ("requesters: [developper], approvers: [lead]", 'did you mean "developer"'),
        ("requesters: [developer], approvers: [writer]", "is lent itself"),
        ("requesters: [writer], approvers: [lead]", "is lent itself"),
        ("requesters: [], approvers: [lead]", "requesters"),
        ("requesters: [developer], approvers: []", "approvers"),
        (f"{USUAL}, longest: 0m", "no length of time"),
        (f"{USUAL}, longest: '0'", "no length of time"),
        (f"{USUAL}, longest: 25h", "at most 24h"),
        (f"{USUAL}, approvals: 0", "approvals"),
        (f"{USUAL}, pending_for: 0h", "no length of time"),
    ],
)
def test_what_does_not_load_at_all(lent: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        found(lent)
    assert said in caught.value.message


def test_a_role_that_is_lent_and_not_there() -> None:
    text = POLICY.replace("LENT", USUAL).replace("    writer: {req", "    writr: {req")
    with pytest.raises(PolicyError, match='no role "writr"; did you mean "writer"'):
        load(text, source="x")


@pytest.mark.parametrize(
    ("rules", "is_out"),
    [
        ("{id: a, when: {roles: [developer]}, method: scram}", True),
        ("{id: a, method: scram}", False),
        ("{id: a, method: reject, reason: x}, {id: b, method: scram}", True),
        ("{id: a, when: {tls: false}, method: reject, reason: x}, "
         "{id: b, method: scram}", False),
        ("{id: a, when: {identities: [lea]}, method: scram}, "
         "{id: b, method: reject, reason: x}", False),
    ],
)  # fmt: skip
def test_approvers_whom_no_login_rule_lets_in(rules: str, is_out: bool) -> None:
    said = found(USUAL, more=f"authentication: [{rules}]\n")
    told = any(
        '"lead" can\'t approve, as no rule of authentication lets it in; so nobody'
        in each
        for each in said
    )
    assert told is is_out, said


@pytest.mark.parametrize(
    ("lent", "people", "said"),
    [
        (USUAL, {"dev": "developer", "lea": "lead"}, []),
        (USUAL, {"lea": "lead"}, ["no identity could ask for it"]),
        (
            USUAL,
            {"dev": "developer"},
            ['"dev" needs 1 approval, and others could give none'],
        ),
        (
            f"{USUAL}, approvals: 2",
            {"dev": "developer", "lea": "lead"},
            ['"dev" needs 2 approvals, and others could give 1'],
        ),
        # The only lead may ask, and then nobody else is left to say yes.
        (
            "requesters: [developer, lead], approvers: [lead]",
            {"dev": "developer", "lea": "lead"},
            ['"lea" needs 1 approval, and others could give none'],
        ),
        (
            f"{USUAL}, reviewers: [developer]",
            {"dev": "developer", "lea": "lead"},
            ['nobody else could review what was lent to "dev"'],
        ),
    ],
)
def test_who_is_left_under_four_eyes(
    lent: str, people: dict[str, str], said: list[str]
) -> None:
    wanted = [f'5: role "writer" is lent: {each}' for each in said]
    assert found(lent, people) == wanted


def test_from_a_shell(tmp_path: Path) -> None:
    """An identity that is disabled, or past its end, approves nothing."""
    policy, people = tmp_path / "policy.yaml", tmp_path / "people.yaml"
    policy.write_text(POLICY.replace("LENT", USUAL))
    secret = make_secret("x", salt=bytes(16)).encode()
    document = f"""\
version: 1
identities:
  - {{name: dev, role: developer, secret: "{secret}"}}
  - {{name: lea, role: lead, secret: "{secret}", LEA}}
"""
    for lea, status in (
        ("networks: []", 0),
        ("disabled: true", 1),
        ("valid_until: 2020-01-01T00:00:00Z", 1),
    ):
        people.write_text(document.replace("LEA", lea))
        command = ["lint", str(policy), "--identities", str(people)]
        ran = CliRunner().invoke(policy_app, command)
        assert ran.exit_code == status, ran.output
        assert ("others could give none" in ran.stdout) is bool(status)
