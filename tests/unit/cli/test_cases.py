"""`pgwarden policy test`: for people, for machines, and when it writes records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.cases import run_file
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
          kinds: [read, cursor, privilege]
          actions: [select, fetch, declare cursor, alter role]
          flags: [secret]
          relations: [{access: read, except_names: secret}]
          settings: [jit, application_name, replication]
        reason: reads
"""
CASES = """version: 1
policy: tiny.yaml
cases:
  - {role: r, expect: allow, rule: r.read, sql: SELECT 1, # a read
     record: {reason: reads, kind: read, actions: select}}

  # and not more
  - role: r
    expect: deny
    rule: default-deny
    sql: DROP TABLE t
    record: {reason: DROP TABLE is not allowed for role r, kind: ddl,\
 actions: drop table,
      relations: {drop: t}, flags: destructive}
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(POLICY)
    path = tmp_path / "tiny.cases.yaml"
    path.write_text(CASES)
    return path


def run(path: Path, *options: str) -> Result:
    return RUN.invoke(policy_app, ["test", *options, str(path)])


def add(path: Path, case: str) -> None:
    path.write_text(path.read_text() + f"  - {case}\n")


def records(path: Path, case: str) -> dict[str, Any]:
    """What pgwarden gives for one case."""
    path.write_text(CASES[: CASES.index("  - {role")] + f"  - {case}\n")
    return run_file(path)[0].record


def test_cases_that_pass(cases: Path) -> None:
    ran = run(cases)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines()[1].split()[1:] == ["2", "0"]


def test_a_case_that_fails_is_named_with_its_line(cases: Path) -> None:
    add(cases, "{role: r, expect: allow, rule: r.read, sql: TRUNCATE t}")
    ran = run(cases)
    assert ran.exit_code == 1
    assert f"{cases}:14: r: TRUNCATE t" in ran.stdout
    assert "expected allow, got deny (default-deny: TRUNCATE is not" in ran.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("reason: reads", "reason: writes"),
        ("kind: read, actions: select", "kind: ddl, actions: select"),
        ("actions: select", "actions: [select, delete]"),
        ("relations: {drop: t}", "relations: {drop: public.t}"),
        ("relations: {drop: t}", "relations: {alter: t}"),
        (", flags: destructive", ""),
        ("flags: destructive", "flags: destructive, quarantines: true"),
        ("flags: destructive", "flags: destructive, text: DROP TABLE t"),
        ("flags: destructive", "flags: destructive, sqlstate: '42601'"),
    ],
)
def test_a_record_that_differs_in_anything_fails(
    cases: Path, right: str, wrong: str
) -> None:
    cases.write_text(CASES.replace(right, wrong, 1))
    ran = run(cases)
    assert ran.exit_code == 1
    assert "the audit record is not as expected (-), it is (+):" in ran.stdout


def test_a_wrong_record_is_shown_as_a_diff(cases: Path) -> None:
    cases.write_text(CASES.replace("{drop: t}, flags: destructive", "{drop: [t, u]}"))
    lines = run(cases).stdout.splitlines()
    first = lines.index(f"{cases}:8: r: DROP TABLE t")
    assert lines[first + 1 :] == [
        "  the audit record is not as expected (-), it is (+):",
        "      reason: DROP TABLE is not allowed for role r",
        "      kind: ddl",
        "      actions: drop table",
        "    - relations: {drop: [t, u]}",
        "    + relations: {drop: t}",
        "    + flags: destructive",
    ]


def test_what_a_statement_holds_can_do_nothing_to_the_terminal(cases: Path) -> None:
    add(
        cases, r'{role: r, expect: allow, rule: r.read, record: {}, sql: "\e[31m\r\ny"}'
    )
    ran = run(cases)
    assert ran.exit_code == 1
    assert "\x1b" not in ran.stdout
    assert "\r" not in ran.stdout


def test_machines_get_json(cases: Path) -> None:
    add(cases, "{role: r, expect: deny, rule: r.read, sql: SELECT 2, record: {a: b}}")
    found = json.loads(run(cases, "--json").stdout)
    assert (found["passed"], found["failed"]) == (2, 1)
    assert [each["line"] for each in found["cases"]] == [4, 8, 14]
    assert [each["passed"] for each in found["cases"]] == [True, True, False]
    wrong = found["cases"][2]
    assert wrong["expected_record"] == {"a": "b"}
    assert (wrong["expected"], wrong["decided"], wrong["rule"]) == (
        "deny",
        "allow",
        "r.read",
    )
    assert wrong["record"] == {
        "decision": "allow",
        "reason": "reads",
        "sqlstate": None,
        "kind": "read",
        "actions": "select",
    }
    assert len(wrong["failures"]) == 2


def test_another_policy_may_be_tried_on_the_same_cases(cases: Path) -> None:
    other = cases.parent / "other.yaml"
    other.write_text(POLICY.replace("reason: reads", "reason: only reads"))
    ran = run(cases, "--policy", str(other))
    assert ran.exit_code == 1
    assert "    + reason: only reads" in ran.stdout


def test_files_that_do_not_load(cases: Path) -> None:
    cases.write_text(CASES.replace("tiny.yaml", "gone.yaml"))
    ran = run(cases)
    assert ran.exit_code == 2
    assert "gone.yaml: no such file" in ran.stderr


# --- what is recorded ---------------------------------------------------------------


def test_what_was_redacted_is_stated(cases: Path) -> None:
    found = records(
        cases,
        "{role: r, expect: allow, rule: r.read, sql: ALTER ROLE a PASSWORD 'hunter2'}",
    )
    assert found["text"] == "ALTER ROLE a PASSWORD '<redacted>'"


def test_a_text_that_is_not_understood(cases: Path) -> None:
    found = records(cases, "{role: r, expect: deny, rule: not-understood, sql: SELCT}")
    said = 'syntax error at or near "SELCT"'
    assert found == {
        "reason": said,
        "sqlstate": "42601",
        "statement_kind": "unknown",
        "trouble": said,
    }


def test_a_fetch_that_only_postgres_can_refuse_is_recorded_as_allowed(
    cases: Path,
) -> None:
    found = records(
        cases, "{role: r, expect: deny, rule: session.unknown-portal, sql: FETCH c}"
    )
    assert (found["decision"], found["rule"]) == ("allow", "r.read")
    assert found["sqlstate"] is None


def test_no_statement_is_no_record(cases: Path) -> None:
    case = r'{role: r, expect: deny, rule: not-understood, sql: "SELECT 1\0"}'
    assert records(cases, case) == {}


@pytest.mark.parametrize(
    ("expect", "setting", "record"),
    [
        ("allow", "{name: JIT, value: off}", {"settings": {"jit": "off"}}),
        ("allow", "{name: application_name, value: x}", {"application_name": "x"}),
        (
            "deny",
            "{name: role, value: x}",
            {
                "reason": 'startup parameter "role" is refused: '
                'setting "role" is not allowed for role r'
            },
        ),
        (
            "deny",
            "{name: client_encoding, value: SJIS}",
            {
                "reason": 'client_encoding "SJIS" is refused: '
                "only UTF8 is understood here",
                "sqlstate": "22023",
            },
        ),
    ],
)
def test_startup_parameters(
    cases: Path, expect: str, setting: str, record: dict[str, Any]
) -> None:
    case = f"{{role: r, expect: {expect}, rule: x, setting: {setting}}}"
    assert records(cases, case) == record


def test_a_startup_parameter_that_no_policy_is_asked_about(cases: Path) -> None:
    setting = "{name: replication, value: database}"
    add(cases, f"{{role: r, expect: deny, rule: login, setting: {setting}}}")
    found = run_file(cases)[-1]
    assert found.is_decided_as_expected
    assert found.record["reason"] == 'startup parameter "replication" is refused'


# --- writing records ----------------------------------------------------------------


def test_records_are_written_and_nothing_else_is_touched(cases: Path) -> None:
    cases.write_text(CASES.replace("relations: {drop: t}", "relations: {}"))
    add(cases, "{role: r, expect: allow, rule: r.read, sql: SELECT 2} # one more")
    ran = run(cases, "--update")
    assert ran.exit_code == 0, ran.output
    assert ran.stderr == f"{cases}: 2 records written, read the diff\n"
    assert cases.read_text() == CASES + (
        "  - {role: r, expect: allow, rule: r.read, sql: SELECT 2,\n"
        "     record: {reason: reads, kind: read, actions: select}} # one more\n"
    )
    assert run(cases).exit_code == 0


def test_what_a_person_has_to_decide_is_left_to_them(cases: Path) -> None:
    add(cases, "{role: r, expect: allow, rule: r.read, sql: DROP TABLE u}")
    add(cases, "{role: r, expect: deny, rule: r.drop, sql: DROP TABLE v}")
    before = cases.read_text()
    ran = run(cases, "--update")
    assert ran.exit_code == 1
    assert "expected allow, got deny" in ran.stdout
    assert 'expected rule "r.drop", got "default-deny"' in ran.stdout
    assert ran.stderr == ""
    assert cases.read_text() == before


@pytest.mark.parametrize("options", [["--update"], ["--update", "--policy", "x", "y"]])
def test_only_files_that_are_named_are_rewritten_by_their_own_policy(
    options: list[str],
) -> None:
    ran = RUN.invoke(policy_app, ["test", *options])
    assert ran.exit_code == 2
    assert "--update rewrites the case files that you name" in ran.stderr


def test_a_file_that_can_not_be_written(
    cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(cases, "{role: r, expect: allow, rule: r.read, sql: SELECT 2}")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    ran = run(cases, "--update")
    assert ran.exit_code == 2
    assert f"{cases}: permission denied" in ran.stderr


SITUATED = """version: 1
policy: tiny.yaml
cases:
  - {{role: r, {given} expect: {expect}, rule: {rule}, {subject}, record: {record}}}
"""
ALL = "at: 2026-11-26T09:00Z, address: 10.0.0.1, application: psql, proven: true,"
READ = "sql: SELECT 1"
SET = "setting: {name: jit, value: on}"


@pytest.mark.parametrize(
    ("given", "expect", "subject"),
    [
        (ALL, "allow", READ),
        (ALL.replace("09:", "10:"), "deny", READ),
        (ALL.replace("10.0", "11.0"), "deny", READ),
        (ALL.replace("psql", "bi"), "deny", READ),
        (ALL.replace("true", "false"), "deny", READ),
        ("", "deny", READ),
        (ALL, "allow", SET),
        (ALL.replace("09:", "10:"), "deny", SET),
        ("", "deny", SET),
    ],
)
def test_a_case_says_where_and_when(
    cases: Path, given: str, expect: str, subject: str
) -> None:
    during = 'during: [{hours: "08:00-10:00", timezone: UTC}]'
    when = f"when: {{{during}, networks: 10.0.0.0/8, applications: psql"
    when += ", proven: true}\n"
    policy = POLICY.replace("        permit:", f"        {when}        permit:")
    (cases.parent / "tiny.yaml").write_text(policy)
    rule = "r.read" if expect == "allow" else "default-deny"
    cases.write_text(
        SITUATED.format(
            given=given, expect=expect, rule=rule, subject=subject, record="{}"
        )
    )
    assert run(cases, "--update").exit_code == 0
    assert run(cases).exit_code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("at: 2026-11-26,", "write it with its offset"),
        ("at: 2026-11-26T09:00,", "write it with its offset"),
        ("address: office,", '"office" is no IP address'),
        ("adress: 10.0.0.1,", 'did you mean "address"?'),
        ("proven: yes,", "must be true or false"),
    ],
)
def test_a_case_that_says_it_wrongly(cases: Path, given: str, said: str) -> None:
    cases.write_text(
        SITUATED.format(given=given, expect="deny", rule="x", subject=READ, record="{}")
    )
    ran = run(cases)
    assert ran.exit_code == 2
    assert said in ran.stderr
