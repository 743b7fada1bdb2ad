"""What each message of the client does, as transcripts."""

from __future__ import annotations

import pytest

from proxy.session.session import Limits
from tests.unit.session.playbook import (
    BOUND,
    COLUMNS,
    FLUSH,
    FUNCTION_CALL,
    PARSED,
    ROW,
    SYNC,
    TERMINATE,
    Playbook,
    bind,
    close,
    describe,
    done,
    execute,
    failed,
    frame,
    judge_of,
    no_such,
    parse,
    query,
    ready,
    run,
)

DROP = "DROP TABLE orders"
REFUSED = (
    "ERROR 42501 DROP TABLE is not allowed for role developer: this role only reads"
)


@pytest.fixture
def book() -> Playbook:
    return Playbook()


# --- every way to be refused --------------------------------------------------


def test_a_refused_query_becomes_a_query(book: Playbook) -> None:
    book.client(query(DROP))
    assert book.forwarded() == ["Q <1>"]
    assert book.recorded() == [f"1 deny query developer.schema {DROP}"]
    book.server(no_such(1), ready())
    assert book.shown() == [REFUSED, "Z I"]
    assert book.recorded() == []


def test_a_query_is_judged_whole(book: Playbook) -> None:
    book.client(query(f"SELECT 1; {DROP}"))
    assert book.forwarded() == ["Q <1>"]


def test_the_client_learns_rule_audit_id_and_hint(book: Playbook) -> None:
    book.client(query(DROP)).server(no_such(1), ready())
    assert b"\0Drule developer.schema, audit id s1-1\0" in book.seen
    assert b"\0HChange the schema with a migration" in book.seen


def test_a_refused_unnamed_parse_stays_unnamed(book: Playbook) -> None:
    book.client(run(DROP), SYNC)
    assert book.forwarded()[0] == "P  <1>"


def test_other_refused_messages_spare_the_unnamed_statement(book: Playbook) -> None:
    book.client(parse(DROP, "s"), SYNC, bind("none"), SYNC, execute("none"), SYNC)
    assert book.forwarded() == [
        *("P pgwarden_refused <1>", "S"),
        *("P pgwarden_refused <2>", "S"),
        *("P pgwarden_refused <3>", "S"),
    ]
    assert [line.split()[2:4] for line in book.recorded()] == [
        ["parse", "developer.schema"],
        ["bind", "session.unknown-prepared-statement"],
        ["execute", "session.unknown-portal"],
    ]
    book.server(no_such(1), ready(), no_such(2), ready(), no_such(3), ready())
    assert [line[:11] for line in book.shown() if line != "Z I"] == [
        "ERROR 42501",
        "ERROR 26000",
        "ERROR 34000",
    ]


def test_a_function_call_is_refused_unread(book: Playbook) -> None:
    book.client(FUNCTION_CALL)
    assert book.forwarded() == ["Q <1>"]
    assert book.recorded() == ["1 deny function_call protocol.function-call"]
    book.server(no_such(1), ready())
    assert book.shown()[0].startswith("ERROR 42501 the fast-path function call")


def test_a_text_that_is_not_understood(book: Playbook) -> None:
    book.client(query("SELECT nope FROM")).server(no_such(1), ready())
    assert book.shown()[0].startswith("ERROR 42601 ")


def test_a_text_over_the_ceiling_is_never_held() -> None:
    book = Playbook(limits=Limits(statement_bytes=16_384))
    long = "SELECT '" + "x" * 20_000 + "'"
    book.client(query(long), parse(long, "s"), SYNC, query("SELECT 1"))
    assert book.forwarded() == [
        *("Q <1>", "P pgwarden_refused <2>", "S", "Q SELECT 1"),
    ]
    book.server(no_such(1), ready(), no_such(2), ready())
    assert book.shown()[0].startswith("ERROR 54000 the statement has 20009 bytes")


def test_as_many_names_as_allowed() -> None:
    book = Playbook(limits=Limits(statements=2, portals=1))
    book.client(parse("SELECT 1", "a"), parse("SELECT 1", "b"), parse("SELECT 1", "c"))
    book.client(SYNC).server(PARSED, PARSED, no_such(1), ready())
    assert book.shown()[-2].startswith("ERROR 54000 the session has 2 prepared")
    book.client(query("PREPARE d AS SELECT 1")).server(no_such(2), ready())
    assert book.shown()[0].startswith("ERROR 54000 ")
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.client(bind("a", "p"), SYNC).server(BOUND, ready("T"))
    book.client(bind("a", "q"), SYNC).server(no_such(4), ready("E"))
    book.client(query("DECLARE c CURSOR FOR SELECT 1")).server(no_such(5), ready("E"))
    assert [line[:11] for line in book.shown() if "54000" in line] == [
        "ERROR 54000",
        "ERROR 54000",
    ]


def test_the_reserved_name_is_not_the_clients(book: Playbook) -> None:
    book.client(parse("SELECT 1", "pgwarden_refused"), SYNC)
    assert book.forwarded() == ["P pgwarden_refused <1>", "S"]
    assert "session.reserved-name" in book.recorded()[0]


# --- what is allowed ----------------------------------------------------------


def test_an_allowed_query_passes_as_it_came(book: Playbook) -> None:
    book.client(query("SELECT 1"))
    assert book.sent == query("SELECT 1")
    assert book.recorded() == ["1 allow query SELECT 1"]
    answer = COLUMNS + ROW + done("SELECT 1") + ready()
    book.server(answer)
    assert book.seen == answer
    assert book.recorded() == ["1 ok SELECT 1"]


def test_the_record_comes_with_the_first_execute(book: Playbook) -> None:
    book.client(parse("SELECT 1", "s"), describe("S", "s"), FLUSH)
    assert book.recorded() == []
    book.client(bind("s", "p"), describe("P", "p"), execute("p"), SYNC)
    assert book.recorded() == ["1 allow execute SELECT 1"]
    assert book.records[0]["statement_name"] == "s"
    assert book.records[0]["portal"] == "p"


def test_a_pipeline_of_hundreds(book: Playbook) -> None:
    book.client(*[run("SELECT 1")] * 400, SYNC)
    assert len(book.forwarded()) == 1201
    assert len(book.recorded()) == 400
    book.server(*[PARSED + BOUND + done("SELECT 1")] * 400)
    book.server(ready())
    assert book.recorded() == [f"{n} ok SELECT 1" for n in range(1, 401)]
    assert not book.session.queue


def test_a_refusal_in_the_middle_of_a_pipeline(book: Playbook) -> None:
    book.client(run("SELECT 1"), run(DROP), run("SELECT 2"), SYNC, query("SELECT 3"))
    assert book.forwarded() == [
        *("P  SELECT 1", "B", "E  0"),
        "P  <2>",
        # the unnamed statement is gone, the portal before is not
        *("P pgwarden_refused <3>", "E  0"),
        *("P  SELECT 2", "B", "E  0", "S", "Q SELECT 3"),
    ]
    book.recorded()
    book.server(PARSED, BOUND, done("SELECT 1"), no_such(2), ready())
    assert book.shown()[3:] == [REFUSED, "Z I"]
    assert book.recorded() == ["1 ok SELECT 1", "4 skipped"]
    book.server(COLUMNS, done("SELECT 0"), ready())
    assert book.recorded() == ["5 ok SELECT 0"]


# --- skip until Sync ----------------------------------------------------------


def test_what_follows_an_error_that_was_seen_is_skipped(book: Playbook) -> None:
    book.client(parse("SELECT nope", "s"), FLUSH).server(failed("42703", "nope"))
    book.forwarded()
    book.client(query("SELECT 1"), run("SELECT 2"), close("S", "s"), describe("S"))
    book.client(query(DROP), FUNCTION_CALL)
    # Nothing was prepared, so there is nothing to judge a Bind by: it stays here.
    assert book.forwarded() == [
        *("Q SELECT 1", "P  SELECT 2", "C Ss", "D S"),
        *("Q <2>", "Q <3>"),
    ]
    assert book.recorded() == [
        *("1 allow query SELECT 1", "1 skipped"),
        f"2 deny query developer.schema {DROP}",
        "3 deny function_call protocol.function-call",
    ]
    assert not book.session.queue
    book.client(SYNC, query("SELECT 3"))
    book.server(ready(), COLUMNS, done("SELECT 0"), ready())
    assert book.shown()[-3:] == ["T", "C SELECT 0", "Z I"]


def test_a_query_in_the_skip_gets_no_answer(book: Playbook) -> None:
    book.client(parse("SELECT nope"), query("SELECT 1"), query(DROP), SYNC)
    book.server(failed("42703", "nope"), ready())
    assert book.shown() == ["ERROR 42703 nope", "Z I"]
    assert "1 skipped" in book.recorded()
    assert not book.session.queue


# --- what ends the session ----------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        frame("Q", b""),
        frame("Q", b"SELECT 1"),
        frame("Q", b"SELECT 1\0; DROP TABLE t\0"),
        frame("P", b"s\0SELECT 1\0\0\1"),
        frame("P", b"s\0SELECT 1\0\0\0x"),
        frame("P", b"s\0SELECT 1"),
        frame("B", b"\0\0\0\0\0\0\0"),
        frame("B", b"\0\0\0\0\0\0\0\0\0"),
        frame("B", b"\0\0\0\0\0\1\0\0\0\xff\0\0"),
        frame("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
        frame("B", b"\0"),
        frame("E", b"\0\0\0\0"),
        frame("E", b"\0\0\0\0\0\0"),
        frame("E", b"p"),
        frame("D", b""),
        frame("D", b"S"),
        frame("D", b"Xs\0"),
        frame("C", b"Sa\0b\0"),
        frame("S", b"\0"),
        frame("H", b"\0"),
        frame("X", b"\0"),
        frame("c", b"\0"),
        frame("f", b"why"),
        frame("p", b"secret\0"),
        frame("R", b"\0\0\0\0"),
        frame("Z", b"I"),
        b"\0\0\0\0\4",
        b"Q\0\0\0\3",
        b"Q\xff\xff\xff\xff",
        b"S\0\0\x27\x11",
        b"Q\x3f\xff\xff\xff",
    ],
)
def test_a_malformed_message_ends_the_session(book: Playbook, message: bytes) -> None:
    book.client(parse("SELECT 1"), message, query("SELECT 2"))
    assert book.ending() == "08P01"
    assert book.forwarded() == ["P  SELECT 1"]
    assert book.recorded() == []


def test_what_was_whole_before_it_is_forwarded(book: Playbook) -> None:
    book.client(query("SELECT 1"), frame("Q", b"no end"))
    assert book.forwarded() == ["Q SELECT 1"]
    assert book.recorded() == ["1 allow query SELECT 1"]
    assert book.ending() == "08P01"
    assert book.lost().recorded() == ["1 unknown"]


def test_terminate_ends_the_session_quietly(book: Playbook) -> None:
    book.client(query("SELECT 1"), TERMINATE, query("SELECT 2"))
    assert book.forwarded() == ["Q SELECT 1", "X"]
    assert book.ending() == "quietly"


def test_after_the_end_nothing_is_taken(book: Playbook) -> None:
    book.client(TERMINATE).client(query("SELECT 1")).server(ready())
    assert book.forwarded() == ["X"]
    assert book.shown() == []


# --- a policy and a quarantine that change ------------------------------------

INSERT = "INSERT INTO t VALUES (1)"


def test_quarantine_judges_prepared_statements_again() -> None:
    book = Playbook("migrator")
    book.client(parse(INSERT, "w"), parse("SELECT 1", "r"), SYNC)
    book.server(PARSED, PARSED, ready())
    book.client(query("DROP SCHEMA public")).server(no_such(1), ready())
    book.client(bind("w"), SYNC, bind("r"), execute(), SYNC)
    assert book.forwarded()[-5:] == ["P pgwarden_refused <2>", "S", "B  r", "E  0", "S"]
    assert book.records[-2]["message"] == "bind"


def test_quarantine_reaches_a_portal_that_was_bound() -> None:
    book = Playbook("migrator")
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.client(parse(INSERT), bind("", "p"), SYNC).server(PARSED, BOUND, ready("T"))
    book.client(query("DROP SCHEMA public"), execute("p"), SYNC)
    assert book.forwarded()[-3:] == ["Q <2>", "P pgwarden_refused <3>", "S"]


def test_quarantine_reaches_sql_execute() -> None:
    book = Playbook("migrator")
    book.client(query(f"PREPARE w AS {INSERT}")).server(done("PREPARE"), ready())
    book.client(query("EXECUTE w"), query("DROP SCHEMA public"), query("EXECUTE w"))
    assert book.forwarded()[-3:] == ["Q EXECUTE w", "Q <3>", "Q <4>"]


@pytest.mark.parametrize("step", ["parse", "bind", "execute"])
def test_a_new_policy_counts_from_the_next_message_on(step: str) -> None:
    book = Playbook("migrator", judge=judge_of("migrator", "development"))
    strict = judge_of("migrator")
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.recorded()
    book.client(parse(DROP, "s"), FLUSH).server(PARSED)
    if step == "parse":
        book.session.follow(strict)
    book.client(bind("s", "p"), FLUSH)
    if step == "bind":
        book.session.follow(strict)
    book.client(execute("p", 1), FLUSH)
    if step == "execute":
        book.session.follow(strict)
    book.client(execute("p", 1), SYNC)
    denied = [line.split()[2] for line in book.recorded() if "deny" in line]
    assert (
        denied
        == {
            "parse": ["bind", "execute", "execute"],
            "bind": ["execute", "execute"],
            "execute": ["execute"],
        }[step]
    )
