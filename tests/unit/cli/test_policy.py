"""`pgwarden policy show|lint`; for `policy test` see test_cases.py."""

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(POLICY)
    return tmp_path


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
    assert "proofs of migrations: accept\n" in ran.stdout
    assert "when proven: true" in ran.stdout
    assert "unless proven: true" in ran.stdout


def test_lint(folder: Path) -> None:
    path = folder / "tiny.yaml"
    assert RUN.invoke(policy_app, ["lint", str(path)]).exit_code == 0
    path.write_text(POLICY + "lists: {idle: [a]}\n")
    ran = RUN.invoke(policy_app, ["lint", str(path)])
    assert ran.exit_code == 1
    assert 'no rule uses the list "idle"' in ran.stdout
