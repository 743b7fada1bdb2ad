"""Fragments of session records: fields, and nothing that could forge a line."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, strategies as st

from proxy.audit.ascii import quoted, spelled_out
from proxy.audit.details import SessionEnd, SessionStart
from proxy.audit.records import Message, SessionRecords, names_fragment

WHO = {
    "session": "s1",
    "identity": "ana",
    "role": "developer",
    "database": "shop",
    "application_name": "psql",
    "client_address": "10.0.0.7",
}


def session(**changes: Any) -> SessionRecords:
    fields: dict[str, Any] = {k: v for k, v in WHO.items() if k != "session"} | changes
    return SessionRecords("s1", **fields)


def read(fragment: bytes) -> dict[str, Any]:
    """Both a lenient and a strict decoder must read it the same."""
    text = b"{" + fragment + b"}"
    assert text.isascii()
    assert b"\n" not in text
    assert b"\x7f" not in text
    record: dict[str, Any] = json.loads(text)
    assert msgspec.json.decode(text) == record
    return record


def test_every_record_says_who() -> None:
    records = session()
    for fragment in (
        records.start(SessionStart(authentication="scram-sha-256")),
        records.statement(1, b'"decision":"allow"', message="query"),
        records.outcome(1, status="ok", duration_s=0.1),
        records.internal("restore-point", text="SELECT 1"),
        records.end(SessionEnd(reason="client closed", duration_s=1.0)),
    ):
        assert WHO.items() <= read(fragment).items()


def test_statement_and_outcome_share_an_audit_id() -> None:
    records = session()
    names = names_fragment(statement=b"q1", portal=b"c\n1")
    statement = records.statement(
        7, b'"decision":"allow"', message="execute", names=names
    )
    assert read(statement) == {
        "kind": "statement",
        **WHO,
        "audit_id": "s1-7",
        "message": "execute",
        "statement_name": "q1",
        "portal": "c\n1",
        "decision": "allow",
    }
    outcome = records.outcome(
        7, status="error", duration_s=0.25, tag=b"SELECT 3", rows=3, sqlstate="57014"
    )
    assert read(outcome) == {
        "kind": "outcome",
        **WHO,
        "audit_id": "s1-7",
        "status": "error",
        "duration_s": 0.25,
        "tag": "SELECT 3",
        "rows": 3,
        "sqlstate": "57014",
    }
    assert records.audit_id(7) == "s1-7"


@pytest.mark.parametrize("message", get_args(Message))
def test_every_message_has_its_word(message: Message) -> None:
    record = read(session().statement(1, b'"decision":"deny"', message=message))
    assert record["message"] == message


def test_an_outcome_leaves_out_what_is_not_known() -> None:
    record = read(session().outcome(1, status="unknown", duration_s=0))
    assert record.keys() - WHO.keys() == {"kind", "audit_id", "status", "duration_s"}
    assert read(session().outcome(1, status="ok", duration_s=0, rows=0))["rows"] == 0


def test_a_refused_login_is_one_session_end() -> None:
    ended = SessionEnd(
        reason="wrong password", duration_s=0.5, status="refused", sqlstate="28P01"
    )
    record = read(session(role="").end(ended))
    assert record["kind"] == "session.end"
    assert (record["status"], record["sqlstate"]) == ("refused", "28P01")


HOSTILE = [
    'x"}\n{"v":1,"seq":2',
    "\x1b[2J\x1b]0;title\x07",
    "a\u2028b\u2029c\u0085d",
    "\u202egnp.exe",
    "\x00\x7f\x9b31m",
    "ünï 🐘",
    "\\u000a\\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_forges_a_line(text: str) -> None:
    records = session(identity=text, application_name=text.encode(), database=text)
    fragments = (
        records.start(SessionStart(authentication="x", settings={"a": text})),
        records.outcome(1, status="ok", duration_s=0, tag=text.encode()),
        records.end(SessionEnd(reason=text, duration_s=0)),
        records.internal("p", text=text, detail={text: text}),
    )
    for record in map(read, fragments):
        assert record["identity"] == record["application_name"] == text
    assert read(fragments[0])["settings"] == {"a": text}
    assert read(fragments[1])["tag"] == text
    assert read(fragments[2])["reason"] == text
    assert read(fragments[3])["detail"] == {text: text}


def test_bytes_that_are_not_utf8_are_kept_and_marked() -> None:
    raw = b"caf\xe9 \\xe9"
    record = read(session(application_name=raw).internal("p", text="\udce9"))
    assert record["escaped"] == ["application_name"]
    assert record["application_name"] == r"caf\xe9 \\xe9"
    assert record["text"] == r"\xe9"
    detail = session().internal("p", detail={"\ud800": "\ud800"})
    assert read(detail)["detail"] == {r"\xed\xa0\x80": r"\xed\xa0\x80"}
    started = SessionStart(authentication="\udcff", client_port=5)
    assert read(session().start(started))["client_port"] == 5


@given(st.binary())
def test_spelling_out_is_lossless(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    json_text, is_escaped = quoted(raw)
    shown = json.loads(json_text)
    if is_escaped:
        shown = shown.encode().replace(b"\\\\", b"\x00\x01")
        back = b""
        while shown:
            head, found, tail = shown.partition(b"\\x")
            back += head
            if found:
                back += bytes([int(tail[:2], 16)])
                tail = tail[2:]
            shown = tail
        if b"\x00\x01" not in raw:
            assert back.replace(b"\x00\x01", b"\\") == raw
    else:
        assert shown == text


@given(st.text(st.characters(codec=None)))
def test_any_string_gives_ascii_json(text: str) -> None:
    json_text, is_escaped = quoted(text)
    assert json_text.isascii()
    assert json_text.isprintable()
    assert json.loads(json_text) == (spelled_out(text) if is_escaped else text)
