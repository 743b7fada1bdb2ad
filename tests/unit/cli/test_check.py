"""`pgwarden check`: exit status, line numbers, and what people and machines read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from proxy.cli.check import check, judge_text
from proxy.cli.offline import load_policy
from proxy.session.judge import Judge

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(check)
RUN = CliRunner()


def test_statements_get_their_own_line() -> None:
    text = (
        "-- first\nSELECT 'é';\n\n/* then\n */ DROP TABLE t;SELECT 2;\n"
        "PREPARE p AS SELECT 1; EXECUTE p"
    )
    found = judge_text(Judge(load_policy(None), "developer"), text.encode(), "a.sql")
    assert [(each.line, each.statement, each.decision) for each in found] == [
        (2, "SELECT 'é'", "allow"),
        (5, "DROP TABLE t", "deny"),
        (5, "SELECT 2", "allow"),
        (6, "PREPARE p AS SELECT 1", "allow"),
        (6, "EXECUTE p", "allow"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        (b"SELECT 1;\nSELECT ,", 2, "not-understood"),
        (b"SELECT 1;\nSELECT \0", 2, "not-understood"),
        (b"EXECUTE p", 1, "session.unknown-prepared-statement"),
        (b"\xff", 1, "not-understood"),
    ],
)
def test_a_text_that_can_not_be_split_is_one_verdict(
    text: bytes, line: int, rule: str
) -> None:
    (found,) = judge_text(Judge(load_policy(None), "developer"), text, "a.sql")
    assert (found.line, found.rule, found.decision) == (line, rule, "deny")


def test_an_empty_file_has_nothing_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- nothing\n")
    ran = RUN.invoke(app, [str(tmp_path / "a.sql")])
    assert (ran.exit_code, ran.stdout) == (0, "no statement found\n")


@pytest.mark.parametrize(
    ("sql", "role", "status"),
    [
        ("SELECT 1", "developer", 0),
        ("CREATE TABLE t (a int)", "developer", 1),
        ("CREATE TABLE t (a int)", "migrator", 0),
        ("SELECT 1; DROP TABLE t", "migrator", 1),
    ],
)
def test_exit_status(tmp_path: Path, sql: str, role: str, status: int) -> None:
    (tmp_path / "a.sql").write_text(sql)
    ran = RUN.invoke(app, ["--role", role, str(tmp_path / "a.sql")])
    assert ran.exit_code == status, ran.output
    assert (" refused for role " in ran.stdout) is bool(status)
    assert "without the database's catalog" in ran.stderr


def test_each_file_stands_above_its_statements(tmp_path: Path) -> None:
    first, second = tmp_path / f"{'long' * 30}.sql", tmp_path / "b.sql"
    first.write_text("SELECT 1;\nSELECT 2")
    second.write_text("DROP TABLE t")
    ran = RUN.invoke(app, [str(first), str(second)])
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines[:5] == [
        [str(first)],
        ["1", "allow", "reading.statements", "SELECT", "1"],
        ["2", "allow", "reading.statements", "SELECT", "2"],
        [str(second)],
        ["1", "deny", "developer.schema", "DROP", "TABLE", "t"],
    ]
    assert "1 of 3 statements refused" in ran.stdout


def test_stdin_and_json() -> None:
    ran = RUN.invoke(app, ["--json", "-"], input="SELECT 1;\nDROP TABLE t;")
    assert ran.exit_code == 1
    found = json.loads(ran.stdout)
    assert found["allowed"] is False
    assert found["catalog"] is None
    assert [each["decision"] for each in found["statements"]] == ["allow", "deny"]
    assert found["statements"][1]["line"] == 2


def test_jsonl() -> None:
    text = '{"id": "a", "sql": "SELECT 1"}\nnonsense\n'
    ran = RUN.invoke(app, ["--jsonl", "-"], input=text)
    assert ran.exit_code == 1
    assert [json.loads(each)["decision"] for each in ran.stdout.splitlines()] == [
        "allow",
        "deny",
    ]
    ran = RUN.invoke(app, ["--jsonl", "-"], input='{"id": "a", "sql": "SELECT 1"}')
    assert ran.exit_code == 0


@pytest.mark.parametrize("option", ["", "--jsonl"])
def test_the_database_counts(tmp_path: Path, option: str) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "version: 1\nname: p\nroles:\n  developer:\n    login: permit\n"
        "    upstream: reader\n    rules:\n      - id: only.shop\n"
        "        when: {databases: [shop]}\n        permit: {everything: true}\n"
    )
    text = '{"id": 1, "sql": "SELECT 1"}' if option else "SELECT 1"
    for database, status in (("shop", 0), ("crm", 1)):
        options = ["--policy", str(policy), "--database", database]
        asked = [*options, option, "-"] if option else [*options, "-"]
        assert RUN.invoke(app, asked, input=text).exit_code == status


SITUATIONS = """
version: 1
name: p
roles:
  developer:
    login: permit
    upstream: reader
    rules:
      - id: window
        when:
          during: [{days: thu, hours: "08:00-10:00", timezone: Europe/Zurich}]
          networks: [10.0.0.0/8]
          applications: [psql]
          proven: true
        permit: {everything: true}
      - id: elsewhere
        when: {databases: [hr]}
        forbid: {kinds: [ddl]}
        reason: not here
"""
IN_WINDOW = ["--at", "2026-11-26T08:30+01:00"]
FROM_OFFICE = ["--address", "10.1.1.1"]
AS_PSQL = ["--application", "psql", "--proven"]


@pytest.mark.parametrize("option", ["", "--jsonl"])
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([*IN_WINDOW, *FROM_OFFICE, *AS_PSQL], 0),
        (["--at", "2026-11-26T10:00+01:00", *FROM_OFFICE, *AS_PSQL], 1),
        ([*IN_WINDOW, "--address", "192.0.2.1", *AS_PSQL], 1),
        ([*IN_WINDOW, *FROM_OFFICE, "--application", "", "--proven"], 1),
        ([*IN_WINDOW, *FROM_OFFICE, "--application", "psql"], 1),
        ([*IN_WINDOW, *FROM_OFFICE, *AS_PSQL, "--unproven"], 1),
        ([*IN_WINDOW, *FROM_OFFICE], 1),
        ([], 1),
    ],
)
def test_the_situation_counts_and_is_strict_where_it_is_left_open(
    tmp_path: Path, option: str, given: list[str], status: int
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(SITUATIONS)
    text = '{"id": 1, "sql": "SELECT 1"}' if option else "SELECT 1"
    options = ["--policy", str(policy), *given]
    asked = [*options, option, "-"] if option else [*options, "-"]
    assert RUN.invoke(app, asked, input=text).exit_code == status


def test_what_is_left_open_is_said(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(SITUATIONS)
    options = ["--policy", str(policy), *IN_WINDOW]
    ran = RUN.invoke(app, [*options, "-"], input="CREATE TABLE t ()")
    assert "elsewhere" in ran.stdout
    for line in (
        "note: without --database these rules are judged strictly, so that a permit "
        "does not count and a forbid does: elsewhere\n",
        "note: without --address these rules are judged strictly",
        "note: without --application these rules are judged strictly",
        "note: without --proven these rules are judged strictly",
    ):
        assert line in ran.stderr
    assert "--at" not in ran.stderr
    ran = RUN.invoke(app, [*options, "--json", "-"], input="SELECT 1")
    assert "without --address" in json.loads(ran.stdout)["note"]
    whole = [*options, *FROM_OFFICE, *AS_PSQL, "--database", "shop", "-"]
    assert "without --" not in RUN.invoke(app, whole, input="SELECT 1").stderr
    now = ["--policy", str(policy), "--at", "now", "-"]
    assert "--at" not in RUN.invoke(app, now, input="SELECT 1").stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--role", "develper", "-"], 'no role "develper"; did you mean "developer"?'),
        (["missing.sql"], "missing.sql: no such file"),
        (["--policy", "missing.yaml", "-"], "missing.yaml: no such file"),
        (["--jsonl", "-", "a.sql"], "--jsonl takes no SQL files"),
        (["--jsonl", "missing.jsonl"], "missing.jsonl: no such file"),
        (["--jsonl", "-", "--role", "nobody"], 'no role "nobody"'),
        (["--at", "yesterday", "-"], '"yesterday" is no instant'),
        (["--at", "2026-11-26T09:30", "-"], "write it with its offset"),
        (["--address", "localhost", "-"], '"localhost" is no IP address'),
    ],
)
def test_usage(options: list[str], said: str) -> None:
    ran = RUN.invoke(app, options, input="SELECT 1")
    assert ran.exit_code == 2
    assert said in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_a_broken_policy_names_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nname: x\nrols: {}\n")
    ran = RUN.invoke(app, ["--policy", str(path), "-"], input="SELECT 1")
    assert ran.exit_code == 2
    assert f'{path}:3: unknown key "rols"; did you mean "roles"?' in ran.stderr


def test_what_a_file_holds_can_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes(b'DROP TABLE "\x1b[31m[bold]";')
    ran = RUN.invoke(app, [str(tmp_path / "a.sql")])
    assert "\x1b" not in ran.output
    assert "[bold]" in ran.output
