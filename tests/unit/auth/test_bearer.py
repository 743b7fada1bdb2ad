"""OAUTHBEARER's messages: what Postgres 18 takes is taken, the rest is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from proxy.auth.bearer import failure, read_initial
from proxy.errors import FrontendError


@pytest.mark.parametrize(
    ("message", "token"),
    [
        (b"n,,\x01auth=Bearer abc.def.ghi\x01\x01", b"abc.def.ghi"),
        (b"y,,\x01auth=Bearer abc\x01\x01", b"abc"),
        (b"n,,\x01auth=bearer abc==\x01\x01", b"abc=="),
        (b"n,,\x01auth=BEARER   a-._~+/z\x01\x01", b"a-._~+/z"),
        (b"n,,\x01host=db\x01port=5432\x01auth=Bearer abc\x01\x01", b"abc"),
        (b"n,,\x01auth=\x01\x01", b""),
    ],
)
def test_a_token_or_the_question_for_one(message: bytes, token: bytes) -> None:
    assert read_initial(message) == token


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,\x01",
        b"n,,\x01\x01",
        b"n,,auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer abc\x01",
        b"n,,\x01auth=Bearer abc",
        b"n,,\x01auth=Bearer abc\x01\x01x",
        b"n,,\x01auth=Bearer abc\x01\x01\x01",
        b"n,,\x01auth=Bearer abc\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Basic YTpi\x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer a\x00b\x01\x01",
        b"n,,\x01auth=Bearer =a\x01\x01",
        b"n,,\x01auth=Bearer abc\n\x01\x01",
        b"n,,\x01auth=Bearerabc\x01\x01",
        b"n,,\x01host=db\x01\x01",
        b"n,,\x01=x\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth\x01\x01",
        b"p=tls-server-end-point,,\x01auth=Bearer abc\x01\x01",
        b"n,a=bob,\x01auth=Bearer abc\x01\x01",
        b"n,b=bob,\x01auth=Bearer abc\x01\x01",
        b"x,,\x01auth=Bearer abc\x01\x01",
        b",,\x01auth=Bearer abc\x01\x01",
    ],
)
def test_anything_else_breaks_the_protocol(message: bytes) -> None:
    with pytest.raises(FrontendError) as caught:
        read_initial(message)
    assert "abc" not in caught.value.message + caught.value.detail


@given(st.binary(max_size=60))
def test_garbage_is_refused_and_nothing_worse(rest: bytes) -> None:
    for message in (rest, b"n,,\x01auth=Bearer " + rest, b"n,," + rest):
        try:
            read_initial(message)
        except FrontendError:
            pass


def test_who_failed_is_told_where_tokens_come_from() -> None:
    told = json.loads(
        failure("https://i.example/.well-known/openid-configuration", "x")
    )
    assert told == {
        "status": "invalid_token",
        "openid-configuration": "https://i.example/.well-known/openid-configuration",
        "scope": "x",
    }
