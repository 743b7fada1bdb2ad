"""First packets and the `options` parameter."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.errors import FrontendError
from proxy.wire import codes
from proxy.wire.startup import (
    CancelRequest,
    FirstPacket,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
    decode_first_packet,
    encode_options,
    packet_length,
    parse_options,
)

words = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40
)
keys = words.filter(lambda key: bool(key) and not key.startswith("_pq_."))
parameters = st.lists(
    st.tuples(keys, words), max_size=8, unique_by=lambda pair: pair[0].lower()
).map(dict)
packets = st.one_of(
    st.just(SSLRequest()),
    st.just(GSSENCRequest()),
    st.builds(
        CancelRequest,
        st.integers(-(2**31), 2**31 - 1),
        st.binary(min_size=4, max_size=256),
    ),
    st.builds(
        StartupMessage,
        st.integers(0, 65535),
        parameters,
        st.sampled_from([(), ("_pq_.one",), ("_pq_.one", "_pq_.two")]),
    ),
)


def startup(body: bytes, version: int = 3 << 16) -> bytes:
    """A packet whose length word is right, whatever the rest."""
    return (len(body) + 8).to_bytes(4, "big") + version.to_bytes(4, "big") + body


@given(packets)
def test_first_packets_round_trip(packet: FirstPacket) -> None:
    whole = packet.encode()
    assert packet_length(whole) == len(whole)
    assert decode_first_packet(whole) == packet


@given(st.binary(max_size=300))
def test_any_body_decodes_or_raises_the_typed_error(body: bytes) -> None:
    try:
        found = decode_first_packet(startup(body))
    except FrontendError as problem:
        assert problem.sqlstate in {"08P01", "0A000"}  # noqa: PT017
    else:
        assert decode_first_packet(found.encode()) == found


def test_the_length_comes_once_four_bytes_are_there() -> None:
    assert packet_length(b"\0\0\0") is None
    assert packet_length(bytearray(b"\0\0\0\x08more")) == 8


@pytest.mark.parametrize("length", [0, 4, 7, 10_005, 2**31, 2**32 - 1])
def test_lengths_no_startup_packet_has_are_refused(length: int) -> None:
    with pytest.raises(FrontendError, match="invalid length of startup packet"):
        packet_length(length.to_bytes(4, "big"))


def test_the_longest_startup_packet_is_that_of_postgres() -> None:
    assert packet_length((10_004).to_bytes(4, "big")) == 10_004


def test_a_length_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FrontendError, match="length"):
        decode_first_packet(SSLRequest().encode() + b"x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user\0alice\0",
        b"user\0alice",
        b"user\0\0",
        b"user\0alice\0\0x",
        b"user\0alice\0\0\0",
        b"user\0al\xffce\0\0",
    ],
)
def test_a_bad_layout_is_refused(body: bytes) -> None:
    with pytest.raises(FrontendError) as caught:
        decode_first_packet(startup(body))
    assert caught.value.sqlstate == "08P01"


@pytest.mark.parametrize(
    "body",
    [
        b"user\0alice\0user\0admin\0\0",
        b"user\0alice\0options\0\0options\0-c a=b\0\0",
        b"role\0a\0Role\0b\0\0",
        b"_pq_.x\0\0_pq_.x\0\0\0",
    ],
)
def test_a_key_given_twice_is_refused_and_named(body: bytes) -> None:
    with pytest.raises(FrontendError, match="is given twice"):
        decode_first_packet(startup(body))


def test_protocol_options_are_kept_apart() -> None:
    found = decode_first_packet(startup(b"user\0alice\0_pq_.x\x001\0\0"))
    assert found == StartupMessage(0, {"user": "alice"}, ("_pq_.x",))


@pytest.mark.parametrize(
    ("version", "shown"), [(2 << 16, "2.0"), (4 << 16 | 1, "4.1"), (0, "0.0")]
)
def test_another_major_version_is_refused_as_postgres_18_does(
    version: int, shown: str
) -> None:
    with pytest.raises(FrontendError) as caught:
        decode_first_packet(startup(b"\0", version))
    assert caught.value.sqlstate == "0A000"
    assert caught.value.message == (
        f"unsupported frontend protocol {shown}: server supports 3.0 to 3.2"
    )


@pytest.mark.parametrize("size", [0, 3, 257])
def test_a_cancel_key_has_4_to_256_bytes(size: int) -> None:
    body = b"\0\0\0\x01" + bytes(size)
    with pytest.raises(FrontendError):
        decode_first_packet(startup(body, codes.CANCEL_REQUEST))


def test_bytes_behind_a_request_are_refused() -> None:
    with pytest.raises(FrontendError):
        decode_first_packet(startup(b"x", codes.SSL_REQUEST))


def test_a_cancel_key_is_not_printed() -> None:
    assert "hunter2" not in repr(CancelRequest(1, b"hunter2"))


def test_a_packet_above_the_ceiling_is_never_encoded() -> None:
    with pytest.raises(FrontendError):
        StartupMessage(0, {"user": "x" * 10_000}).encode()


# Each of these was tried on PostgreSQL 15.18, 17.10 and 18.6.
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", []),
        ("   ", []),
        ("-c work_mem=1MB", [("work_mem", "1MB")]),
        ("-cwork_mem=1MB", [("work_mem", "1MB")]),
        ("--work_mem=1MB", [("work_mem", "1MB")]),
        ("--work-mem=1MB", [("work_mem", "1MB")]),
        ("-c work-mem=1MB", [("work_mem", "1MB")]),
        ("-c a=b=c", [("a", "b=c")]),
        ("-c a=", [("a", "")]),
        (r"-c a=b\ c", [("a", "b c")]),
        (r"-c a=b\\c", [("a", r"b\c")]),
        ("-c a=\\", [("a", "")]),
        ("\v-c\va=1\t--b=2\n", [("a", "1"), ("b", "2")]),
        ("-c a='x", [("a", "'x")]),
        ("-c a=1 -c a=2", [("a", "1"), ("a", "2")]),
        ("-c a=x\u00a0y", [("a", "x\u00a0y")]),
    ],
)
def test_options_are_split_as_the_server_does(
    options: str, settings: list[tuple[str, str]]
) -> None:
    assert parse_options(options) == settings


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("-c", "-c"),
        ("-c a", "a"),
        ("--a", "--a"),
        ("--", "--"),
        ("--=x", "--=x"),
        ("foo", "foo"),
        ("-d 5", "-d"),
        ("-f s", "-f"),
        ("-c a=1 -ecb=1", "-ecb=1"),
        ("-", "-"),
    ],
)
def test_anything_else_in_options_is_refused_and_named(
    options: str, named: str
) -> None:
    with pytest.raises(FrontendError) as caught:
        parse_options(options)
    assert f'"{named}"' in caught.value.message
    assert caught.value.sqlstate == "42601"


setting_names = st.text("abcdefgh_.", min_size=1, max_size=10)


@given(st.lists(st.tuples(setting_names, words), max_size=6))
def test_encoded_options_parse_back(settings: list[tuple[str, str]]) -> None:
    assert parse_options(encode_options(settings)) == settings


@given(words)
def test_any_options_parse_or_raise_the_typed_error(options: str) -> None:
    try:
        found = parse_options(options)
    except FrontendError as problem:
        assert problem.hint  # noqa: PT017
    else:
        assert all(name and "-" not in name for name, _ in found)
