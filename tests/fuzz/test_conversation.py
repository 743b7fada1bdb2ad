"""Random conversations with a model of Postgres: what must hold whatever is sent.

Nothing unjudged or unrecorded reaches Postgres, each statement has one outcome, the
client sees what a bare server would show it, nothing waits for ever, and where the
bytes are split changes nothing.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from proxy.session.session import Limits
from tests.fuzz.conversations import Writer
from tests.fuzz.model import ModelPostgres
from tests.unit.session.playbook import (
    STAND_IN,
    Playbook,
    error_fields,
    judge_of,
    parse,
    query,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
pytestmark = pytest.mark.timeout(3_000 if DEEP else 60)
FUZZ = settings(
    max_examples=5_000 if DEEP else 250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
JUDGE = judge_of("migrator")
FEW_NAMES = Limits(statement_bytes=16_384, statements=4, portals=3)

seeds = st.integers(0, 1 << 48).map(Random)
lengths = st.integers(1, 40)


class Talk:
    """A session between a client that sends a script and the model."""

    def __init__(
        self, server: ModelPostgres | None = None, limits: Limits | None = None
    ) -> None:
        self.book = Playbook("migrator", judge=JUDGE, limits=limits or Limits())
        self.server = server or ModelPostgres()
        self._forwarded = self._answered = 0

    def step_server(self, size: int | None = None) -> bool:
        """Let Postgres read what was forwarded, and the session `size` of its bytes."""
        self.server.feed(self.book.sent[self._forwarded :])
        self._forwarded = len(self.book.sent)
        waiting = self.server.out[self._answered :]
        taken = waiting if size is None else waiting[:size]
        self._answered += len(taken)
        if taken:
            self.book.server(taken)
        return bool(taken)

    def drain(self) -> None:
        while self.step_server() or self._forwarded < len(self.book.sent):
            pass


def play(
    script: Sequence[bytes],
    seed: Random,
    *,
    limits: Limits = FEW_NAMES,
    trigger_fails: bool = False,
) -> Talk:
    """Send a script in pieces of any size, answers coming at any time."""
    talk = Talk(ModelPostgres(trigger_fails=trigger_fails), limits)
    data = b"".join(script)
    position = 0
    while position < len(data):
        size = seed.choice([1, 3, 7, 40, 200, 1000])
        talk.book.client(data[position : position + size])
        position += size
        if seed.random() < 0.5:
            talk.step_server(seed.choice([1, 5, 30, None]))
    talk.drain()
    return talk


def check_sent(talk: Talk) -> None:
    """Each client text that left was allowed, and recorded before."""
    allowed = [r["text"] for r in talk.book.records if r.get("decision") == "allow"]
    for kind, body in split(talk.book.sent):
        assert kind != "F"
        if kind not in "QP":
            continue
        text = body.split(b"\0")[0 if kind == "Q" else 1]
        if STAND_IN.fullmatch(text):
            continue
        if b"EXECUTE" not in text:
            assert JUDGE.judge(text).decision.allowed, text
        if kind == "Q":
            assert text.decode() in allowed


def check_ran(talk: Talk) -> None:
    """What Postgres ran is what was recorded as allowed and not skipped, in order."""
    skipped = {r["audit_id"] for r in talk.book.records if r.get("status") == "skipped"}
    recorded = [
        r["text"]
        for r in talk.book.records
        if r.get("decision") == "allow" and r["audit_id"] not in skipped
    ]
    ran = [text for text in talk.server.ran if not text.startswith("by name")]
    assert is_subsequence(ran, recorded), (ran, recorded)


def is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(any(is_recorded_as(one, text) for text in rest) for one in part)


def is_recorded_as(ran: str, recorded: str) -> bool:
    """What SQL prepared or declared is recorded by the text that did it."""
    if ran.startswith("DECLARE") and recorded.startswith("EXECUTE"):
        return True
    return recorded == ran or f" AS {ran}" in recorded


def check_records(talk: Talk) -> None:
    """One statement record a serial, one outcome each allowed one."""
    records = talk.book.records
    allowed = [r["audit_id"] for r in records if r.get("decision") == "allow"]
    outcomes = [r["audit_id"] for r in records if r["kind"] == "outcome"]
    assert len(set(outcomes)) == len(outcomes)
    assert set(outcomes) == set(allowed)
    serials = [r["audit_id"] for r in records if r["kind"] == "statement"]
    assert serials == [f"s1-{n}" for n in range(1, len(serials) + 1)]


def check_nothing_waits(talk: Talk) -> None:
    session = talk.book.session
    assert not session.held
    assert not session.unread
    assert not session.backend_rest


@FUZZ
@given(seeds, lengths)
def test_nothing_unjudged_or_unrecorded_is_sent(seed: Random, length: int) -> None:
    talk = play(Writer(seed).script(length), seed)
    assert not talk.book.ending()
    check_nothing_waits(talk)
    check_sent(talk)
    check_ran(talk)
    talk.book.client(query("COMMIT"))
    talk.drain()
    assert not talk.book.session.queue
    talk.book.lost()
    check_records(talk)


@FUZZ
@given(seeds, lengths, st.booleans())
def test_copies_among_the_rest(seed: Random, length: int, trigger_fails: bool) -> None:
    script = Writer(seed, copies=True).script(length)
    talk = play(script, seed, trigger_fails=trigger_fails)
    check_sent(talk)
    check_ran(talk)
    ending = talk.book.session.ending
    if ending is not None:
        # The one case where nobody could tell what Postgres has run.
        assert ending.reason.endswith("what was sent after a COPY that failed")
    elif not talk.server.closed:
        check_nothing_waits(talk)
    talk.book.lost()
    check_records(talk)


@FUZZ
@given(seeds, lengths)
def test_splitting_changes_nothing(seed: Random, length: int) -> None:
    """One byte at a time or all at once, with the answers after all was sent.

    Without EXECUTE and FETCH: whether those are refused depends on what is known of a
    name, and so on which answers are in.
    """
    script = Writer(seed, by_name=False).script(length)
    whole, pieces = Talk(), Talk()
    whole.book.client(*script)
    for byte in b"".join(script):
        pieces.book.client(bytes([byte]))
    assert pieces.book.sent == whole.book.sent
    whole.drain()
    while pieces.step_server(1) or pieces._forwarded < len(pieces.book.sent):
        pass
    # What waited for an answer may have been judged before or after the next one, so
    # that either Postgres or pgwarden says that a portal is gone: by the same SQLSTATE.
    assert shape(pieces.book.seen) == shape(whole.book.seen)
    for talk in (whole, pieces):
        talk.book.lost()
        check_records(talk)


def with_syntax_errors(script: Sequence[bytes]) -> list[bytes]:
    """The script for a bare server: a syntax error in the place of each refusal."""
    bare = []
    for kind, body in split(b"".join(script)):
        if kind == "Q":
            text = body[:-1]
            is_allowed = JUDGE.judge(text).decision.allowed or b"EXECUTE" in text
            bare.append(query(text if is_allowed else "syntax_error"))
        elif kind == "P":
            name, text = body.split(b"\0")[:2]
            is_allowed = JUDGE.judge(text).decision.allowed
            bare.append(parse(text if is_allowed else "syntax_error", name.decode()))
        elif kind == "F":
            bare.append(query("syntax_error"))
        else:
            bare.append(kind.encode() + (len(body) + 4).to_bytes(4, "big") + body)
    return bare


def shape(data: bytes) -> list[str]:
    """Types, tags, status, rows; of errors the SQLSTATE, or that it is a refusal."""
    return [
        kind + (_of_error(body) if kind == "E" else body.decode("latin-1"))
        for kind, body in split(data)
    ]


def _of_error(body: bytes) -> str:
    sqlstate = error_fields(body)["C"]
    return "refused" if sqlstate in {"42501", "42601"} else sqlstate


@FUZZ
@given(seeds, lengths)
def test_the_client_sees_what_a_bare_server_shows(seed: Random, length: int) -> None:
    """Without EXECUTE and FETCH: some are refused that a bare server runs."""
    script = Writer(seed, by_name=False).script(length)
    bare = ModelPostgres()
    bare.feed(b"".join(with_syntax_errors(script)))
    talk = play(script, seed, limits=Limits())
    assert shape(talk.book.seen) == shape(bare.out)


@FUZZ
@given(seeds, lengths, st.binary(min_size=1, max_size=60))
def test_any_bytes_at_all(seed: Random, length: int, garbage: bytes) -> None:
    """Garbage ends the session; what left before it was judged and recorded."""
    talk = Talk()
    data = bytearray(b"".join(Writer(seed).script(length)))
    at = seed.randrange(len(data))
    data[at : at + seed.choice([0, 1, len(garbage)])] = garbage
    position = 0
    while position < len(data):
        size = seed.choice([1, 9, 100])
        talk.book.client(bytes(data[position : position + size]))
        position += size
    assert talk.book.ending() in {"", "08P01", "quietly"}
    talk.book.sent = b"".join(split_whole(talk.book.sent))
    check_sent(talk)


def split_whole(data: bytes) -> list[bytes]:
    """Whole messages of data that may end within one (a large one is streamed)."""
    found, position = [], 0
    while position + 5 <= len(data):
        end = position + 1 + int.from_bytes(data[position + 1 : position + 5])
        if end > len(data):
            break
        found.append(data[position:end])
        position = end
    return found


@FUZZ
@given(st.integers(1, 200_000), st.integers(1_000, 70_000), st.sampled_from("QPBdF"))
def test_buffers_stay_under_their_ceiling(size: int, piece: int, kind: str) -> None:
    talk = Talk(limits=FEW_NAMES)
    talk.book.client(parse("SELECT $1"))
    body = {
        "Q": b"SELECT '%b'\0" % (b"x" * size),
        "P": b"\0SELECT '%b'\0\0\0" % (b"x" * size),
        "B": b"\0\0\0\0\0\1%b%b\0\0" % (size.to_bytes(4, "big"), b"x" * size),
        "d": b"x" * size,
        "F": b"x" * size,
    }[kind]
    data = kind.encode() + (len(body) + 4).to_bytes(4, "big") + body
    for start in range(0, len(data), piece):
        talk.book.client(data[start : start + piece])
        assert talk.book.session.unread_bytes <= 65_536 + piece
    assert not talk.book.session.unread
    assert not talk.book.ending()
