"""The audit log is full: what it could not record does not run, and nobody is stuck."""

from __future__ import annotations

import pytest

from tests.unit.session.playbook import (
    BOUND,
    PARSED,
    SYNC,
    Playbook,
    bind,
    done,
    execute,
    failed,
    no_such,
    parse,
    query,
    ready,
    run,
)


@pytest.fixture
def book() -> Playbook:
    return Playbook("migrator")


def full(book: Playbook) -> Playbook:
    book.forwarded()
    book.recorded()
    book.log_is_full = True
    return book


def test_a_query_is_replaced_in_place(book: Playbook) -> None:
    full(book).client(query("SELECT 1"), query("DROP TABLE t"), query("SELECT 2"))
    assert book.forwarded() == ["Q <1>", "Q <2>", "Q <3>"]
    assert [line.split()[1:4] for line in book.recorded()] == [
        ["deny", "query", "audit.unavailable"],
        ["deny", "query", "migrator.drop"],
        ["deny", "query", "audit.unavailable"],
    ]
    book.server(no_such(1), ready(), no_such(2), ready(), no_such(3), ready())
    assert [line[6:11] for line in book.shown()][::2] == ["58030", "42501", "58030"]
    assert book.lost().recorded() == []


def test_an_execute_is_replaced_and_its_later_fetches_have_no_outcome(
    book: Playbook,
) -> None:
    full(book).client(run("SELECT 1", portal="p", rows=1), execute("p"), SYNC)
    assert book.forwarded() == [
        *("P  SELECT 1", "B p", "P pgwarden_refused <1>", "E p 0", "S"),
    ]
    book.recorded()
    book.server(PARSED, BOUND, no_such(1), ready())
    assert book.recorded() == []
    assert book.shown()[-2].startswith("ERROR 58030 ")


def test_what_postgres_skips_anyway_has_no_outcome_either(book: Playbook) -> None:
    book.client(parse("SELECT nope"), SYNC[:0])
    book.server(failed("42703", "nope"))
    full(book).client(query("SELECT 1"), query("SELECT 2"), SYNC)
    assert book.forwarded() == ["Q <1>", "Q <2>", "S"]
    assert [line.split()[1] for line in book.recorded()] == ["deny", "deny"]


def test_names_are_undone(book: Playbook) -> None:
    full(book).client(query("PREPARE a AS SELECT 1"))
    assert len(book.session.statements) == 0


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("ROLLBACK", True),
        ("ABORT", True),
        ("ROLLBACK AND CHAIN", True),
        ("ROLLBACK TO s", False),
        ("ROLLBACK PREPARED 'x'", False),
        ("ROLLBACK; INSERT INTO t VALUES (1)", False),
        ("COMMIT", False),
    ],
)
def test_what_may_pass_in_a_transaction(
    book: Playbook, text: str, passes: bool
) -> None:
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    full(book).client(query(text))
    assert book.forwarded() == ([f"Q {text}"] if passes else ["Q <2>"])


@pytest.mark.parametrize("text", ["COMMIT", "END", "ROLLBACK"])
def test_what_may_pass_in_a_failed_one(book: Playbook, text: str) -> None:
    book.client(query("BEGIN; SELECT 1/0"))
    book.server(done("BEGIN"), failed(), ready("E"))
    full(book).client(query(text))
    assert book.forwarded() == [f"Q {text}"]


def test_a_commit_is_no_way_out_behind_other_statements(book: Playbook) -> None:
    """The status is that of the last answer; a transaction may have begun since."""
    book.client(query("BEGIN; SELECT 1/0"))
    book.server(done("BEGIN"), failed(), ready("E"))
    book.client(query("ROLLBACK"), query("BEGIN"), query("INSERT INTO t VALUES (1)"))
    full(book).client(query("COMMIT"))
    assert book.forwarded() == ["Q <5>"]


def test_when_the_log_is_back_all_is_well(book: Playbook) -> None:
    full(book).client(query("SELECT 1"), bind("none"), SYNC)
    book.log_is_full = False
    book.client(query("SELECT 2"))
    assert book.forwarded()[-1] == "Q SELECT 2"
