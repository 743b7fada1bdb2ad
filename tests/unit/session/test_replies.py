"""What Postgres answers, and what that means: outcomes, the swap, the skip, alarms."""

from __future__ import annotations

import pytest

from tests.unit.session.playbook import (
    BOUND,
    CLOSED,
    COLUMNS,
    EMPTY,
    FLUSH,
    NO_DATA,
    PARSED,
    ROW,
    SUSPENDED,
    SYNC,
    Playbook,
    bind,
    close,
    describe,
    done,
    execute,
    failed,
    frame,
    no_such,
    parameters,
    parse,
    query,
    ready,
    reported,
    run,
)

DROP = "DROP TABLE orders"
NOTICE = failed("00000", "hm", severity="NOTICE").replace(b"E", b"N", 1)


@pytest.fixture
def book() -> Playbook:
    return Playbook()


# --- the swap -----------------------------------------------------------------


def test_the_first_is_dropped_and_the_second_swapped(book: Playbook) -> None:
    book.client(parse("SELECT nope"), parse(DROP), SYNC, parse(DROP), SYNC)
    book.server(failed("42703", "nope"), ready(), no_such(2), ready())
    assert [line[:11] for line in book.shown()] == [
        *("ERROR 42703", "Z I", "ERROR 42501", "Z I"),
    ]
    assert not book.session.queue


def test_in_status_e_the_refusal_comes_instead_of_25p02(book: Playbook) -> None:
    book.client(query("BEGIN"), query("SELECT 1/0"), query(DROP))
    book.server(done("BEGIN"), ready("T"), failed(), ready("E"), no_such(3), ready("E"))
    assert book.shown()[-2][:11] == "ERROR 42501"


def test_with_exit_on_error_the_refusal_is_fatal(book: Playbook) -> None:
    book.client(query(DROP)).server(no_such(1, severity="FATAL"))
    assert book.shown()[0].startswith("FATAL 42501 DROP TABLE is not allowed")
    assert book.session.said_fatal


@pytest.mark.parametrize(
    "answer",
    [
        no_such(1, position=8),
        no_such(1, position=0),
        no_such(2),
        no_such(11),
        failed("42703", 'column "pgwarden_tttt_1" does not exist', position=1),
        failed("57014", "canceling statement due to user request"),
        failed("42601", 'syntax error at or near "pgwarden_uuuu_1"', position=1),
    ],
)
def test_another_error_is_not_swapped(book: Playbook, answer: bytes) -> None:
    book.client(query(DROP)).server(answer, ready())
    assert book.seen == answer + ready()


@pytest.mark.parametrize(
    "message",
    [
        "Syntaxfehler bei »pgwarden_tttt_1«",
        "erreur de syntaxe sur ou près de « pgwarden_tttt_1 »",
        "error de sintaxis en o cerca de «pgwarden_tttt_1»",
    ],
)
def test_a_server_of_another_language_quotes_otherwise(
    book: Playbook, message: str
) -> None:
    book.client(query(DROP)).server(failed("42601", message, position=1))
    assert book.shown()[0].startswith("ERROR 42501")


def test_a_clients_own_error_that_quotes_a_token_stays(book: Playbook) -> None:
    book.client(query('SELECT "pgwarden_tttt_1"'), query("SELECT pgwarden_tttt_2"))
    book.server(no_such(1), ready(), no_such(2), ready())
    assert all("syntax error" in line for line in book.shown() if line != "Z I")


def test_notices_and_notifications_pass_at_any_time(book: Playbook) -> None:
    async_messages = NOTICE + frame("A", b"\0\0\0\1c\0p\0") + reported("a", "b")
    book.client(query("SELECT 1"), query(DROP))
    parts = [COLUMNS, done("SELECT 0"), ready(), no_such(2), ready()]
    for part in parts:
        book.server(async_messages, part)
    assert [line for line in book.shown() if line[0] not in "NAS"] == [
        *("T", "C SELECT 0", "Z I"),
        "ERROR 42501 DROP TABLE is not allowed for role developer: "
        "this role only reads",
        "Z I",
    ]


def test_an_error_when_nothing_is_owed_passes(book: Playbook) -> None:
    farewell = failed("57P01", "terminating connection", severity="FATAL")
    book.server(farewell)
    assert book.seen == farewell
    assert book.session.said_fatal
    assert not book.ending()


def test_only_the_severity_field_says_fatal(book: Playbook) -> None:
    book.client(query("SELECT 1")).server(failed("P0001", "VFATAL"))
    assert not book.session.said_fatal


# --- outcomes -----------------------------------------------------------------


def test_a_query_has_one_outcome_with_its_last_tag(book: Playbook) -> None:
    book.client(query("SELECT 1; SELECT 2")).server(COLUMNS, ROW, done("SELECT 1"))
    book.server(COLUMNS, ROW, ROW, done("SELECT 2"), ready())
    assert book.recorded()[1:] == ["1 ok SELECT 2"]
    assert book.records[-1]["rows"] == 3


def test_an_error_in_a_query_is_its_outcome(book: Playbook) -> None:
    book.client(query("SELECT 1; SELECT 1/0"))
    book.server(COLUMNS, done("SELECT 1"), failed(), ready())
    assert book.recorded()[1:] == ["1 error 22012"]


def test_an_empty_text_has_an_outcome(book: Playbook) -> None:
    book.client(query(""), run(""), SYNC)
    book.server(EMPTY, ready(), PARSED, BOUND, EMPTY, ready())
    assert [r for r in book.recorded() if "allow" not in r] == ["1 ok", "2 ok"]


def test_later_fetches_add_to_one_outcome(book: Playbook) -> None:
    book.client(parse("SELECT 1"), bind("", "p"), execute("p", 2), FLUSH)
    book.server(PARSED, BOUND, ROW, ROW, SUSPENDED)
    book.client(execute("p", 2), execute("p", 2), SYNC)
    assert book.recorded() == ["1 allow execute SELECT 1"]
    book.server(ROW, ROW, SUSPENDED, ROW, done("SELECT 1"), ready())
    assert book.recorded() == ["1 ok SELECT 1"]


def test_what_a_suspended_utility_did_to_names_is_done(book: Playbook) -> None:
    """Otherwise what names them would wait for ever."""
    book.client(run("DECLARE p CURSOR FOR SELECT 1", portal="p", rows=1), SYNC)
    book.client(execute("p"))
    assert book.is_held()
    book.server(PARSED, BOUND, SUSPENDED, ready("T"))
    assert not book.is_held()


def test_a_suspended_portal_ends_with_its_transaction(book: Playbook) -> None:
    book.client(query("BEGIN"), run("SELECT 1", portal="p", rows=1), SYNC)
    book.server(done("BEGIN"), ready("T"), PARSED, BOUND, ROW, SUSPENDED, ready("T"))
    book.recorded()
    book.client(query("COMMIT"), query("SELECT 2"))
    book.server(done("COMMIT"), ready())
    assert book.recorded()[-2:] == ["3 ok COMMIT", "2 ok"]


def test_a_portal_that_is_closed_or_replaced_has_run_its_course(
    book: Playbook,
) -> None:
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    for ends, answer in ((bind(), BOUND), (close("P"), CLOSED)):
        book.client(run("SELECT 1", rows=1), SYNC)
        book.server(PARSED, BOUND, ROW, SUSPENDED, ready("T"))
        book.recorded()
        book.client(ends, SYNC).server(answer, ready("T"))
        assert [r.split()[1] for r in book.recorded()] == ["ok"]
        assert not book.session.suspended


def test_a_deferred_constraint_fails_the_statement_before_the_sync() -> None:
    book = Playbook("migrator")
    book.client(run("INSERT INTO t VALUES (1)"), SYNC)
    book.server(PARSED, BOUND, done("INSERT 0 1"), failed("23503", "fk"), ready())
    assert book.recorded()[1:] == ["1 error 23503"]
    assert not book.session.queue


def test_what_is_unanswered_when_a_side_goes_is_unknown(book: Playbook) -> None:
    book.client(query("BEGIN"), run("SELECT 1", portal="p", rows=1), SYNC)
    book.server(done("BEGIN"), ready("T"), PARSED, BOUND, ROW, SUSPENDED, ready("T"))
    book.client(execute("p", 1), execute("p", 1), query("SELECT 2"), query(DROP))
    book.recorded()
    assert book.lost().recorded() == ["2 unknown", "3 unknown"]


def test_what_completed_before_a_side_goes_is_known(book: Playbook) -> None:
    book.client(run("SELECT 1"), FLUSH).server(PARSED, BOUND, done("SELECT 1"))
    book.recorded()
    assert book.lost().recorded() == ["1 ok SELECT 1"]


def test_a_fetch_that_is_skipped_does_not_end_the_run(book: Playbook) -> None:
    book.client(query("BEGIN"), run("SELECT 1", portal="p", rows=1), SYNC)
    book.server(done("BEGIN"), ready("T"), PARSED, BOUND, ROW, SUSPENDED, ready("T"))
    book.recorded()
    book.client(parse("SELECT nope"), execute("p"), SYNC)
    book.server(failed("42703", "nope"), ready("E"))
    assert book.recorded() == []
    book.client(query("ROLLBACK")).server(done("ROLLBACK"), ready())
    assert book.recorded()[-1].startswith("2 ok")


# --- what is tracked ----------------------------------------------------------


def test_descriptions_answer_describe(book: Playbook) -> None:
    book.client(parse("SELECT 1", "s"), describe("S", "s"), bind("s"), describe("P"))
    book.client(execute(), SYNC)
    book.server(PARSED, parameters(), COLUMNS, BOUND, NO_DATA, done("SELECT 0"))
    book.server(ready())
    assert not book.session.queue
    assert book.session.statements.get(b"s")


@pytest.mark.parametrize(
    "unexpected",
    [
        ready(),
        PARSED,
        BOUND,
        CLOSED,
        COLUMNS,
        NO_DATA,
        done("SELECT 1"),
        EMPTY,
        SUSPENDED,
        frame("G", b"\0\0\0"),
        frame("W", b"\0\0\0"),
        frame("V", b"\0\0\0\0"),
        frame("K", b"\0" * 8),
        frame("R", b"\0" * 4),
        b"T\0\0\0\3",
        frame("Z", b""),
    ],
)
def test_an_answer_to_nothing_ends_the_session(
    book: Playbook, unexpected: bytes
) -> None:
    book.server(unexpected)
    assert book.ending() == "08006"


@pytest.mark.parametrize("unexpected", [BOUND, COLUMNS, done("SELECT 1"), ready()])
def test_an_answer_out_of_order_ends_the_session(
    book: Playbook, unexpected: bytes
) -> None:
    book.client(parse("SELECT 1"), SYNC).server(unexpected)
    assert book.ending() == "08006"


@pytest.mark.parametrize(
    ("value", "ends"), [("on", False), ("off", True), ("", True), ("on\0x", True)]
)
def test_a_watched_parameter_is_an_alarm(value: str, ends: bool) -> None:
    name = "default_transaction_read_only"
    book = Playbook(watched={name: "on"})
    book.client(query("SELECT 1"))
    book.recorded()
    book.server(reported(name, value), reported("other", "x"))
    assert book.ending() == ("08P01" if ends else "")
    assert book.recorded() == (["internal parameter-alarm"] if ends else [])


@pytest.mark.parametrize(
    ("name", "value", "ends"),
    [
        ("search_path", "public, warehouse", False),  # every value is permitted
        ("session_authorization", "pgwarden_reader", False),  # what it was
        ("session_authorization", "postgres", True),
    ],
)
def test_what_the_policy_permits_is_no_alarm(name: str, value: str, ends: bool) -> None:
    watched = {"search_path": "public", "session_authorization": "pgwarden_reader"}
    book = Playbook(watched=watched)
    book.client(query("SELECT 1")).server(reported(name, value))
    assert book.ending() == ("08P01" if ends else "")


def test_replies_split_at_every_byte(book: Playbook) -> None:
    book.client(query("SELECT 1"), run("SELECT 2"), SYNC, query(DROP))
    answer = COLUMNS + ROW + done("SELECT 1") + ready() + PARSED + BOUND + ROW
    answer += NOTICE + done("SELECT 1") + ready() + reported("a", "b") + no_such(3)
    for byte in answer + ready():
        book.server(bytes([byte]))
    assert book.seen.startswith(answer[: answer.index(b"E", answer.index(b"\0b\0"))])
    assert book.shown()[-2][:11] == "ERROR 42501"
    assert not book.session.queue


def test_a_long_error_is_not_held_whole(book: Playbook) -> None:
    book.client(query("SELECT 1"))
    long = failed("22P02", "x" * 100_000)
    for start in range(0, len(long), 1000):
        book.server(long[start : start + 1000])
        assert len(book.session.backend_rest) <= 17_000
    book.server(ready())
    assert book.seen == long + ready()
    assert book.recorded()[-1] == "1 error 22P02"


@pytest.mark.parametrize("kind", ["C", "Z", "S"])
def test_no_message_that_is_held_may_be_huge(book: Playbook, kind: str) -> None:
    book.client(query("SELECT 1")).server(kind.encode() + b"\x7f\0\0\0xx")
    assert book.ending() == "08006"
