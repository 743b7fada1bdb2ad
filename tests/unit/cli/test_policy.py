"""`pgwarden policy test|show|lint`."""

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
roles:
  r:
    login: permit
    upstream: u
    rules:
      - id: r.read
        permit:
          kinds: read
          actions: select
          relations: [{access: read, except_names: secret}]
        reason: reads
"""
CASES = """version: 1
policy: tiny.yaml
cases:
  - {role: r, expect: allow, rule: r.read, sql: SELECT 1}
  - {role: r, expect: deny, sql: DROP TABLE t, audit: {decision: deny}}
  - {role: r, expect: deny, sql: SELECT * FROM secret}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(POLICY)
    (tmp_path / "tiny.cases.yaml").write_text(CASES)
    return tmp_path


def test_cases_that_pass(folder: Path) -> None:
    ran = RUN.invoke(policy_app, ["test", str(folder / "tiny.cases.yaml")])
    assert ran.exit_code == 0, ran.output
    assert " 3 " in ran.stdout


def test_a_case_that_fails_is_named_with_its_line(folder: Path) -> None:
    path = folder / "tiny.cases.yaml"
    path.write_text(CASES + "  - {role: r, expect: allow, sql: TRUNCATE t}\n")
    ran = RUN.invoke(policy_app, ["test", str(path)])
    assert ran.exit_code == 1
    assert f"{path}:7: r: TRUNCATE t" in ran.stdout
    assert "expected allow, got deny (default-deny:" in ran.stdout


def test_machines_get_json(folder: Path) -> None:
    ran = RUN.invoke(policy_app, ["test", "--json", str(folder / "tiny.cases.yaml")])
    found = json.loads(ran.stdout)
    assert (found["passed"], found["failed"]) == (3, 0)
    assert [each["line"] for each in found["cases"]] == [4, 5, 6]


def test_another_policy_may_be_tried_on_the_same_cases(folder: Path) -> None:
    other = folder / "other.yaml"
    other.write_text(POLICY.replace("kinds: read", "kinds: ddl"))
    arguments = ["test", "--policy", str(other), str(folder / "tiny.cases.yaml")]
    assert RUN.invoke(policy_app, arguments).exit_code == 1


def test_files_that_do_not_load(folder: Path) -> None:
    path = folder / "tiny.cases.yaml"
    path.write_text(CASES.replace("tiny.yaml", "gone.yaml"))
    ran = RUN.invoke(policy_app, ["test", str(path)])
    assert ran.exit_code == 2
    assert "gone.yaml: no such file" in ran.stderr


def test_show(folder: Path) -> None:
    path = str(folder / "tiny.yaml")
    ran = RUN.invoke(policy_app, ["show", "--policy", path])
    assert ran.exit_code == 0
    assert "relations: read except secret" in ran.stdout
    assert "upstream login u, read-only" in ran.stdout
    ran = RUN.invoke(policy_app, ["show", "--policy", path, "--json"])
    assert json.loads(ran.stdout)["document"]["name"] == "tiny"
    ran = RUN.invoke(policy_app, ["show", "--policy", path, "--role", "q"])
    assert ran.exit_code == 2


def test_show_spells_settings_out_and_says_who_may_not_log_in() -> None:
    ran = RUN.invoke(policy_app, ["show"])
    assert "application_name" in ran.stdout
    assert "no SQL login: the role auditor has no SQL login" in ran.stdout


def test_lint(folder: Path) -> None:
    path = folder / "tiny.yaml"
    assert RUN.invoke(policy_app, ["lint", str(path)]).exit_code == 0
    path.write_text(POLICY + "lists: {idle: [a]}\n")
    ran = RUN.invoke(policy_app, ["lint", str(path)])
    assert ran.exit_code == 1
    assert 'no rule uses the list "idle"' in ran.stdout
