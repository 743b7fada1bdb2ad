"""Statement messages: encoding and strict decoding are inverses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from proxy.errors import FrontendError
from proxy.wire import queries

if TYPE_CHECKING:
    from collections.abc import Callable

texts = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b""))
formats = st.lists(st.integers(0, 1), max_size=4).map(tuple)
int32s = st.integers(-(2**31), 2**31 - 1)


@st.composite
def binds(draw: st.DrawFn) -> queries.Bind:
    values = draw(st.lists(st.none() | st.binary(max_size=20), max_size=5))
    given_formats = draw(st.sampled_from([(), (1,), tuple(0 for _ in values)]))
    return queries.Bind(
        draw(texts), draw(texts), tuple(values), given_formats, draw(formats)
    )


targets = st.tuples(st.sampled_from([queries.STATEMENT, queries.PORTAL]), texts)
found_messages = st.one_of(
    st.builds(queries.Query, texts),
    st.builds(
        queries.Parse,
        texts,
        texts,
        st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
    ),
    binds(),
    targets.map(lambda pair: queries.Describe(*pair)),
    targets.map(lambda pair: queries.Close(*pair)),
    st.builds(queries.Execute, texts, int32s),
    st.builds(queries.CopyFail, texts),
)


@given(found_messages)
def test_round_trip(found: queries.Query | queries.Bind) -> None:
    whole = found.encode()
    assert int.from_bytes(whole[1:5], "big") == len(whole) - 1
    assert type(found).decode(whole[5:]) == found


decoders: list[Callable[[bytes], object]] = [
    queries.Query.decode,
    queries.Parse.decode,
    queries.Bind.decode,
    queries.Describe.decode,
    queries.Close.decode,
    queries.Execute.decode,
    queries.CopyFail.decode,
]


@given(st.sampled_from(decoders), st.binary(max_size=80))
def test_any_body_decodes_or_raises_the_typed_error(
    decode: Callable[[bytes], object], body: bytes
) -> None:
    try:
        decode(body)
    except FrontendError as problem:
        assert problem.sqlstate == "08P01"  # noqa: PT017


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (queries.Query.decode, b"SELECT 1"),
        (queries.Query.decode, b"SELECT 1\0; DROP TABLE t\0"),
        (queries.Parse.decode, b"a\0b\0\0\x01"),
        (queries.Bind.decode, b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0"),
        (queries.Bind.decode, b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (queries.Describe.decode, b"Xname\0"),
        (queries.Execute.decode, b"\0\0\0\0\0\0"),
    ],
)
def test_what_is_not_exact_is_refused(
    decode: Callable[[bytes], object], body: bytes
) -> None:
    with pytest.raises(FrontendError):
        decode(body)


def test_a_count_never_wraps() -> None:
    with pytest.raises(FrontendError, match="65536"):
        queries.Parse(b"", b"", (0,) * 65536).encode()


def test_messages_without_a_body() -> None:
    assert queries.sync() == b"S\0\0\0\x04"
    assert queries.flush() == b"H\0\0\0\x04"
    assert queries.terminate() == b"X\0\0\0\x04"
