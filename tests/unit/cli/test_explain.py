"""`pgwarden explain`: facts, rule and reason of one statement."""

from __future__ import annotations

import json

import typer
from typer.testing import CliRunner

from proxy.cli.explain import explain

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
        "relations: users (access=delete)",
        "kinds: delete, read",
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
