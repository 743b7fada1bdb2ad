"""What pgwarden asks in a client's session: the client sees nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import BackendError
from proxy.session import migrating
from proxy.session.migrating import Asking, ask
from tests.unit.session.playbook import Playbook

if TYPE_CHECKING:
    from proxy.session.session import Session


def a_session() -> Session:
    return Playbook("migrator").session


READY = b"Z\0\0\0\x05I"
FAILED = b"Z\0\0\0\x05E"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def row(*columns: str | None) -> bytes:
    body = len(columns).to_bytes(2, "big")
    for each in columns:
        if each is None:
            body += b"\xff\xff\xff\xff"
        else:
            data = each.encode()
            body += len(data).to_bytes(4, "big") + data
    return message(b"D", body)


ANSWER = (
    message(b"T", b"\0\0")
    + row("a", None)
    + row("", "ö")
    + message(b"C", b"SELECT 2\0")
)
NOTICE = message(b"N", b"SNOTICE\0Mhello\0\0")
REFUSED = message(b"E", b"SERROR\0VERROR\0C42501\0Mno\0\0")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_answer_is_taken_out_however_it_comes(size: int) -> None:
    session, whole = a_session(), ANSWER + READY + NOTICE
    asking = ask(session, "SELECT 1")
    for start in range(0, len(whole), size):
        session.from_backend(whole[start : start + size])
    assert asking.rows == [["a", None], ["", "ö"]]
    assert asking.is_done
    assert session.asking is None
    assert b"".join(session.to_frontend) == NOTICE


def test_what_is_not_about_the_question_is_the_clients() -> None:
    session = a_session()
    ask(session, "SELECT 1")
    session.from_backend(ANSWER + NOTICE + READY)
    assert b"".join(session.to_frontend) == NOTICE


def test_a_refusal_is_ours_and_may_have_failed_the_transaction() -> None:
    session = a_session()
    asking = ask(session, "SELECT 1")
    session.from_backend(REFUSED + FAILED)
    assert asking.error == ("42501", "no")
    assert session.status == FAILED[-1]
    assert session.to_frontend == []


def test_that_the_server_ends_the_session_is_the_clients_to_know() -> None:
    session = a_session()
    asking = ask(session, "SELECT 1")
    fatal = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0")
    session.from_backend(fatal)
    assert b"".join(session.to_frontend) == fatal
    assert not asking.is_done


def test_nothing_of_the_clients_overtakes_it() -> None:
    session = a_session()
    session.is_pondered = session.held = True
    ask(session, "SELECT 1")
    session.to_backend.clear()
    session.from_frontend(message(b"Q", b"SELECT 2\0"))
    session.from_backend(ANSWER + READY)
    assert session.to_backend == []
    session.is_pondered = False
    session.resume()
    assert b"".join(session.to_backend) == message(b"Q", b"SELECT 2\0")


def test_only_while_nothing_is_unanswered() -> None:
    session = a_session()
    session.from_frontend(message(b"Q", b"SELECT 2\0"))
    with pytest.raises(RuntimeError):
        ask(session, "SELECT 1")
    other = a_session()
    ask(other, "SELECT 1")
    with pytest.raises(RuntimeError):
        ask(other, "SELECT 1")


def test_a_message_that_can_not_be_is_the_servers_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking = Asking()
    with pytest.raises(BackendError):
        asking.take(a_session(), b"D\0\0\0\x01")
    monkeypatch.setattr(migrating, "MOST_ANSWER_BYTES", 10)
    with pytest.raises(BackendError):
        asking.take(a_session(), row("far too long for that"))
