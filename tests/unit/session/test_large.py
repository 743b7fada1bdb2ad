"""Messages that are not whole yet: streamed, refused by length, split at any byte."""

from __future__ import annotations

import pytest

from proxy.session.session import Limits
from tests.unit.session.playbook import (
    BOUND,
    CLOSED,
    PARSED,
    SYNC,
    Playbook,
    bind,
    close,
    execute,
    frame,
    parse,
    query,
    ready,
)

MIB = 1024 * 1024
BIG = b"x" * (3 * MIB)


@pytest.fixture
def book() -> Playbook:
    return Playbook()


def stream(book: Playbook, data: bytes, piece: int = 100_000) -> None:
    for start in range(0, len(data), piece):
        book.client(data[start : start + piece])


def test_a_huge_bind_is_judged_by_its_names_and_streamed(book: Playbook) -> None:
    book.client(parse("SELECT $1", "s"))
    before = len(book.sent)
    data = bind("s", "p", BIG, None, b"")
    for start in range(0, len(data), 100_000):
        book.client(data[start : start + 100_000])
        assert len(book.sent) - before == min(start + 100_000, len(data))
    book.client(execute("p"), SYNC)
    assert book.sent[before:] == data + execute("p") + SYNC
    assert book.recorded() == ["1 allow execute SELECT $1"]


def test_a_huge_bind_of_nothing_is_refused_at_once(book: Playbook) -> None:
    data = bind("none", "p", BIG)
    book.client(data[:70_000])
    assert book.forwarded() == ["P pgwarden_refused <1>"]
    stream(book, data[70_000:])
    assert book.client(SYNC).forwarded() == ["S"]


def test_a_huge_bind_waits_for_a_name_that_is_not_certain(book: Playbook) -> None:
    book.client(parse("SELECT 1", "s"), SYNC).server(PARSED, ready())
    book.client(close("S", "s"), SYNC)
    book.forwarded()
    data = bind("s", "", BIG)
    book.client(data[:70_000])
    assert book.is_held()
    book.client(data[70_000:90_000])
    book.server(CLOSED, ready())
    assert book.forwarded() == ["P pgwarden_refused <1>"]
    book.client(data[90_000:], SYNC)
    assert book.forwarded() == ["S"]


@pytest.mark.parametrize(
    "spoilt",
    [
        bind("s", "", BIG)[:-1] + b"\1",
        frame("B", bind("s", "", BIG)[5:] + b"\0"),
        frame("B", b"\0s\0\0\0\0\1\xff\xff\xff\xfe" + BIG),
        frame("B", b"\0s\0\0\0\0\1\x7f\xff\xff\xff" + BIG),
    ],
)
def test_a_huge_bind_that_is_malformed_never_completes(
    book: Playbook, spoilt: bytes
) -> None:
    book.client(parse("SELECT $1", "s"))
    before = len(book.sent)
    stream(book, spoilt)
    book.client(execute(), SYNC)
    assert book.ending() == "08P01"
    assert len(book.sent) - before < len(spoilt)


@pytest.mark.parametrize("message", [query(BIG), parse(BIG), parse(BIG, "s")])
def test_a_huge_text_is_refused_and_never_held(book: Playbook, message: bytes) -> None:
    stream(book, message, 200_000)
    assert book.client(SYNC).forwarded()[-1] == "S"
    assert "limit.statement-size" in book.recorded()[0]
    assert not book.session.unread


def test_a_huge_function_call_is_refused_and_never_held(book: Playbook) -> None:
    book.client(frame("F", BIG)[:10])
    assert book.forwarded() == ["Q <1>"]
    stream(book, frame("F", BIG)[10:])
    assert book.client(query("SELECT 1")).forwarded() == ["Q SELECT 1"]


def test_a_text_just_under_the_ceiling_is_judged() -> None:
    book = Playbook(limits=Limits(statement_bytes=20_000))
    text = "SELECT '" + "x" * 19_986 + "'"
    assert len(query(text)) == 20_001
    stream(book, query(text), 999)
    assert book.recorded()[0].startswith("1 allow query SELECT")
    stream(book, query(text + " "), 999)
    assert "limit.statement-size" in book.recorded()[0]


def test_requests_split_at_every_byte(book: Playbook) -> None:
    whole = Playbook()
    script = query("SELECT 1") + parse("DROP TABLE t") + bind("", "p", b"v") + SYNC
    script += parse("SELECT $1", "s") + bind("s", "p", b"v", None) + execute("p", 3)
    script += close("S", "s") + query("DROP TABLE t") + SYNC
    whole.client(script)
    for byte in script:
        book.client(bytes([byte]))
    assert book.sent == whole.sent
    assert book.recorded() == whole.recorded()


def test_bound_answers_are_matched(book: Playbook) -> None:
    book.client(parse("SELECT $1", "s"))
    stream(book, bind("s", "p", BIG))
    book.client(SYNC).server(PARSED, BOUND, ready())
    assert not book.session.queue
