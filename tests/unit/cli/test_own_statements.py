"""What pgwarden answers itself, offline: the same decision as on the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from tests.unit.session.playbook import judge_of

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.session.judge import Judge

RUN = CliRunner()
REQUEST = "CALL pgwarden.request_access('writer', '30m', 'INC-42: fix order 17')"
TEXTS = {
    REQUEST: "access.own-statement",
    "SHOW pgwarden.access": "access.own-statement",
    "CALL pgwarden.approve()": "access.malformed",
    "SHOW pgwarden.nothing": "access.unknown",
    "CALL other.approve('x')": "developer.code",
}


@pytest.mark.parametrize(("text", "rule"), TEXTS.items())
def test_check_and_explain_say_what_the_wire_says(
    text: str, rule: str, tmp_path: Path
) -> None:
    judge: Judge = judge_of("developer")
    decision = judge.judge(text.encode()).decision
    assert decision.rule == rule
    file = tmp_path / "one.sql"
    file.write_text(text)
    checked = RUN.invoke(app, ["check", "--json", str(file)])
    assert f'"{rule}"' in checked.stdout
    assert checked.exit_code == (0 if decision.allowed else 1)
    lines = RUN.invoke(
        app, ["check", "--jsonl", "-"], input=json.dumps({"id": "1", "sql": text})
    )
    assert json.loads(lines.stdout)["rule"] == rule
    explained = RUN.invoke(app, ["explain", text])
    assert f"rule: {rule}" in explained.stdout
    assert ("developer.code" in explained.stdout) == (rule == "developer.code")


def test_each_statement_of_a_file_is_sent_alone(tmp_path: Path) -> None:
    file = tmp_path / "two.sql"
    file.write_text(f"SELECT 1;\n{REQUEST};\n")
    assert RUN.invoke(app, ["check", str(file)]).exit_code == 0
