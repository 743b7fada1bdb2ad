"""`pgwarden explain`: facts, rule and the tree of reasons of one statement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from typer.testing import CliRunner

from proxy.cli.explain import explain

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(explain)
RUN = CliRunner()


def test_a_refused_statement() -> None:
    ran = RUN.invoke(app, ["WITH d AS (DELETE FROM users RETURNING *) TABLE d"])
    assert ran.exit_code == 1
    for words in (
        "refused",
        "rule: developer.write",
        "reason: DELETE is not allowed for role developer: this role only reads",
        "hint: Change data through the application",
        "b, the read-only session: on",
        'c, the privileges of upstream login "reader"',
        "statement 1 (delete), refused by developer.write: WITH d AS (DELETE FROM",
        "relations: delete users\n",
        "kinds: delete\n",
        "forbidden by developer.write: this role only reads",
        "kinds: read   permitted by reading.statements",
    ):
        assert words in ran.stdout, words
    assert "without the database's catalog" in ran.stderr


def test_an_allowed_one_from_stdin_as_json() -> None:
    ran = RUN.invoke(
        app, ["--json", "-"], input="SELECT lower(u.name) FROM app.users u"
    )
    assert ran.exit_code == 0
    found = json.loads(ran.stdout)
    assert found["decision"]["decision"] == "allow"
    assert found["decision"]["rule"] == "reading.statements"
    (facts,) = found["statements"]
    assert facts["relations"] == [{"schema": "app", "name": "users", "access": "read"}]
    assert facts["functions"] == [{"schema": "", "name": "lower", "effect": "none"}]


def test_each_statement_has_its_acts_and_their_rules() -> None:
    ran = RUN.invoke(app, ["SELECT pg_sleep(9) FROM pg_authid; SET work_mem = 1"])
    shown = [line.lstrip("│ ├└─") for line in ran.stdout.splitlines()]
    begins = shown.index(
        "statement 1 (read), refused by reading.secrets: "
        "SELECT pg_sleep(9) FROM pg_authid"
    )
    assert shown[begins + 1 :] == [
        "actions: select   permitted by reading.statements",
        "functions: pg_sleep (sleep)",
        "no rule of role developer permits it: it holds a connection and its locks for "
        "as long as it likes",
        "relations: read pg_authid",
        "forbidden by reading.secrets: it holds passwords, or data past all privileges",
        "permitted by reading.statements, but a refusal wins",
        "kinds: read   permitted by reading.statements",
        "statement 2 (session), refused by default-deny: SET work_mem = 1",
        "actions: set   permitted by session.settings",
        "settings: work_mem = 1",
        "no rule of role developer permits it",
        "hint: Only settings that can't change what is allowed may be set; "
        "`pgwarden policy show` lists them.",
        "kinds: session   permitted by reading.statements",
    ]


def test_the_tree_for_machines() -> None:
    ran = RUN.invoke(app, ["--json", "SET default_transaction_read_only = off"])
    found = json.loads(ran.stdout)
    assert found["locks"] == {
        "decision": "deny",
        "read_only_session": True,
        "upstream_login": "reader",
    }
    reasons = found["statements"][0]["trace"]
    assert (reasons["decision"], reasons["rule"]) == ("deny", "developer.read-write")
    standings = {each["act"]: each["standing"] for each in reasons["acts"]}
    assert standings == {
        "set": "permitted",
        "default_transaction_read_only = off": "unlisted",
        "read_write": "forbidden",
        "session": "permitted",
    }


def test_which_values_would_do_and_what_can_never_be() -> None:
    ran = RUN.invoke(app, ["SET default_transaction_read_only = off"])
    assert 'it may only be set to "on"' in ran.stdout.split("statement 1")[1]
    ran = RUN.invoke(app, ["SET standard_conforming_strings = off"])
    assert "no policy can permit it" in ran.stdout


def test_rules_of_other_statements_and_of_other_times_are_named() -> None:
    ran = RUN.invoke(app, ["--role", "migrator", "DROP SCHEMA s CASCADE"])
    assert (
        'migrator.destructive forbids it elsewhere: its "when" does not hold here'
        in ran.stdout
    )
    ran = RUN.invoke(
        app, ["--role", "migrator", "--quarantined", "CREATE TABLE t (a int)"]
    )
    assert "permitted by migrator.create, but not in quarantine" in ran.stdout


def test_a_role_without_login_has_no_locks() -> None:
    ran = RUN.invoke(app, ["--role", "auditor", "SELECT 1"])
    assert ran.exit_code == 1
    assert "rule: login" in ran.stdout
    assert "locks" not in ran.stdout


def test_a_long_statement_is_cut_in_the_tree() -> None:
    ran = RUN.invoke(app, ["SELECT " + "1 + " * 100 + "1"])
    assert "1 + 1 + …\n" in ran.stdout


def test_quarantine_and_its_cause() -> None:
    ran = RUN.invoke(app, ["--role", "migrator", "DROP TABLE users"])
    assert "then: the session may only read from here on" in ran.stdout
    ran = RUN.invoke(
        app, ["--role", "migrator", "--quarantined", "CREATE TABLE t (a int)"]
    )
    assert "rule: quarantine" in ran.stdout


def test_what_can_not_be_understood_has_no_facts() -> None:
    ran = RUN.invoke(app, ["--json", "selct"])
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["statements"] == []


def test_an_unknown_role_is_usage() -> None:
    ran = RUN.invoke(app, ["--role", "x", "SELECT 1"])
    assert ran.exit_code == 2
    assert 'no role "x"' in ran.stderr


def test_a_rule_that_does_not_hold_now_is_shown_as_such(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "version: 1\nname: p\nroles:\n  developer:\n    login: permit\n"
        "    upstream: reader\n    rules:\n      - id: window\n"
        "        when: {during: [{hours: '08:00-10:00', timezone: UTC}]}\n"
        "        permit: {everything: true}\n"
    )
    asked = ["--policy", str(policy), "SELECT 1"]
    ran = RUN.invoke(app, [*asked, "--at", "2026-11-26T09:00Z"])
    assert ran.exit_code == 0
    assert "actions: select   permitted by window" in ran.stdout
    ran = RUN.invoke(app, [*asked, "--at", "2026-11-26T10:00Z"])
    assert ran.exit_code == 1
    assert 'window permits it elsewhere: its "when" does not hold here' in ran.stdout
    assert "without --at" not in ran.stderr
    assert "without --at these rules" in RUN.invoke(app, asked).stderr


def test_what_a_proof_would_change_is_shown() -> None:
    asked = ["--role", "migrator", "DROP TABLE legacy"]
    for option in ([], ["--unproven"]):
        ran = RUN.invoke(app, [*asked, *option])
        assert ran.exit_code == 1
        assert "forbidden by migrator.drop" in ran.stdout
        assert ("without --proven these rules" in ran.stderr) == (not option)
    ran = RUN.invoke(app, [*asked, "--proven"])
    assert ran.exit_code == 0
    assert "permitted by migrator.proven" in ran.stdout
