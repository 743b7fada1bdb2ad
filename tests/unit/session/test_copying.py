"""COPY-in: which Sync is answered, where the data ends, what an error leaves."""

from __future__ import annotations

import pytest

from tests.unit.session.playbook import (
    BOUND,
    COLUMNS,
    COPY_DONE,
    COPY_IN,
    COPY_OUT,
    FLUSH,
    PARSED,
    SYNC,
    Playbook,
    bind,
    copy_data,
    copy_fail,
    describe,
    done,
    execute,
    failed,
    frame,
    no_such,
    parse,
    query,
    ready,
    run,
)

COPY = "COPY t FROM STDIN"


@pytest.fixture
def book() -> Playbook:
    return Playbook("migrator")


def is_quiet(book: Playbook) -> bool:
    return not book.session.queue and not book.ending()


def test_copy_in_by_query(book: Playbook) -> None:
    book.client(query(COPY)).server(COPY_IN)
    book.client(copy_data(), FLUSH, copy_data(), COPY_DONE)
    assert book.forwarded() == [f"Q {COPY}", "d 2", "H", "d 2", "c"]
    book.server(done("COPY 2"), ready())
    assert book.recorded()[1:] == ["1 ok COPY 2"]
    assert is_quiet(book)


def test_copy_in_as_libpq_sends_it(book: Playbook) -> None:
    book.client(parse(COPY), bind(), describe("P"), execute(), SYNC)
    book.server(PARSED, BOUND, frame("n"), COPY_IN)
    book.client(copy_data()).client(COPY_DONE, SYNC)
    book.server(done("COPY 1"), ready())
    assert is_quiet(book)
    book.client(query("SELECT 1")).server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)
    assert book.recorded()[1:] == [
        *("1 ok COPY 1", "2 allow query SELECT 1", "2 ok SELECT 0"),
    ]


def test_all_sent_before_the_first_answer(book: Playbook) -> None:
    book.client(run(COPY), SYNC, copy_data(), COPY_DONE, SYNC, query("SELECT 1"))
    book.server(PARSED, BOUND, COPY_IN, done("COPY 1"), ready())
    book.server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)


def test_copy_that_fails_to_begin(book: Playbook) -> None:
    book.client(run(COPY), SYNC, copy_data(), COPY_DONE, SYNC, query("SELECT 1"))
    book.server(PARSED, BOUND, failed("42P01", "no table"), ready(), ready())
    book.server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)
    assert book.recorded()[-1] == "2 ok SELECT 0"


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_sync_amid_a_copy_that_fails(book: Playbook, is_answered: bool) -> None:
    """A trigger may fail before Postgres reads the Sync; bad data fails after."""
    book.client(run(COPY), SYNC).server(PARSED, BOUND, COPY_IN)
    book.client(copy_data()).server(failed("22P04", "bad"))
    if is_answered:
        book.server(ready())
    book.client(COPY_DONE, SYNC).server(ready())
    book.client(query("SELECT 1")).server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)
    assert book.recorded() == [
        *(f"1 allow execute {COPY}", "1 error 22P04"),
        *("2 allow query SELECT 1", "2 ok SELECT 0"),
    ]


def test_where_it_is_not_certain_what_ran_the_session_ends(book: Playbook) -> None:
    book.client(run(COPY), SYNC).server(PARSED, BOUND, COPY_IN)
    book.client(copy_data(), COPY_DONE, run("SELECT 1"), SYNC)
    book.server(failed("22P04", "bad"))
    assert not book.ending()
    book.server(ready())
    assert book.ending() == "08006"


@pytest.mark.parametrize("answered", [1, 2, 3])
def test_several_syncs_amid_a_copy_that_fails(book: Playbook, answered: int) -> None:
    book.client(run(COPY), SYNC, SYNC).server(PARSED, BOUND, COPY_IN)
    book.client(copy_data(), copy_fail(), SYNC).server(failed("22P04", "bad"))
    book.server(*[ready()] * answered)
    book.client(run("SELECT 1"), SYNC)
    book.server(PARSED, BOUND, done("SELECT 0"), ready())
    assert is_quiet(book)


def test_copy_fail(book: Playbook) -> None:
    book.client(run(COPY), SYNC).server(PARSED, BOUND, COPY_IN)
    book.client(copy_data(), copy_fail(), SYNC)
    book.server(failed("57014", "COPY from stdin failed: no"), ready())
    assert book.recorded()[1:] == ["1 error 57014"]
    assert [book.session.skipping, book.session.copying_in] == [False, False]
    book.client(query("SELECT 1")).server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)


def test_several_copies_in_one_query(book: Playbook) -> None:
    book.client(query(f"{COPY}; {COPY}; SELECT 1")).server(COPY_IN)
    book.client(copy_data(), COPY_DONE).server(done("COPY 1"), COPY_IN)
    book.client(copy_data(), SYNC, COPY_DONE, query("SELECT 2"))
    book.server(done("COPY 1"), COLUMNS, done("SELECT 0"), ready())
    book.server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)


def test_copy_by_sql_execute_of_a_parsed_copy(book: Playbook) -> None:
    book.client(parse(COPY, "c"), SYNC).server(PARSED, ready())
    book.client(query("EXECUTE c"), copy_data(), COPY_DONE, SYNC)
    book.server(COPY_IN, done("COPY 1"), ready(), ready())
    assert is_quiet(book)


def test_a_refused_message_amid_a_copy_is_still_replaced(book: Playbook) -> None:
    book.client(query(COPY)).server(COPY_IN)
    book.client(query("DROP TABLE t"))
    assert book.forwarded()[-1] == "Q <2>"
    book.server(failed("08P01", "unexpected message type 0x51"))
    book.server(failed("08P01", "synchronization was lost", severity="FATAL"))
    assert [line[:11] for line in book.shown()] == ["G", "ERROR 08P01", "FATAL 08P01"]


def test_copy_messages_outside_a_copy_are_ignored_by_postgres(book: Playbook) -> None:
    book.client(copy_data(), COPY_DONE, copy_fail(), query("SELECT 1"))
    book.server(COLUMNS, done("SELECT 0"), ready())
    assert is_quiet(book)


def test_copy_out_passes_unread(book: Playbook) -> None:
    book.client(query("COPY t TO STDOUT"))
    answer = COPY_OUT + copy_data() * 3 + COPY_DONE + done("COPY 3") + ready()
    book.server(answer)
    assert book.seen == answer
    assert book.recorded()[-1] == "1 ok COPY 3"


def test_copy_data_is_streamed(book: Playbook) -> None:
    book.client(query(COPY)).server(COPY_IN)
    data = copy_data(b"x" * 3_000_000)
    for start in range(0, len(data), 100_000):
        book.client(data[start : start + 100_000])
        assert len(book.sent) == len(query(COPY)) + min(start + 100_000, len(data))
    book.client(COPY_DONE).server(done("COPY 1"), ready())
    assert is_quiet(book)


def test_copy_done_behind_other_messages_of_a_copy_that_never_began(
    book: Playbook,
) -> None:
    book.client(query(f"SELECT 1/0; {COPY}"), parse("SELECT 1"), COPY_DONE, SYNC)
    book.server(COLUMNS, failed(), ready(), PARSED, ready())
    assert is_quiet(book)


def test_a_refused_copy_leaves_its_data_outside(book: Playbook) -> None:
    book.client(query("COPY t FROM PROGRAM 'id'"), copy_data(), COPY_DONE, SYNC)
    book.server(no_such(1), ready(), ready())
    assert is_quiet(book)
