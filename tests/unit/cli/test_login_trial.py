"""`pgwarden policy login`: the rule that fits, and why others do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.cli.policy import policy_app

if TYPE_CHECKING:
    from pathlib import Path

RUN = CliRunner()
POLICY = """
version: 1
name: tiny
authentication:
  - {id: l.tls, when: {tls: false}, method: reject, reason: use TLS}
  - {id: l.db, when: {databases: hr}, method: reject, reason: it is closed}
  - {id: l.name, when: {identities: "x*"}, method: scram}
  - {id: l.net, when: {networks: 10.0.0.0/8}, method: scram-plus}
  - {id: l.role, when: {roles: migrator}, method: certificate}
  - {id: l.people, when: {roles: developer}, method: scram}
roles:
  developer: {login: {refuse: no}}
  migrator: {login: {refuse: no}}
  auditor: {login: {refuse: no}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(POLICY)
    return str(path)


def test_each_rule_says_why_it_does_not_fit(policy: str) -> None:
    ran = RUN.invoke(
        policy_app,
        ["login", "--policy", policy, "--user", "ana", "--role", "developer"],
    )
    assert ran.exit_code == 0
    assert ran.stdout.splitlines() == [
        "  l.tls does not fit, by its tls: it is encrypted",
        '  l.db does not fit, by its databases: it asks for "postgres"',
        '  l.name does not fit, by its identities: it calls itself "ana"',
        "  l.net does not fit, by its networks: it comes from 127.0.0.1",
        "  l.role does not fit, by its roles: its role is developer",
        "  l.people fits",
        "ana: logs in by scram (rule l.people)",
        "a name that nobody has: logs in by scram (rule l.people)",
    ]


@pytest.mark.parametrize(
    ("options", "method", "rule", "status"),
    [
        (["--no-tls"], "reject", "l.tls", 1),
        (["--database", "hr"], "reject", "l.db", 1),
        (["--address", "10.1.2.3"], "scram-plus", "l.net", 0),
        (["--role", "migrator"], "certificate", "l.role", 0),
        (["--role", "auditor"], "reject", "default-deny", 1),
        ([], "reject", "default-deny", 1),
    ],
)
def test_the_answer_for_machines(
    policy: str, options: list[str], method: str, rule: str, status: int
) -> None:
    ran = RUN.invoke(
        policy_app,
        ["login", "--policy", policy, "--user", "ana", "--json", *options],
    )
    assert ran.exit_code == status
    told = json.loads(ran.stdout)
    assert (told["method"], told["rule"]) == (method, rule)
    assert told["tried"][0]["rule"] == "l.tls"


def test_without_rules_it_is_the_password() -> None:
    ran = RUN.invoke(policy_app, ["login", "--user", "ana"])
    assert ran.exit_code == 0
    assert ran.stdout == "ana: logs in by scram (the policy has no login rules)\n"


@pytest.mark.parametrize("wrong", [["--role", "developr"], ["--address", "office"]])
def test_a_mistake_is_one_line(policy: str, wrong: list[str]) -> None:
    ran = RUN.invoke(policy_app, ["login", "--policy", policy, "--user", "a", *wrong])
    assert ran.exit_code == 2
    assert len(ran.stderr.splitlines()) == 1
