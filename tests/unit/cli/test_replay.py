"""`pgwarden replay`: the report, its exit status, and mistakes in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from tests.made_log import MadeLog
from tests.unit.replay.replaying import MILDER, READING, STRICTER, policy

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with MadeLog(tmp_path / "audit") as log:
        session = log.session(policy(READING), identity="ana", application_name="x\x1b")
        for number in range(3):
            session.query(f"SELECT * FROM pay WHERE id = {number}")
        session.query("DELETE FROM t")
        session.query("SELECT id FROM users WHERE password = 'x'")
        session.end()
    for name, text in (("same", READING), ("new", STRICTER), ("mild", MILDER)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def replay(folder: Path, name: str, *more: str) -> Result:
    log = ["--log", str(folder / "audit")]
    return RUN.invoke(app, ["replay", *log, "--policy", str(folder / name), *more])


def test_nothing_changes(folder: Path) -> None:
    ran = replay(folder, "same.yaml")
    assert ran.exit_code == 0
    assert "5 statements of 1 session by policy made" in ran.stdout
    assert "4 as before, 0 newly refused, 0 newly allowed, 1 not replay" in ran.stdout
    assert "redacted" in ran.stdout
    assert "note: read 13 records in" in ran.stderr


def test_what_is_newly_refused_fails(folder: Path) -> None:
    ran = replay(folder, "new.yaml")
    assert ran.exit_code == 1
    assert "newly refused: 3 in 1 group" in ran.stdout
    assert "select * from pay where id = ?" in ran.stdout
    assert "reads → hr" in ran.stdout
    assert "ana (developer)" in ran.stdout
    assert "0s1-1" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_what_is_newly_allowed_fails_only_when_asked(folder: Path) -> None:
    ran = replay(folder, "mild.yaml")
    assert ran.exit_code == 0
    assert "newly allowed: 1 in 1 group" in ran.stdout
    assert replay(folder, "mild.yaml", "--strict").exit_code == 1


def test_machines_get_everything(folder: Path) -> None:
    ran = replay(folder, "new.yaml", "--json")
    assert (ran.exit_code, ran.stderr) == (1, "")
    found = json.loads(ran.stdout)
    assert found["statements"] == {
        "same": 1,
        "newly_refused": 3,
        "newly_allowed": 0,
        "not_replayable": 1,
    }
    (group,) = found["newly_refused"]
    assert (group["count"], group["rule_before"], group["rule_after"]) == (
        3,
        "reads",
        "hr",
    )
    assert group["first"] < group["last"]
    assert [each["reason"][:8] for each in found["not_replayable"]] == ["redacted"]


def test_only_some_groups_are_shown(folder: Path) -> None:
    with MadeLog(folder / "audit", worker="9") as log:
        session = log.session(policy(READING))
        for name in ("a", "b", "c"):
            session.query(f"SELECT {name} FROM pay")
    ran = replay(folder, "new.yaml", "--groups", "2")
    assert "newly refused: 6 in 4 groups" in ran.stdout
    assert "and 2 groups more: --groups or --json" in ran.stdout


def test_a_long_shape_is_cut(folder: Path) -> None:
    with MadeLog(folder / "audit", worker="9") as log:
        log.session(policy(READING)).query(f"SELECT {'a, ' * 60} b FROM pay")
    shown = replay(folder, "new.yaml").stdout
    (line,) = (each for each in shown.splitlines() if "select a, a, a" in each)
    assert line.rstrip().endswith("…")
    assert "b from pay" not in shown


def test_filters(folder: Path) -> None:
    ran = replay(folder, "new.yaml", "--identity", "bi", "--role", "developer")
    assert (ran.exit_code, "0 statements of 0 sessions" in ran.stdout) == (0, True)
    ran = replay(folder, "new.yaml", "--since", "1h", "--until", "2030-01-01")
    assert (ran.exit_code, "0 statements of 0 sessions" in ran.stdout) == (0, True)


def test_other_things_worth_knowing_are_told(folder: Path) -> None:
    (folder / "audit" / "audit-7-20260101T000000.000000Z-00000000.jsonl").write_text(
        "not a record\n"
    )
    with MadeLog(folder / "audit", worker="8") as log:
        log.session(policy(READING), settings={"jit": "off"})
        log.session(policy(READING), is_started=False).query("SELECT 1")
    (folder / "nojit.yaml").write_text(READING.replace("jit, ", ""))
    ran = replay(folder, "nojit.yaml")
    assert ran.exit_code == 1
    assert "1 of 2 logins refused" in ran.stdout
    assert "1 session began before the log" in ran.stdout
    assert "1 line of the log passed over" in ran.stdout


def test_shipped_policies_have_names(folder: Path) -> None:
    ran = replay(folder, "../development")
    assert ran.exit_code == 2
    log = ["--log", str(folder / "audit")]
    assert RUN.invoke(app, ["replay", *log, "--policy", "development"]).exit_code == 0
    assert "by policy production" in RUN.invoke(app, ["replay", *log]).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "gone.yaml"], "gone.yaml: no such file"),
        (["--since", "yesterday"], '"yesterday" is not a time'),
        (["--log", "gone"], '"gone" is not a folder'),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: list[str], said: str) -> None:
    ran = replay(folder, "same.yaml", *arguments)
    assert ran.exit_code == 2
    assert said in ran.stderr
    assert ran.stderr.startswith("pgwarden: ")
    assert "Traceback" not in ran.stderr
