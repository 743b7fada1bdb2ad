"""Errors on the wire: ours exact, a server's read defensively."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.errors import ErrorReport
from proxy.wire import codes
from proxy.wire.errors_wire import (
    MAX_FIELD,
    clip,
    decode_error,
    encode_error,
    encode_notice,
    parse_error_fields,
    report_from_fields,
)

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80
)
filled = texts.filter(bool)
sqlstates = st.text("0123456789ABCDEFGHXP", min_size=5, max_size=5)
reports = st.builds(
    ErrorReport,
    sqlstates,
    filled,
    texts,
    texts,
    position=st.integers(0, 2**31 - 1),
    severity=st.sampled_from(["ERROR", "FATAL", "WARNING"]),
)


@given(reports)
def test_reports_round_trip(report: ErrorReport) -> None:
    whole = encode_error(report)
    assert whole[0] == codes.ERROR_RESPONSE
    assert int.from_bytes(whole[1:5], "big") == len(whole) - 1
    assert whole.endswith(b"\0\0")
    assert decode_error(whole[5:]) == report


def test_the_fields_are_those_of_the_protocol() -> None:
    report = ErrorReport("42501", "no", "why", "do this", position=7)
    assert encode_error(report)[5:] == (
        b"SERROR\0VERROR\0C42501\0Mno\0Dwhy\0Hdo this\0P7\0\0"
    )


def test_a_notice_has_another_letter() -> None:
    notice = encode_notice(ErrorReport("00000", "hello", severity="NOTICE"))
    assert notice[0] == codes.NOTICE_RESPONSE


def test_what_a_user_typed_can_not_end_a_field() -> None:
    fields = parse_error_fields(encode_error(ErrorReport("42501", "a\0Cb\0\0c"))[5:])
    assert fields["C"] == "42501"
    assert fields["M"] == "a\ufffdCb\ufffd\ufffdc"


def test_a_long_field_is_cut_between_characters() -> None:
    raw = clip("é" * MAX_FIELD)
    assert len(raw) <= MAX_FIELD
    assert raw.decode().endswith("é...")


def test_a_lone_surrogate_does_not_raise() -> None:
    assert clip("a\ud800b") == b"a?b"


@given(st.binary(max_size=400))
def test_any_body_is_read(body: bytes) -> None:
    report = decode_error(body)
    assert len(report.sqlstate) == 5
    assert report.message
    assert encode_error(report)


def test_an_error_without_sqlstate_is_read() -> None:
    """PgBouncer crashed on it: CVE-2026-6666."""
    report = decode_error(b"SFATAL\0Mgone\0\0")
    assert (report.sqlstate, report.message) == ("XX000", "gone")


@pytest.mark.parametrize("code", ["", "4250", "425011", "42 01", "4250é"])
def test_a_strange_sqlstate_is_replaced(code: str) -> None:
    assert report_from_fields({"C": code}).sqlstate == "XX000"


@pytest.mark.parametrize("at", ["", "-1", "x", "9" * 5000, "²", "4294967296"])
def test_a_strange_position_is_none(at: str) -> None:
    assert report_from_fields({"P": at}).position == 0


def test_the_first_of_a_repeated_field_counts() -> None:
    assert parse_error_fields(b"Ma\0Mb\0\0") == {"M": "a"}


def test_the_number_of_fields_is_bounded() -> None:
    body = b"".join(bytes((65 + n % 50,)) + b"x\0" for n in range(100_000))
    assert len(parse_error_fields(body)) <= 64
