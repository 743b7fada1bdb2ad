"""Statements per minute: at most so many in any, and when there is room again."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.session.rate import Rate
from tests.unit.session.playbook import (
    SYNC,
    Playbook,
    bind,
    done,
    execute,
    parse,
    query,
    ready,
)


def test_room_comes_back_a_minute_later() -> None:
    rate = Rate(3)
    assert [rate.take(1, 1000.0 + second) for second in (0, 10, 20)] == [0, 0, 0]
    assert rate.take(1, 1030.0) == 31
    assert rate.take(2, 1030.0) == 41
    assert rate.take(3, 1030.0) == 51
    assert rate.take(4, 1030.0) == 61, "never"
    assert rate.take(1, 1060.9) == 1
    assert rate.take(1, 1061.0) == 0
    assert rate.take(1, 1061.0) == 10
    assert rate.take(3, 99_999.0) == 0


@given(
    most=st.integers(1, 20),
    sent=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60),
)
def test_no_minute_has_more(most: int, sent: list[tuple[float, int]]) -> None:
    rate, now_s = Rate(most), 5.0
    taken: list[tuple[float, int]] = []
    for wait_s, statements in sent:
        now_s += wait_s
        told = rate.take(statements, now_s)
        if not told:
            taken.append((now_s, statements))
        elif statements <= most:
            # What is promised is kept.
            again = Rate(most)
            for at_s, count in taken:
                again.add(count, at_s)
            assert again.take(statements, now_s + told) == 0
    for at_s, _ in taken:
        in_minute = [n for each_s, n in taken if at_s <= each_s < at_s + 60]
        assert sum(in_minute) <= most


def paced(most: int) -> Playbook:
    play = Playbook()
    play.session.rate = Rate(most)
    return play


def test_a_refusal_is_a_substitution_like_any_other() -> None:
    play = paced(1).client(query("select 1"), query("select 2"))
    assert play.forwarded() == ["Q select 1", "Q <2>"]
    assert play.recorded() == [
        "1 allow query select 1",
        "2 deny query limits.statements-per-minute select 2",
    ]


def test_a_parse_is_free_and_a_fetch_too() -> None:
    play = paced(1).client(parse("select 1"), bind(), execute("", 1), execute(""), SYNC)
    assert "<" not in "".join(play.forwarded())
    play.client(parse("select 1"), bind(), execute())
    assert play.forwarded()[-1].startswith("P pgwarden_refused <")


@pytest.mark.parametrize("text", ["commit", "rollback", "END", "abort"])
def test_the_end_of_a_transaction_passes(text: str) -> None:
    play = paced(1).client(query("begin")).server(done("BEGIN"), ready("T"))
    play.client(query(text)).server(done("COMMIT"), ready("I"))
    assert play.forwarded() == ["Q begin", f"Q {text}"]
    play.client(query(text))
    assert play.forwarded() == ["Q <3>"]


@pytest.mark.parametrize("text", ["commit; select 1", "rollback to a", "begin", ""])
def test_nothing_else_does(text: str) -> None:
    play = paced(1).client(query("begin")).server(done("BEGIN"), ready("T"))
    play.client(query(text))
    assert play.forwarded() == ["Q begin", "Q <2>"]


def test_refusals_count_but_not_those_of_the_limit() -> None:
    play = paced(2).client(query("drop table t"))
    rate = play.session.rate
    assert rate is not None
    play.client(query("select 1"), *[query("select 2")] * 5)
    assert play.forwarded()[-1] == "Q <7>"
    play.session.clock = lambda: 1e6
    play.client(query("select 1"), query("select 1"), query("select 1"))
    assert play.forwarded() == ["Q select 1", "Q select 1", "Q <10>"]
