"""Names: protocol and SQL share them, and what is not answered may not be certain."""

from __future__ import annotations

import pytest

from tests.unit.session.playbook import (
    BOUND,
    CLOSED,
    COLUMNS,
    FLUSH,
    PARSED,
    ROW,
    SUSPENDED,
    SYNC,
    Playbook,
    bind,
    close,
    done,
    execute,
    failed,
    no_such,
    parse,
    query,
    ready,
    run,
)

INSERT = "INSERT INTO t VALUES (1)"
UNKNOWN = "session.unknown-prepared-statement"


@pytest.fixture
def book() -> Playbook:
    return Playbook("migrator")


def rules(book: Playbook) -> list[str]:
    return [r["rule"] for r in book.records if r.get("decision") == "deny"]


# --- certain or not -----------------------------------------------------------


def test_a_parse_of_an_existing_name_is_pending(book: Playbook) -> None:
    """Which of the two texts a later Bind runs is known only from the answer."""
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(parse(INSERT, "s"), SYNC, bind("s"), execute(), SYNC)
    assert book.is_held()
    assert book.forwarded()[2:] == [f"P s {INSERT}", "S"]
    book.server(failed("42P05", "exists"))
    assert not book.is_held()
    assert book.recorded() == ["1 allow execute SELECT 1"]
    assert book.forwarded() == ["B  s", "E  0", "S"]


def test_within_a_segment_there_is_no_doubt(book: Playbook) -> None:
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(close("S", "s"), run(INSERT, name="s"), SYNC)
    assert not book.is_held()
    assert book.recorded() == [f"1 allow execute {INSERT}"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_close_may_have_been_skipped(book: Playbook, succeeds: bool) -> None:
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(parse("SELECT nope"), close("S", "s"), SYNC, bind("s"), SYNC)
    assert book.is_held()
    if succeeds:
        book.server(PARSED, CLOSED, ready())
        assert book.forwarded()[-2:] == ["P pgwarden_refused <1>", "S"]
    else:
        book.server(failed("42703", "nope"), ready())
        assert book.forwarded()[-2:] == ["B  s", "S"]


def test_hundreds_of_held_messages_go_on_in_order(book: Playbook) -> None:
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(query("DEALLOCATE s"), *[bind("s") + SYNC] * 200, query("SELECT 2"))
    book.client(query("SELECT 3"))
    assert book.session.is_full
    book.server(failed("57014", "cancelled"), ready())
    assert book.forwarded()[-3:] == ["S", "Q SELECT 2", "Q SELECT 3"]
    assert len(client_binds(book)) == 200
    assert not book.session.is_full


def client_binds(book: Playbook) -> list[str]:
    book._looked_at[0] = 0
    return [line for line in book.forwarded() if line.startswith("B ")]


def test_held_again_while_answers_come_one_by_one(book: Playbook) -> None:
    book.client(query("PREPARE a AS SELECT 1"), query("PREPARE b AS SELECT 1"))
    book.server(done("PREPARE"), ready(), done("PREPARE"), ready())
    book.client(query("DEALLOCATE a"), query("DEALLOCATE b"))
    book.client(query("EXECUTE a"), query("EXECUTE b"))
    book.server(failed("57014", "no"), ready())
    assert book.is_held()
    assert book.forwarded()[-1] == "Q EXECUTE a"
    book.server(done("DEALLOCATE"), ready())
    assert book.forwarded() == ["Q <6>"]
    assert rules(book) == [UNKNOWN]


# --- one name space -----------------------------------------------------------


def test_sql_prepare_and_bind(book: Playbook) -> None:
    book.client(query(f"PREPARE s AS {INSERT}")).server(done("PREPARE"), ready())
    book.client(bind("s"), execute(), SYNC)
    assert book.forwarded()[1:] == ["B  s", "E  0", "S"]
    assert book.recorded()[-1] == f"2 allow execute PREPARE s AS {INSERT}"


def test_parse_and_sql_execute_deallocate(book: Playbook) -> None:
    book.client(parse(INSERT, "s"), SYNC).server(PARSED, ready())
    book.client(query("EXECUTE s")).server(done("INSERT 0 1"), ready())
    assert book.records[0]["statements"][0]["kind"] == "insert"
    book.client(query("DEALLOCATE s"), query("EXECUTE s"))
    book.server(done("DEALLOCATE"), ready())
    assert rules(book) == [UNKNOWN]


def test_names_are_compared_as_postgres_does(book: Playbook) -> None:
    long = "n" * 70
    book.client(parse("SELECT 1", long), SYNC).server(PARSED, ready())
    book.client(bind("n" * 63 + "other"), SYNC, query(f"EXECUTE {long}"))
    book.client(query(f'EXECUTE "{long.upper()}"'))
    assert rules(book) == [UNKNOWN]


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_deallocate_all_spares_the_unnamed_statement(book: Playbook, text: str) -> None:
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(run(text), SYNC).server(PARSED, BOUND, done(text), ready())
    book.client(bind("s"), SYNC, bind(), SYNC)
    assert rules(book) == [UNKNOWN]
    assert book.forwarded()[-2:] == ["B", "S"]


def test_a_text_that_fails_half_way_did_what_it_completed(book: Playbook) -> None:
    book.client(query("PREPARE a AS SELECT 1; PREPARE b AS SELECT 1; SELECT 1/0"))
    book.server(done("PREPARE"), failed(), ready())
    book.client(query("EXECUTE a"), query("EXECUTE b"))
    assert rules(book) == [UNKNOWN]
    assert len(book.session.statements) == 1


def test_what_replaces_a_closed_name_and_fails_leaves_nothing(book: Playbook) -> None:
    book.client(query("PREPARE a AS SELECT 1")).server(done("PREPARE"), ready())
    book.client(query("DEALLOCATE a; PREPARE a AS SELECT 2"))
    book.server(done("DEALLOCATE"), failed(), ready())
    assert len(book.session.statements) == 0


def test_a_failed_parse_drops_the_unnamed_statement(book: Playbook) -> None:
    book.client(parse("SELECT 1"), SYNC, parse("SELECT nope"), SYNC)
    book.server(PARSED, ready(), failed("42703", "nope"), ready())
    book.client(bind(), SYNC)
    assert rules(book) == [UNKNOWN]


def test_an_execute_is_judged_by_what_the_name_means_now(book: Playbook) -> None:
    book.client(parse("SELECT 1", "q"), parse("EXECUTE q", "x"), SYNC)
    book.server(PARSED, PARSED, ready())
    book.client(close("S", "q"), parse(INSERT, "q"), SYNC)
    book.server(CLOSED, PARSED, ready())
    book.client(bind("x"), execute(), SYNC)
    assert book.records[-1]["statements"][0]["kind"] == "insert"


def test_an_execute_of_an_execute_is_refused(book: Playbook) -> None:
    """By the time it runs, the inner name may stand for another text."""
    book.client(parse("SELECT 1", "q"), parse("EXECUTE q", "x"), SYNC)
    book.server(PARSED, PARSED, ready())
    book.client(query("EXECUTE x"), query("PREPARE y AS SELECT 1; EXECUTE y"))
    assert rules(book) == ["session.nested-execute"]


# --- cursors and portals ------------------------------------------------------


def test_a_cursor_is_a_portal(book: Playbook) -> None:
    declare = "DECLARE c CURSOR FOR SELECT 1"
    book.client(query("BEGIN"), query(declare), execute("c", 1), SYNC)
    assert book.recorded()[-1] == f"3 allow execute {declare}"
    book.server(done("BEGIN"), ready("T"), done("DECLARE CURSOR"), ready("T"))
    book.server(ROW, SUSPENDED, ready("T"))
    book.client(query("CLOSE c")).server(done("CLOSE CURSOR"), ready("T"))
    book.client(execute("c"), SYNC)
    assert rules(book) == ["session.unknown-portal"]


@pytest.mark.parametrize(
    "fetch", ["FETCH ALL FROM p", "MOVE p", "SELECT 1; FETCH p", 'FETCH "p"']
)
def test_fetch_does_not_run_a_portal_past_its_record(
    book: Playbook, fetch: str
) -> None:
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.client(parse(f"{INSERT} RETURNING 1"), bind("", "p"), SYNC)
    book.server(PARSED, BOUND, ready("T"))
    book.client(query(fetch))
    assert rules(book) == ["session.fetch-of-portal"]
    assert book.forwarded()[-1] == "Q <2>"


def test_a_run_that_was_skipped_is_no_run(book: Playbook) -> None:
    """The portal may outlive the error by a savepoint; its run is still to come."""
    book.client(query("BEGIN"), parse(INSERT), bind("", "p"), SYNC)
    book.client(query("SAVEPOINT s"), parse("SELECT nope"), execute("p"), SYNC)
    book.server(done("BEGIN"), ready("T"), PARSED, BOUND, ready("T"))
    book.server(done("SAVEPOINT"), ready("T"), failed("42703", "nope"), ready("E"))
    book.client(query("ROLLBACK TO s")).server(done("ROLLBACK"), ready("T"))
    book.recorded()
    book.client(query("FETCH p"), execute("p"), SYNC)
    assert book.recorded() == [
        "5 deny query session.fetch-of-portal FETCH p",
        f"6 allow execute {INSERT}",
    ]


def test_nor_by_the_extended_protocol(book: Playbook) -> None:
    book.client(parse(INSERT), bind("", "p"), run("FETCH p", name="f"), SYNC)
    assert rules(book) == ["session.fetch-of-portal"]


def test_a_portal_that_was_executed_may_be_fetched_from(book: Playbook) -> None:
    book.client(query("BEGIN"), parse("SELECT 1"), bind("", "p"), execute("p", 1))
    book.client(query("FETCH ALL FROM p"), query("FETCH ALL FROM c"))
    assert rules(book) == []


def test_portals_end_with_their_transaction_held_cursors_do_not(
    book: Playbook,
) -> None:
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.client(query("DECLARE h CURSOR WITH HOLD FOR SELECT 1"))
    book.server(done("DECLARE CURSOR"), ready("T"))
    book.client(query("DECLARE c CURSOR FOR SELECT 1"), parse("SELECT 1"))
    book.client(bind("", "p"), SYNC)
    book.server(done("DECLARE CURSOR"), ready("T"), PARSED, BOUND, ready("T"))
    book.client(query("COMMIT")).server(done("COMMIT"), ready())
    assert list(book.session.portals) == [b"h"]


def test_a_held_cursor_that_was_suspended_has_one_outcome(book: Playbook) -> None:
    book.client(query("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT 1"))
    book.server(done("BEGIN"), done("DECLARE CURSOR"), ready("T"))
    book.client(execute("h", 1), SYNC).server(ROW, SUSPENDED, ready("T"))
    book.client(query("COMMIT")).server(done("COMMIT"), ready())
    book.client(execute("h", 1), SYNC).server(done("SELECT 0"), ready())
    ended = [r["audit_id"] for r in book.records if r["kind"] == "outcome"]
    assert sorted(ended) == ["s1-1", "s1-2", "s1-3"]


def test_an_unknown_execute_leaves_the_rest_alone(book: Playbook) -> None:
    book.client(query("EXECUTE none"), query("SELECT 1"), FLUSH)
    book.server(no_such(1), ready(), COLUMNS, done("SELECT 0"), ready())
    assert [line[:11] for line in book.shown()] == [
        *("ERROR 26000", "Z I", "T", "C SELECT 0", "Z I"),
    ]
