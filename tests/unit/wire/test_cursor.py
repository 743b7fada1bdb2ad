"""The strict reader and the message cutter."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.errors import BackendError, FrontendError
from proxy.wire.cursor import Cursor, MessageIntake
from proxy.wire.messages import message


def test_reads_integers_of_both_signs() -> None:
    cursor = Cursor(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "test")
    assert cursor.int16() == -1
    assert cursor.uint16() == 65535
    assert cursor.int32() == -1
    assert cursor.uint32() == 0xFFFFFFFF
    cursor.end()


def test_a_string_ends_at_its_nul_and_the_rest_stays() -> None:
    cursor = Cursor(b"one\0two\0rest", "test")
    assert (cursor.cstring(), cursor.text(), cursor.rest()) == (b"one", "two", b"rest")


@pytest.mark.parametrize("read", ["int16", "int32", "cstring", "text"])
def test_a_short_body_is_an_error_that_names_the_message(read: str) -> None:
    with pytest.raises(FrontendError, match="Parse") as caught:
        getattr(Cursor(b"a", "Parse"), read)()
    assert caught.value.sqlstate == "08P01"


def test_bytes_left_over_are_an_error() -> None:
    with pytest.raises(FrontendError, match="1 bytes too many"):
        Cursor(b"x", "Sync").end()


def test_a_negative_count_is_an_error() -> None:
    with pytest.raises(FrontendError):
        Cursor(b"abc", "test").take(-1)


def test_text_must_be_utf8() -> None:
    with pytest.raises(FrontendError, match="UTF-8"):
        Cursor(b"\xff\0", "test").text()


def test_an_upstream_fault_is_told_to_the_operator_only() -> None:
    with pytest.raises(BackendError) as caught:
        Cursor(b"secret", "ParameterStatus", error=BackendError).cstring()
    assert "ParameterStatus" not in caught.value.message
    assert "ParameterStatus" in caught.value.operator_note


def test_cuts_messages_at_their_length() -> None:
    intake = MessageIntake({ord("p"): 10})
    intake.feed(message(ord("p"), b"one") + message(ord("p"), b"") + b"p\0\0")
    assert intake.next() == (ord("p"), b"one")
    assert intake.next() == (ord("p"), b"")
    assert intake.next() is None
    assert intake.drain() == b"p\0\0"
    assert len(intake) == 0


def test_an_unexpected_type_is_refused_before_its_body_comes() -> None:
    intake = MessageIntake({ord("p"): 10})
    intake.feed(b"Q")
    with pytest.raises(FrontendError, match="unexpected message type 81"):
        intake.next()


@pytest.mark.parametrize("length", [0, 3, 15, 2**31 - 1, 2**32 - 1, 2**31])
def test_a_length_outside_the_limit_is_refused_before_its_body_comes(
    length: int,
) -> None:
    intake = MessageIntake({ord("p"): 10}, error=BackendError)
    intake.feed(b"p" + length.to_bytes(4, "big"))
    with pytest.raises(BackendError):
        intake.next()


@given(
    bodies=st.lists(st.binary(max_size=20), max_size=5),
    cuts=st.lists(st.integers(1, 7), min_size=1),
)
def test_splitting_changes_nothing(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(message(ord("p"), body) for body in bodies)
    intake = MessageIntake({ord("p"): 20})
    found = []
    at = 0
    while at < len(stream):
        step = cuts[at % len(cuts)]
        intake.feed(stream[at : at + step])
        at += step
        while (one := intake.next()) is not None:
            found.append(one[1])
        assert len(intake) <= 25
    assert found == bodies


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_the_typed_error(data: bytes) -> None:
    intake = MessageIntake({ord("p"): 50, ord("R"): 5})
    intake.feed(data)
    try:
        while (one := intake.next()) is not None:
            assert one[0] in {ord("p"), ord("R")}
            assert len(one[1]) <= 50
    except FrontendError as problem:
        assert problem.sqlstate == "08P01"  # noqa: PT017
