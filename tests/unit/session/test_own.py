"""Statements that pgwarden answers itself: held, answered once, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.errors import DENIED
from proxy.policy.decision import Decision
from proxy.session.own import Rows, query_message
from tests.unit.session.playbook import (
    BOUND,
    COLUMNS,
    COPY_IN,
    PARSED,
    ROW,
    SYNC,
    Playbook,
    bind,
    copy_data,
    describe,
    done,
    execute,
    failed,
    no_such,
    parse,
    query,
    ready,
    run,
)

APPROVE = "CALL pgwarden.approve('G-7K3QX2MA')"
SHOW = "SHOW pgwarden.access"
ROWS = Rows("access", [("id", "text"), ("role", "text")], [["G-7K3QX2MA", "writer"]])
SELECT = (
    'SELECT "id", "role" FROM (VALUES (NULL::pg_catalog.text, NULL::pg_catalog.text), '
    "('G-7K3QX2MA'::pg_catalog.text, 'writer'::pg_catalog.text)) "
    'AS "access"("id", "role") OFFSET 1'
)
NO = Decision(False, "access.own-request", "it is your own", sqlstate=DENIED)


class Desk:
    def __init__(self) -> None:
        self.version = 1
        self.answer: Rows | Decision | None = None
        self.is_busy = False
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def ask(self, name: str, args: tuple[str, ...], kind: str) -> None:
        assert kind == "procedure"
        self.is_busy = True
        self.asked.append((name, args))

    def view(self, name: str) -> Rows:
        return Rows(name, ROWS.columns, ROWS.rows)


class Desked(Playbook):
    """A session with a desk."""

    def __init__(self, role: str = "lead") -> None:
        super().__init__(role)
        self.desk = self.session.desk = Desk()

    def answer(self, answer: Rows | Decision) -> None:
        self.desk.answer = answer
        self.session.resume()
        self._commit()


@pytest.fixture
def book() -> Desked:
    return Desked()


# --- commands -----------------------------------------------------------------


def test_a_command_is_held_until_it_is_answered(book: Desked) -> None:
    book.client(query(APPROVE), query("SELECT 1"))
    assert book.desk.asked == [("approve", ("G-7K3QX2MA",))]
    assert book.forwarded() == []
    assert book.recorded() == []
    book.answer(ROWS)
    assert book.forwarded() == [f"Q {SELECT}", "Q SELECT 1"]
    assert book.recorded() == [f"1 allow query {APPROVE}", "2 allow query SELECT 1"]
    book.server(COLUMNS, ROW, done("SELECT 1"), ready())
    assert book.shown() == ["T", "D", "C SELECT 1", "Z I"]
    assert book.recorded() == ["1 ok SELECT 1"]
    assert len(book.desk.asked) == 1


def test_a_command_that_is_refused(book: Desked) -> None:
    book.client(query(APPROVE))
    book.answer(NO)
    assert book.forwarded() == ["Q <1>"]
    assert book.recorded() == [f"1 deny query access.own-request {APPROVE}"]
    book.server(no_such(1), ready())
    assert book.shown() == ["ERROR 42501 it is your own", "Z I"]


def test_what_postgres_says_meanwhile_does_not_ask_again(book: Desked) -> None:
    book.client(query(APPROVE))
    for _ in range(3):
        book.server(failed("00000", "some notice").replace(b"E", b"N", 1))
    assert len(book.desk.asked) == 1
    assert book.is_held()


def test_a_command_waits_for_what_is_unanswered(book: Desked) -> None:
    book.client(query("SELECT 1"), query(APPROVE))
    assert book.desk.asked == []
    book.server(COLUMNS, ROW, done("SELECT 1"), ready())
    assert len(book.desk.asked) == 1


@pytest.mark.parametrize("status", ["T", "E"])
def test_not_in_a_transaction(book: Desked, status: str) -> None:
    book.client(query("BEGIN"))
    book.server(done("BEGIN"), ready(status))
    book.client(query(APPROVE))
    assert book.desk.asked == []
    assert book.forwarded() == ["Q BEGIN", "Q <2>"]


def test_not_behind_a_begin_that_is_unanswered(book: Desked) -> None:
    book.client(query("BEGIN"), query(APPROVE))
    book.server(done("BEGIN"), ready("T"))
    assert book.desk.asked == []
    assert book.forwarded() == ["Q BEGIN", "Q <2>"]


def test_not_within_a_pipeline(book: Desked) -> None:
    book.client(run("SELECT 1"), query(APPROVE))
    assert book.desk.asked == []
    assert book.forwarded()[-1] == "Q <2>"


def test_not_amid_a_copy() -> None:
    book = Desked("migrator")
    book.client(query("COPY orders FROM STDIN"))
    book.server(COPY_IN)
    book.client(copy_data(), query(APPROVE))
    assert book.desk.asked == []
    assert book.forwarded()[-1] == "Q <2>"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT 1; {APPROVE}",
        f"{APPROVE}; COMMIT",
        f"BEGIN; {APPROVE}",
        f"{SHOW}; {APPROVE}",
        "CALL pgwarden.approve($1)",
        "CALL pgwarden.approve('a' || 'b')",
        "CALL pgwarden.approve((SELECT 'G-7K3QX2MA'))",
        "CALL pgwarden.grant('G-7K3QX2MA')",
    ],
)
def test_what_is_no_command_does_nothing(book: Desked, text: str) -> None:
    book.client(query(text))
    assert book.desk.asked == []
    assert book.forwarded() == ["Q <1>"]


def test_a_command_is_never_prepared(book: Desked) -> None:
    book.client(run(APPROVE), SYNC)
    assert book.desk.asked == []
    assert book.forwarded()[0] == "P  <1>"
    assert "Q" not in {line[0] for line in book.forwarded()}


def test_without_a_desk() -> None:
    book = Playbook("lead")
    book.client(query(APPROVE), query(SHOW))
    assert book.forwarded() == ["Q <1>", "Q <2>"]


def test_an_answer_that_can_not_be_recorded_is_not_given(book: Desked) -> None:
    book.client(query("SELECT 1"))
    book.server(COLUMNS, ROW, done("SELECT 1"), ready())
    book.log_is_full = True
    book.client(query(APPROVE))
    book.answer(ROWS)
    assert book.forwarded() == ["Q SELECT 1", "Q <2>"]
    book.client(query("SELECT 1"), query(SHOW), query("SELECT 2"))
    assert book.forwarded() == ["Q <3>", "Q <4>", "Q <5>"]


# --- views --------------------------------------------------------------------


def test_a_view_becomes_a_select(book: Desked) -> None:
    book.client(query(SHOW))
    assert book.forwarded() == [f"Q {SELECT}"]
    assert book.recorded() == [f"1 allow query {SHOW}"]


def test_a_view_is_shown_in_a_transaction(book: Desked) -> None:
    book.client(query("BEGIN"))
    book.server(done("BEGIN"), ready("T"))
    book.client(query(SHOW))
    assert book.forwarded() == ["Q BEGIN", f"Q {SELECT}"]


def test_a_view_in_the_extended_protocol(book: Desked) -> None:
    book.client(parse(SHOW, "s"), describe("S", "s"), bind("s"), execute(), SYNC)
    assert book.forwarded() == [f"P s {SELECT}", "D Ss", "B  s", "E  0", "S"]
    assert book.recorded() == [f"1 allow execute {SHOW}"]
    book.server(PARSED, COLUMNS, BOUND, ROW, done("SELECT 1"), ready())
    book.client(bind("s"), execute(), SYNC)
    assert book.forwarded() == ["B  s", "E  0", "S"]


def test_a_prepared_view_that_is_outdated(book: Desked) -> None:
    book.client(parse(SHOW, "s"), SYNC)
    book.server(PARSED, ready())
    book.forwarded()
    book.desk.version = 2
    book.client(bind("s"), execute(), SYNC)
    assert book.forwarded()[0] == "P pgwarden_refused <1>"
    book.server(no_such(1), ready())
    assert book.shown()[-2].startswith("ERROR 26000")
    book.client(parse(SHOW, "t"), bind("t"), execute(), SYNC)
    assert "B  t" in book.forwarded()


def test_a_prepared_view_is_not_executed_by_sql(book: Desked) -> None:
    book.client(parse(SHOW, "s"), SYNC)
    book.server(PARSED, ready())
    book.forwarded()
    book.client(query("EXECUTE s"))
    assert book.forwarded() == ["Q <1>"]


# --- rows ---------------------------------------------------------------------


@given(st.text())
def test_a_value_ends_where_it_ends(text: str) -> None:
    """Read by an independent little lexer, with backslashes meant either way."""
    sent = query_message(Rows("a", [("x", "text")], [[text.replace("\ud800", "")]]))
    sql = sent[5:-1].decode("utf-8", "surrogatepass")
    head = 'SELECT "x" FROM (VALUES (NULL::pg_catalog.text), ('
    tail = '::pg_catalog.text)) AS "a"("x") OFFSET 1'
    assert sql.startswith(head)
    assert sql.endswith(tail)
    literal = sql[len(head) : -len(tail)]
    escapes = literal.startswith("E")
    inside = literal.removeprefix("E")[1:-1]
    if escapes:
        inside = inside.replace("\\\\", "")
    assert "\\" not in inside
    assert "'" not in inside.replace("''", "")
