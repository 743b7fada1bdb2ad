"""The recorder's parts: what the tap hears, what is sifted, how a page is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus import pages
from tests.corpus.sift import Corpus, Entry
from tests.corpus.tap import Conversation, Ear, Said
from tests.unit.session.playbook import bind, describe, execute, frame, parse, query

if TYPE_CHECKING:
    from pathlib import Path

SYNC = frame("S")
AWKWARD = [
    "SELECT 1",
    "SELECT 1 ",
    "\n  SELECT\t'a'\n    FROM b  \n  ",
    "SELECT E'\\n', \"x\"\n\n\nFROM é -- ' \n",
    "# no comment: SELECT '---', 1",
    "SELECT " + "a_long_name, " * 30 + "1",
    "\\N\n\\\n",
]


def heard(*steps: tuple[str, bytes]) -> Conversation:
    conversation = Conversation({})
    ear = Ear(conversation)
    for side, data in steps:
        for at in range(0, len(data), 3):  # however the bytes come
            ear.hear(side, data[at : at + 3])
    return conversation


def ready(status: str = "I") -> bytes:
    return frame("Z", status.encode())


def failed(sqlstate: str) -> bytes:
    return frame("E", f"SERROR\0C{sqlstate}\0\0".encode())


def test_the_tap_tells_form_status_and_error() -> None:
    told = heard(
        ("frontend", query("BEGIN")),
        ("backend", frame("C", b"BEGIN\0") + ready("T")),
        ("frontend", parse("SELECT $1", "s") + describe("S", "s") + SYNC),
        ("backend", frame("1") + frame("t") + frame("T") + ready("T")),
        ("frontend", bind("s", "p", b"1") + execute("p") + parse("SELECT 1/0") + SYNC),
        ("backend", frame("2") + frame("C", b"SELECT 1\0") + failed("22012")),
        ("backend", ready("E")),
        ("frontend", query("ROLLBACK; SELECT 2")),
        ("backend", frame("C", b"ROLLBACK\0") + failed("57014") + ready("I")),
    )
    assert told.said == [
        Said("BEGIN", "simple", is_run=True),
        Said("SELECT $1", "named", status="T", is_run=True, name="s", portals=["p"]),
        Said("SELECT 1/0", "extended", status="T", sqlstate="22012"),
        Said("ROLLBACK; SELECT 2", "simple", status="E", is_run=True, sqlstate="57014"),
    ]


def test_the_tap_blames_the_statement_that_failed() -> None:
    told = heard(
        ("frontend", parse("SELECT 1") + bind() + execute()),
        ("frontend", parse("SELECT x") + bind() + execute() + SYNC),
        ("backend", frame("1") + frame("2") + frame("C", b"SELECT 1\0")),
        ("backend", failed("42703") + ready()),
        ("frontend", parse("SELECT 3") + SYNC),
        ("backend", frame("1") + ready()),
    )
    assert [said.sqlstate for said in told.said] == ["", "42703", ""]
    assert [said.is_run for said in told.said] == [True, True, False]


def sifted(*said: Said, no_reading: dict[str, str] | None = None) -> Corpus:
    corpus = Corpus()
    conversation = Conversation({"user": "x", "database": "y", "options": "-c a=b"})
    conversation.said = list(said)
    corpus.add("1.0", [conversation], no_reading or {})
    return corpus


def simple(text: str, status: str = "I", sqlstate: str = "") -> Said:
    return Said(text, "simple", status=status, is_run=True, sqlstate=sqlstate)


def test_a_text_counts_once_a_form_whatever_its_oids() -> None:
    corpus = sifted(
        simple("SELECT '16400'::regclass"),
        simple("SELECT '16411'::regclass"),
        simple("SELECT '7'::regclass"),
        Said("SELECT '16400'::regclass", "extended"),
    )
    assert [(entry.sql, entry.form) for entry in corpus.entries.values()] == [
        ("SELECT '16400'::regclass", "simple"),
        ("SELECT '7'::regclass", "simple"),
        ("SELECT '16400'::regclass", "extended described"),
    ]
    assert corpus.startup == [{"options": "-c a=b"}]


def test_a_statement_keeps_what_must_go_before_it() -> None:
    corpus = sifted(
        Said("BEGIN", "simple", is_run=True, portals=[]),
        simple("DECLARE c CURSOR FOR SELECT 1"),  # in one pipeline with BEGIN
        simple('DECLARE "d" CURSOR FOR SELECT 2', "T"),
        simple("FETCH 1 FROM d", "T"),
        simple("COMMIT", "T"),
        Said("SELECT 3", "named", is_run=True, portals=["p"]),
        simple("/* x */ MOVE 1 IN p"),
        simple("LOCK TABLE t"),
        Said("SELECT 4", "named", name="n"),
        simple("DEALLOCATE n"),
    )
    after = {entry.sql: entry.after for entry in corpus.entries.values()}
    assert after["DECLARE c CURSOR FOR SELECT 1"] == ("BEGIN",)
    assert after["FETCH 1 FROM d"] == ("BEGIN", 'DECLARE "d" CURSOR FOR SELECT 2')
    assert after["/* x */ MOVE 1 IN p"] == (("portal", "p", "SELECT 3"),)
    assert after["DEALLOCATE n"] == (("prepared", "n", "SELECT 4"),)
    assert after["COMMIT"] == after["LOCK TABLE t"] == ()


def test_writes_and_what_is_no_reading_are_left_out_with_the_reason() -> None:
    corpus = sifted(
        simple("CREATE TABLE t ()", sqlstate="25006"),
        simple("SELECT 1", "E", sqlstate="25P02"),
        simple("SELECT lock()"),
        simple("SELECT 2", sqlstate="42501"),
        no_reading={"lock": "it locks"},
    )
    assert [entry.sql for entry in corpus.entries.values()] == ["SELECT 2"]
    (why, _), (other, _) = corpus.left_out
    assert "25006" in why
    assert other == "it locks"


@pytest.mark.parametrize("text", AWKWARD)
def test_a_page_keeps_every_byte(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    entries = [
        Entry(text, by=["1", "2"]),
        Entry(text, "named", (0, 25), (text, ("portal", "p", text)), "22012", ["2"]),
    ]
    corpus = Corpus(["1", "2"], [{"a": text}], left_out={("why", text): text})
    corpus.entries = {(str(at),): entry for at, entry in enumerate(entries)}
    path = pages.write("tool", corpus)
    page = pages.read(path)
    assert list(page.entries) == entries
    assert page.startup == ({"a": text},)
    assert not any(line != line.rstrip() for line in path.read_text().splitlines())


def test_the_recorded_pages_are_as_the_recorder_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a page was not edited by hand in a way that the next recording undoes."""
    committed = sorted(pages.FOLDER.glob("*.yaml"))
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    for path in committed:
        page = pages.read(path)
        corpus = Corpus(list(page.versions), list(page.startup))
        corpus.entries = {(str(at),): entry for at, entry in enumerate(page.entries)}
        written = pages.write(page.tool, corpus).read_text("utf-8")
        assert path.read_text("utf-8").startswith(written), page.tool
