"""PROXY protocol version 2: what is read, and everything else refused."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, strategies as st

from proxy.errors import FrontendError
from proxy.wire.proxy_protocol import (
    HEAD_BYTES,
    MOST_BEHIND,
    SIGNATURE,
    HeaderIntake,
    ProxyHeader,
)

V4 = IPv4Address("198.51.100.7").packed + bytes(4) + struct.pack("!HH", 50_000, 5432)


def header(kind: int, family: int, behind: bytes, length: int | None = None) -> bytes:
    size = len(behind) if length is None else length
    return SIGNATURE + struct.pack("!BBH", kind, family, size) + behind


def v6(address: str) -> bytes:
    behind = IPv6Address(address).packed + bytes(16) + struct.pack("!HH", 50_000, 5432)
    return header(0x21, 0x21, behind)


def tlv(value: bytes, kind: int = 4) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def read(data: bytes, cut: int = 1 << 20) -> tuple[ProxyHeader | None, bytes]:
    """The header and the bytes that were not touched."""
    intake, at = HeaderIntake(), 0
    while at < len(data):
        piece = data[at : at + min(cut, intake.wanted)]
        at += len(piece)
        found = intake.feed(piece)
        if found is not None:
            assert intake.wanted == 0
            return found, data[at:]
    return None, b""


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "address", "port"),
    [
        (header(0x21, 0x11, V4), "198.51.100.7", 50_000),
        (header(0x21, 0x11, V4 + tlv(b"") + tlv(b"x" * 99)), "198.51.100.7", 50_000),
        (v6("2001:db8::5"), "2001:db8::5", 50_000),
        (v6("::ffff:198.51.100.7"), "198.51.100.7", 50_000),
        (header(0x20, 0x00, b""), "", 0),
        (header(0x20, 0x11, V4), "", 0),
        (header(0x20, 0xFF, b"whatever"), "", 0),
    ],
)
def test_what_is_read(data: bytes, address: str, port: int, cut: int) -> None:
    found, rest = read(data + b"\x16\x03\x01rest", cut)
    assert found == ProxyHeader(address, port)
    assert rest == b"\x16\x03\x01rest"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", "version 1"),
        (b"P", "version 1"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", "no PROXY header"),
        (b"\x16\x03\x01", "no PROXY header"),
        (SIGNATURE[:-1] + b"\r", "no PROXY header"),
        (header(0x11, 0x11, V4), "0x11"),
        (header(0x22, 0x11, V4), "0x22"),
        (header(0x21, 0x12, V4), "not TCP"),
        (header(0x21, 0x10, V4), "not TCP"),
        (header(0x21, 0x41, V4), "not TCP"),
        (header(0x21, 0x00, b""), "does not say who"),
        (header(0x21, 0x31, bytes(216)), "Unix socket"),
        (header(0x21, 0x11, V4[:-1]), "too short"),
        (header(0x21, 0x21, V4), "too short"),
        (header(0x21, 0x11, V4 + b"\x04\x00"), "cut off"),
        (header(0x21, 0x11, V4 + b"\x04\x00\x05abcd"), "cut off"),
        (header(0x21, 0x11, V4, MOST_BEHIND + 1), "is the most"),
        (header(0x21, 0x11, b"", 0xFFFF), "is the most"),
    ],
)
def test_what_is_refused(data: bytes, told: str) -> None:
    for cut in (1, 1 << 20):
        with pytest.raises(FrontendError, match=told):
            read(data, cut)


def test_a_length_is_refused_before_anything_is_kept() -> None:
    intake = HeaderIntake()
    with pytest.raises(FrontendError, match="is the most"):
        intake.feed(header(0x21, 0x11, b"", 0xFFFF)[:HEAD_BYTES])


def test_no_more_than_was_wanted() -> None:
    with pytest.raises(FrontendError, match="more bytes"):
        HeaderIntake().feed(header(0x21, 0x11, V4))


@given(
    st.one_of(
        st.binary(max_size=100),
        st.builds(
            header,
            st.sampled_from([0x20, 0x21, 0x22]) | st.integers(0, 255),
            st.sampled_from([0x00, 0x11, 0x21, 0x31]) | st.integers(0, 255),
            st.binary(max_size=80) | st.builds(lambda more: V4 + more, st.binary()),
            st.none() | st.integers(0, 0xFFFF),
        ),
    ),
    st.integers(1, 50),
)
def test_any_bytes_are_a_header_or_an_error_and_cuts_do_not_matter(
    data: bytes, cut: int
) -> None:
    def outcome(size: int) -> object:
        try:
            return read(data, size)
        except FrontendError as error:
            return error.message

    whole = outcome(1 << 20)
    assert outcome(cut) == whole
    if isinstance(whole, tuple) and whole[0] is not None:
        found, rest = whole
        assert data.startswith(SIGNATURE)
        assert len(data) - len(rest) <= HEAD_BYTES + MOST_BEHIND
        assert bool(found.address) == (data[12] == 0x21)
