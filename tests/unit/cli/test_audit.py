"""`pgwarden audit verify` and `tail`: exit status, findings, lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.audit.details import SessionEnd, SessionStart
from proxy.audit.folder import audit_files
from proxy.audit.judged import judged_fragment
from proxy.audit.records import SessionRecords
from proxy.audit.writer import ChainWriter
from proxy.cli.audit import audit_app
from proxy.policy.decision import Decision
from proxy.sql.facts import Analysis

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_700_000_000.0
runner = CliRunner()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    records = SessionRecords(
        "s1",
        identity="ana",
        role="developer",
        database="shop",
        application_name="psql",
        client_address="10.0.0.7",
    )
    allow = Decision(allowed=True, rule="developer.read", reason="ok")
    deny = Decision(allowed=False, rule="default-deny", reason="nothing permits it")
    read = judged_fragment(Analysis((), "SELECT\n  '\x1b[31m'"), allow)
    drop = judged_fragment(Analysis((), "DROP TABLE [red]orders"), deny)
    writer = ChainWriter(tmp_path, at=T0)
    writer.append(
        [
            records.start(SessionStart(authentication="scram-sha-256")),
            records.statement(1, read, message="query"),
            records.outcome(1, status="ok", duration_s=0.0123, tag=b"SELECT 1", rows=1),
            records.statement(2, drop, message="query"),
            records.end(SessionEnd(reason="client closed", duration_s=2.0)),
        ],
        T0,
    )
    writer.close(T0)
    return tmp_path


def test_verify_a_sound_log(log: Path) -> None:
    result = runner.invoke(audit_app, ["verify", str(log)])
    assert result.exit_code == 0
    assert "intact: 7 records in 1 file" in result.stdout
    assert "ends at record 7: " in result.stdout


def test_verify_names_what_was_changed(log: Path) -> None:
    (path,) = audit_files(log)
    path.write_bytes(path.read_bytes().replace(b"DROP", b"SHOW"))
    result = runner.invoke(audit_app, ["verify", str(log)])
    assert result.exit_code == 1
    assert f"CHANGED {path.name}:5 record 5: record 5 was changed" in result.stdout
    assert "NOT INTACT: 1 finding " in result.stdout
    result = runner.invoke(audit_app, ["verify", "--json", str(log)])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["intact"] is False
    assert (report["findings"][0]["line"], report["findings"][0]["seq"]) == (5, 5)


def test_verify_json_and_anchor(log: Path) -> None:
    report = json.loads(runner.invoke(audit_app, ["verify", "--json", str(log)]).stdout)
    assert report["intact"] is True
    head = report["files"][0]["last_hash"]
    kept = runner.invoke(audit_app, ["verify", str(log), "--anchor", head])
    assert kept.exit_code == 0
    lost = runner.invoke(audit_app, ["verify", str(log), "--anchor", "0" * 64])
    assert lost.exit_code == 1


def test_strict_fails_on_a_file_that_was_not_closed(log: Path) -> None:
    (path,) = audit_files(log)
    data = path.read_bytes()
    path.write_bytes(data[: data[:-1].rfind(b"\n") + 1])
    result = runner.invoke(audit_app, ["verify", str(log)])
    assert result.exit_code == 0
    assert "was not closed" in result.stdout
    assert runner.invoke(audit_app, ["verify", "--strict", str(log)]).exit_code == 1


def test_an_anchor_that_is_none_is_a_mistake_and_no_finding(log: Path) -> None:
    result = runner.invoke(audit_app, ["verify", str(log), "--anchor", "ab12"])
    assert result.exit_code == 2
    assert '"ab12" is not a hash of 64 hex digits' in result.stderr


@pytest.mark.parametrize("command", ["verify", "tail"])
def test_nothing_to_read_is_one_line(tmp_path: Path, command: str) -> None:
    result = runner.invoke(audit_app, [command, str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr.startswith("pgwarden: no audit files in ")
    result = runner.invoke(audit_app, [command, str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "is not a folder" in result.stderr


def test_tail_shows_a_line_a_record_and_no_escapes(log: Path) -> None:
    result = runner.invoke(audit_app, ["tail", str(log), "-n", "6"])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    start, read, outcome, drop, end, close = result.stdout.splitlines()
    assert start.startswith("2023-11-14 22:13:20.000 ana (developer)")
    assert r"allow SELECT '\x1b[31m'  s1-1" in read
    assert "└ ok SELECT 1 12.3 ms  s1-1" in outcome
    assert "DENY  DROP TABLE [red]orders  [default-deny] nothing permits" in drop
    assert "session.end reason=client closed" not in start
    assert "session.end" in end
    assert "checkpoint event=close" in close


def test_tail_filters_and_prints_json(log: Path) -> None:
    arguments = ["tail", str(log), "--decision", "deny", "--json", "--identity", "ana"]
    result = runner.invoke(audit_app, arguments)
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["text"] == "DROP TABLE [red]orders"
    assert line.encode() in audit_files(log)[0].read_bytes()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--since", "soon"], '"soon" is not a time'),
        (["--decision", "perhaps"], 'is "allow", "deny" or "shadow", not "perhaps"'),
        (["--kind", "login"], 'no kind "login"; known: statement, outcome, '),
    ],
)
def test_tail_refuses_what_it_does_not_know(
    log: Path, option: list[str], message: str
) -> None:
    result = runner.invoke(audit_app, ["tail", str(log), *option])
    assert result.exit_code == 2
    assert message in result.stderr
