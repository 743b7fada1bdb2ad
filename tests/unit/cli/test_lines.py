"""`check --jsonl`: one answer a line, whatever the line holds."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from proxy.cli import lines
from proxy.cli.lines import LineJudge, answer, lines_of
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = Path(__file__).parents[3] / "policies" / "production.yaml"
TEXT = POLICY.read_text(encoding="utf-8")
JUDGE = Judge(Policy(load(TEXT, source="p")), "developer")
KEYS = ["id", "decision", "rule", "reason", "sqlstate"]


@pytest.fixture
def judge() -> Iterator[LineJudge]:
    with LineJudge(TEXT, source="p", role="developer") as made:
        yield made


def line(**question: Any) -> bytes:
    return json.dumps(question).encode()


@pytest.mark.parametrize(
    ("text", "identifier", "decision", "rule"),
    [
        (line(id="a", sql="SELECT 1"), "a", "allow", "reading.statements"),
        (line(id="a", sql="DROP TABLE t"), "a", "deny", "developer.schema"),
        (line(id=7, sql=""), 7, "allow", "empty"),
        (line(sql="SELECT 1"), None, "allow", "reading.statements"),
        (line(id="a", sql="SELECT 1\0; DROP TABLE t"), "a", "deny", "not-understood"),
        (line(id="a", sql="SELECT \ud800"), "a", "deny", "check.bad-line"),
        (line(id="\ud800", sql="SELECT 1"), "\ud800", "allow", "reading.statements"),
        (
            line(id="a", sql="EXECUTE p"),
            "a",
            "deny",
            "session.unknown-prepared-statement",
        ),
        (line(id="a"), "a", "deny", "check.bad-line"),
        (line(id="a", sql=None), "a", "deny", "check.bad-line"),
        (line(id=["a"], sql="SELECT 1"), None, "deny", "check.bad-line"),
        (b"", None, "deny", "check.bad-line"),
        (b"[1]", None, "deny", "check.bad-line"),
        (b'{"id": "a", "sql": ', "a", "deny", "check.bad-line"),
        (b'{"id": "a", "sql": "SELECT \xff"}', "a", "deny", "check.bad-line"),
        (
            b'{"id":"a","sql":"SELECT 1","sql":"SELECT 2"}',
            "a",
            "deny",
            "check.bad-line",
        ),
        (
            b'{"sql":"SELECT 1"}'.decode().encode("utf-16"),
            None,
            "deny",
            "check.bad-line",
        ),
        (b"[" * 100_000, None, "deny", "check.bad-line"),
        (line(id="a", sql="SELECT " + "1+" * 60_000 + "1"), "a", "deny", "too-large"),
        (line(id="a", sql="/*" * 50_000), "a", "deny", "too-large"),
        (line(id="a", sql="x" * 2_000_000), "a", "deny", "too-large"),
    ],
)
def test_answers(text: bytes, identifier: object, decision: str, rule: str) -> None:
    found = answer(JUDGE, text)
    assert list(found) == KEYS
    assert (found["id"], found["decision"], found["rule"]) == (
        identifier,
        decision,
        rule,
    )
    assert (found["sqlstate"] == "") is (decision == "allow")
    assert "\n" not in json.dumps(found)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=100) | st.text(max_size=60).map(lambda t: line(id="x", sql=t))
)
def test_any_line_gets_an_answer(text: bytes) -> None:
    found = answer(JUDGE, text)
    assert list(found) == KEYS
    assert found["decision"] in {"allow", "deny"}


def test_each_line_is_a_session_of_its_own(judge: LineJudge) -> None:
    assert judge.answer(line(sql="PREPARE p AS SELECT 1"))["decision"] == "allow"
    assert judge.answer(line(sql="EXECUTE p"))["sqlstate"] == "26000"


def test_a_crash_of_the_child_is_a_deny_and_the_next_line_is_judged(
    judge: LineJudge,
) -> None:
    assert judge.answer(line(sql="SELECT 1"))["decision"] == "allow"
    child = judge._child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    crashed = judge.answer(line(id="b", sql="SELECT 1"))
    assert (crashed["id"], crashed["decision"], crashed["rule"]) == (
        "b",
        "deny",
        "check.crash",
    )
    assert judge.answer(line(id="c", sql="SELECT 1"))["decision"] == "allow"


def test_a_child_that_hangs_is_a_deny(
    judge: LineJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge.answer(line(sql="SELECT 1"))["decision"] == "allow"
    child = judge._child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setattr(lines, "ANSWER_WITHIN_S", 0.05)
    assert judge.answer(line(id="a", sql="SELECT 1"))["rule"] == "check.crash"


def test_a_line_too_long_is_a_deny_with_its_id(
    judge: LineJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    text = line(id="a", sql="SELECT 1") + b" " * 200
    stream = io.BytesIO(text + b"\n" + line(id="b", sql="SELECT 1"))
    found = [judge.answer(each) for each in lines_of(stream)]
    assert [(each["id"], each["decision"]) for each in found] == [
        ("a", "deny"),
        ("b", "allow"),
    ]


def test_lines_of_a_stream() -> None:
    assert list(lines_of(io.BytesIO(b"a\n\nb\r\nc"))) == [b"a", b"", b"b\r", b"c"]
    assert list(lines_of(io.BytesIO(b"a\n"))) == [b"a"]
