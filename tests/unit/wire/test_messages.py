"""Login and status messages: encoding and strict decoding are inverses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from proxy.errors import BackendError, FrontendError
from proxy.wire import codes, messages
from proxy.wire.messages import decode_authentication, message

if TYPE_CHECKING:
    from collections.abc import Callable

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
filled = names.filter(bool)

authentications = st.one_of(
    st.just(messages.AuthenticationOk()),
    st.just(messages.AuthenticationCleartext()),
    st.builds(messages.AuthenticationMD5, st.binary(min_size=4, max_size=4)),
    st.lists(filled, min_size=1).map(lambda m: messages.AuthenticationSASL(tuple(m))),
    st.builds(messages.AuthenticationSASLContinue, st.binary()),
    st.builds(messages.AuthenticationSASLFinal, st.binary()),
    st.builds(
        messages.AuthenticationUnsupported,
        st.sampled_from([2, 7, 8, 9, 99]),
        st.binary(),
    ),
)


@given(authentications)
def test_authentication_round_trips(found: messages.Authentication) -> None:
    whole = found.encode()
    assert whole[0] == codes.AUTHENTICATION
    assert int.from_bytes(whole[1:5], "big") == len(whole) - 1
    assert decode_authentication(whole[5:]) == found


others = st.one_of(
    st.builds(messages.SASLInitialResponse, filled, st.none() | st.binary()),
    st.builds(messages.SASLResponse, st.binary()),
    st.builds(
        messages.PasswordMessage, st.binary().map(lambda b: b.replace(b"\0", b""))
    ),
    st.builds(messages.ParameterStatus, names, names),
    st.builds(
        messages.BackendKeyData,
        st.integers(-(2**31), 2**31 - 1),
        st.binary(min_size=4, max_size=256),
    ),
    st.sampled_from(list(b"ITE")).map(messages.ReadyForQuery),
    st.builds(
        messages.NegotiateProtocolVersion,
        st.integers(0, 65535),
        st.lists(names).map(tuple),
    ),
)


@given(others)
def test_other_messages_round_trip(
    found: messages.SASLInitialResponse | messages.BackendKeyData,
) -> None:
    whole = found.encode()
    assert int.from_bytes(whole[1:5], "big") == len(whole) - 1
    assert type(found).decode(whole[5:]) == found


decoders: list[Callable[[bytes], object]] = [
    decode_authentication,
    messages.SASLInitialResponse.decode,
    messages.PasswordMessage.decode,
    messages.ParameterStatus.decode,
    messages.BackendKeyData.decode,
    messages.ReadyForQuery.decode,
    messages.NegotiateProtocolVersion.decode,
]


@given(st.sampled_from(decoders), st.binary(max_size=60))
def test_any_bytes_decode_or_raise_the_typed_error(
    decode: Callable[[bytes], object], body: bytes
) -> None:
    try:
        decode(body)
    except (FrontendError, BackendError) as problem:
        assert problem.message  # noqa: PT017


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decode_authentication, b"\0\0\0\0x"),
        (decode_authentication, b"\0\0\0\x05abc"),
        (decode_authentication, b"\0\0\0\x0aSCRAM-SHA-256\0"),
        (decode_authentication, b"\0\0\0\x0a\0"),
        (messages.SASLInitialResponse.decode, b"M\0\xff\xff\xff\xfe"),
        (messages.SASLInitialResponse.decode, b"M\0\0\0\0\x01ab"),
        (messages.PasswordMessage.decode, b"two\0words\0"),
        (messages.ParameterStatus.decode, b"name\0value"),
        (messages.BackendKeyData.decode, b"\0\0\0\x01abc"),
        (messages.BackendKeyData.decode, b"\0\0\0\x01" + bytes(257)),
        (messages.ReadyForQuery.decode, b"X"),
        (messages.ReadyForQuery.decode, b"II"),
        (messages.NegotiateProtocolVersion.decode, b"\0\x03\0\0\x7f\xff\xff\xff"),
        (messages.NegotiateProtocolVersion.decode, b"\0\x04\0\0\0\0\0\0"),
        (messages.NegotiateProtocolVersion.decode, b"\0\x03\0\0\xff\xff\xff\xff"),
    ],
)
def test_what_is_not_exact_is_refused(
    decode: Callable[[bytes], object], body: bytes
) -> None:
    with pytest.raises((FrontendError, BackendError)):
        decode(body)


def test_a_nul_inside_a_string_is_never_encoded() -> None:
    with pytest.raises(FrontendError):
        messages.ParameterStatus("a\0b", "c").encode()


def test_a_body_too_long_for_the_protocol_is_never_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codes, "MAX_LARGE_BODY", 10)
    assert message(codes.QUERY, bytes(10))
    with pytest.raises(FrontendError) as caught:
        message(codes.QUERY, bytes(11))
    assert caught.value.sqlstate == "54000"


@pytest.mark.parametrize(
    "secret",
    [messages.PasswordMessage(b"hunter2"), messages.BackendKeyData(1, b"hunter2")],
)
def test_secrets_are_not_printed(secret: object) -> None:
    assert "hunter2" not in repr(secret)
