"""`pgwarden policy suggest`: a document on stdout, what it leaves out on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.policy.documents import load
from proxy.policy.lint import lint
from proxy.policy.situation import Circumstances
from proxy.session.judge import Judge
from tests.made_log import BEGIN, MadeLog
from tests.unit.replay.replaying import READING, policy

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with MadeLog(tmp_path / "audit") as log:
        session = log.session(policy(READING), identity="ana")
        for number in range(25):
            session.query(f"SELECT * FROM s.t{number}")
        session.query("SELECT 1 FROM s.u WHERE password = 'x'")
        strange = READING.replace("developer:", "strange:")
        log.session(policy(strange), "strange").query("SELECT 1")
    return tmp_path / "audit"


def suggest(folder: Path, *more: str) -> Result:
    return RUN.invoke(app, ["policy", "suggest", "--log", str(folder), *more])


def test_a_document_that_loads_with_a_heading(folder: Path) -> None:
    ran = suggest(folder)
    assert ran.exit_code == 0
    model = load(ran.stdout, source="x").model
    assert list(model.roles) == [
        "developer",
        "lead",
        "writer",
        "migrator",
        "hotfix",
        "auditor",
        "strange",
    ]
    assert lint(load(ran.stdout, source="x")) == []
    refused = {name: role.login.refuse for name, role in model.roles.items()}
    assert refused == {
        "developer": "",
        "lead": "the draft has no rules for role lead",
        "writer": "the draft has no rules for role writer",
        "migrator": "the draft has no rules for role migrator",
        "hotfix": "the draft has no rules for role hotfix",
        "auditor": "the role auditor has no SQL login",
        "strange": "",
    }
    assert model.roles["developer"].upstream == "reader"
    assert model.roles["developer"].read_only
    assert "from 26 allowed statements,\n# 2025-10-09 to 2025-10-09" in ran.stdout
    assert "# Policy production has no role strange: mend upstream" in ran.stdout
    assert "# No rules for: lead, writer, migrator, hotfix, auditor." in ran.stdout
    assert "# Not read, so not in here: 1 statement, redacted" in ran.stdout
    assert "note: 1 allowed statement not read: redacted" in ran.stderr


def test_what_is_left_out_is_told_in_part(folder: Path) -> None:
    ran = suggest(folder, "--min-count", "2", "--role", "developer")
    lines = [line for line in ran.stderr.splitlines() if line.startswith("left out")]
    assert len(lines) == 11
    assert "relations: read s.t0 (seen once)" in lines[0]
    assert lines[-1] == "left out: 15 more, see the document"


def test_wildcards_when_asked(folder: Path) -> None:
    ran = suggest(folder, "--generalise-schema", "--generalise-settings")
    assert '- "s.*" # 25: ana' in ran.stdout


def test_a_role_is_taken_from_another_policy_when_asked(folder: Path) -> None:
    ran = suggest(folder, "--policy", "staging")
    assert 'upstream: "migrator"' in ran.stdout
    assert "read_only: false" in ran.stdout


BOUND = """
version: 1
name: bound
authentication: [{id: login.all, method: scram-plus}]
access: {roles: {strange: {requesters: [developer], approvers: [developer]}}}
roles:
  strange: {login: permit, upstream: w}
  developer:
    login: permit
    upstream: reader
    limits: {sessions: 5}
    migrations: {proofs: accept}
    rules:
      - id: reads
        permit: {kinds: [read], actions: [select], relations: [{access: [read]}]}
      - id: office
        when: {networks: [10.0.0.0/8]}
        permit: {kinds: [insert]}
      - id: weekdays
        unless: {during: [{days: [sat, sun], timezone: UTC}]}
        permit: {kinds: [delete]}
      - id: trial
        forbid: {relations: [{access: [read], names: [pay]}]}
        reason: on trial
        shadow: {until: 2099-01-01}
"""


def test_what_a_draft_does_not_say_is_told(tmp_path: Path) -> None:
    """Hours, networks, applications, trials, and whole sections of the policy."""
    path = tmp_path / "bound.yaml"
    path.write_text(BOUND)
    with MadeLog(tmp_path / "audit") as log:
        bound = policy(BOUND)
        around = Circumstances("10.0.0.1", "psql", BEGIN)
        situation = bound.situation("developer", around)
        judge = Judge(bound, "developer", database="shop", situation=situation)
        session = log.session(judge, identity="ana")
        assert session.query("SELECT * FROM pay")
        assert session.query("SELECT * FROM orders")
    said = suggest(tmp_path / "audit", "--policy", str(path)).stdout
    heading = said.partition("version: 1")[0]
    assert (
        "Permitted here: 1 statement that rule trial, in shadow, would have refused."
        in heading
    )
    assert "Of policy bound these do not: office, weekdays." in heading
    assert "On trial in policy bound, and not in here: trial." in heading
    assert "also says authentication, access, limits, migrations" in heading
    assert '"pay" # 1: ana' in said
    load(said, source="x")


def test_nothing_is_told_of_what_is_not_there(folder: Path) -> None:
    heading = suggest(folder, "--policy", "development").stdout.partition("version")[0]
    for word in ("shadow", "trial", "at any time"):
        assert word not in heading


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--identity", "nobody"], "the log holds no allowed statement of that kind"),
        (["--log", "gone"], '"gone" is not a folder'),
        (["--policy", "gone.yaml"], "gone.yaml: no such file"),
        (["--until", "x"], '"x" is not a time'),
    ],
)
def test_mistakes_are_told(folder: Path, more: list[str], said: str) -> None:
    ran = suggest(folder, *more)
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"pgwarden: {said}")
