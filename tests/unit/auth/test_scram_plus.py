"""SCRAM-SHA-256-PLUS, the server's side: bound to one certificate or refused."""

from __future__ import annotations

import base64

import pytest

from proxy.auth.scram import ServerExchange
from proxy.auth.secrets import make_secret
from proxy.errors import FrontendError
from tests.scram_speaker import END_POINT, ScramSpeaker

SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=1)
OURS, ANOTHERS = b"o" * 32, b"a" * 32


def meet(speaker: ScramSpeaker, *, end_point: bytes | None = OURS) -> bytes | None:
    """Let a client choose SCRAM-SHA-256-PLUS; the server's last word."""
    server = ServerExchange((SECRET,), b"server", end_point=end_point)
    return server.final(speaker.final(server.first(speaker.first(), is_bound=True)))


def test_a_client_that_saw_our_certificate_is_let_in() -> None:
    speaker = ScramSpeaker(flag=END_POINT, bound_to=OURS)
    assert meet(speaker) == b"v=" + base64.b64encode(speaker.signature)


def test_a_wrong_password_is_wrong_all_the_same() -> None:
    assert meet(ScramSpeaker("wrong", flag=END_POINT, bound_to=OURS)) is None


@pytest.mark.parametrize("bound_to", [ANOTHERS, b"", OURS[:-1], OURS + b"o"])
def test_a_client_that_saw_another_certificate_is_refused(bound_to: bytes) -> None:
    with pytest.raises(FrontendError) as caught:
        meet(ScramSpeaker(flag=END_POINT, bound_to=bound_to))
    assert caught.value.message == "SCRAM channel binding check failed"
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize("flag", [b"n", b"y"])
def test_plus_without_binding_data_is_malformed(flag: bytes) -> None:
    with pytest.raises(FrontendError, match="malformed SCRAM message") as caught:
        meet(ScramSpeaker(flag=flag))
    assert "selected SCRAM-SHA-256-PLUS" in caught.value.detail
    assert caught.value.sqlstate == "08P01"


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        (b"p=tls-unique", "tls-unique"),
        (b"p=tls-exporter", "tls-exporter"),
        (b"p=", ""),
        (b"p=tls-server-end-point2", "tls-server-end-point2"),
        (b"p=a\x1b[2J\xff", "a?[2J?"),
        (b"p=" + b"x" * 200, "x" * 30),
    ],
)
def test_another_kind_of_binding_is_refused(flag: bytes, shown: str) -> None:
    with pytest.raises(FrontendError) as caught:
        meet(ScramSpeaker(flag=flag, bound_to=OURS))
    wanted = f'unsupported SCRAM channel-binding type "{shown}"'
    assert caught.value.message == wanted
    assert caught.value.sqlstate == "08P01"


def test_binding_data_without_plus_is_malformed() -> None:
    server = ServerExchange((SECRET,), b"server", end_point=OURS)
    with pytest.raises(FrontendError) as caught:
        server.first(ScramSpeaker(flag=END_POINT, bound_to=OURS).first())
    assert "without channel binding" in caught.value.detail


def test_a_client_that_can_not_bind_needs_not() -> None:
    server = ServerExchange((SECRET,), b"server", end_point=OURS)
    speaker = ScramSpeaker(flag=b"n")
    assert server.final(speaker.final(server.first(speaker.first())))


def test_y_is_kept_to_the_end_where_nothing_was_offered() -> None:
    server = ServerExchange((SECRET,), b"server")
    speaker = ScramSpeaker(flag=b"y")
    assert server.final(speaker.final(server.first(speaker.first())))


def test_without_a_hash_nothing_is_bound() -> None:
    """Whoever calls it so all the same: no login that looks bound and is not."""
    with pytest.raises(FrontendError, match="malformed SCRAM message"):
        meet(ScramSpeaker(flag=END_POINT, bound_to=b""), end_point=None)
