"""Random conversations with a model of Postgres: what must hold whatever is sent.

Nothing unjudged or unrecorded reaches Postgres, each statement has one outcome, the
client sees what a bare server would show it, nothing waits for ever, and where the
bytes are split changes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings, strategies as st

from proxy.session.session import Limits
from tests.fuzz.model import ModelPostgres
from tests.unit.session.playbook import (
    COPY_DONE,
    FLUSH,
    FUNCTION_CALL,
    STAND_IN,
    SYNC,
    Playbook,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    error_fields,
    execute,
    judge_of,
    parse,
    query,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
FUZZ = settings(
    max_examples=5_000 if DEEP else 250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
JUDGE = judge_of("migrator")

DENIED = ["DO $$BEGIN END$$", "SELECT pg_sleep(9)", "SELECT 1; LISTEN x"]
READS = [
    *("SELECT 1", "SELECT 2", "SELECT 1/0", "SELECT nope", ""),
    *("SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 2"),
]
TRANSACTIONS = ["BEGIN", "COMMIT", "ROLLBACK", "BEGIN; SELECT 1; COMMIT"]
BY_NAME = [
    *("PREPARE a AS SELECT 1", "PREPARE b AS SELECT 2", "DEALLOCATE a"),
    *("DEALLOCATE ALL", "EXECUTE a", "EXECUTE b", "DISCARD ALL"),
    *("DEALLOCATE a; PREPARE a AS SELECT 2", "PREPARE a AS SELECT 2; SELECT 1/0"),
]
CURSORS = [
    *("DECLARE p CURSOR FOR SELECT 1", "FETCH 1 FROM p", "CLOSE p"),
    "DECLARE p CURSOR WITH HOLD FOR SELECT 1",
]
COPIES = ["COPY t FROM STDIN", "COPY t FROM STDIN; SELECT 1"]
TEXTS = READS + TRANSACTIONS + BY_NAME + CURSORS
ONE = [text for text in TEXTS if ";" not in text]

statements = st.sampled_from(["", "a", "b"])
portals = st.sampled_from(["", "p"])
fetched = st.sampled_from([0, 1, 2])
texts = st.one_of(st.sampled_from(TEXTS), st.sampled_from(DENIED))
sole_texts = st.one_of(st.sampled_from(ONE), st.sampled_from(DENIED))
extended = st.one_of(
    st.builds(parse, sole_texts, statements),
    st.builds(bind, statements, portals),
    st.builds(execute, portals, fetched),
    st.builds(describe, st.just("S"), statements),
    st.builds(describe, st.just("P"), portals),
    st.builds(close, st.just("S"), statements),
    st.builds(close, st.just("P"), portals),
    st.just(FLUSH),
    st.just(SYNC),
)
usual = st.builds(
    lambda text, name, portal, rows, end: (
        parse(text, name) + bind(name, portal) + execute(portal, rows) + end
    ),
    sole_texts,
    statements,
    portals,
    fetched,
    st.sampled_from([b"", SYNC, SYNC, FLUSH]),
)
# Most segments end soon: an error makes Postgres ignore all of the rest of one.
endings = st.sampled_from([b"", SYNC, SYNC, SYNC])
messages = st.one_of(
    st.builds(bytes.__add__, st.one_of(extended, extended, usual), endings),
    st.builds(query, texts),
    st.builds(query, st.sampled_from(["BEGIN", "ROLLBACK"])),
    st.builds(lambda name: query(f"FETCH 1 FROM {name}"), st.just("p")),
    st.just(FUNCTION_CALL),
)
scripts = st.lists(messages, max_size=25)
seeds = st.randoms(use_true_random=False)

copy_text = st.sampled_from(COPIES)
copy_body = st.lists(
    st.sampled_from([copy_data(), copy_data(), copy_data(b"bad"), FLUSH, SYNC]),
    max_size=3,
).map(b"".join)
copy_end = st.sampled_from([COPY_DONE, COPY_DONE, copy_fail()])
copying = st.one_of(
    st.builds(
        lambda t, body, end: query(t) + body + end, copy_text, copy_body, copy_end
    ),
    st.builds(
        lambda text, early, body, end: (
            parse(text) + bind() + execute() + early + body + end + SYNC
        ),
        st.just(COPIES[0]),
        st.sampled_from([b"", SYNC]),
        copy_body,
        copy_end,
    ),
)


class Talk:
    """A session between a client that sends a script and the model."""

    def __init__(self, server: ModelPostgres | None = None) -> None:
        self.book = Playbook("migrator", judge=JUDGE, limits=Limits(16_384, 4, 3))
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


def play(script: Sequence[bytes], seed: object = None, **server: object) -> Talk:
    """Send a script in pieces of any size, answers coming at any time."""
    talk = Talk(ModelPostgres(**server))  # type: ignore[arg-type]
    data = b"".join(script)
    if seed is None:
        talk.book.client(data)
    position = 0
    while seed is not None and position < len(data):
        size = seed.choice([1, 3, 7, 40, 200, 1000])  # type: ignore[attr-defined]
        talk.book.client(data[position : position + size])
        position += size
        if seed.random() < 0.5:  # type: ignore[attr-defined]
            talk.step_server(seed.choice([1, 5, 30, None]))  # type: ignore[attr-defined]
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
    return all(one in rest for one in part)


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
@given(scripts, seeds)
def test_nothing_unjudged_or_unrecorded_is_sent(
    script: list[bytes], seed: object
) -> None:
    talk = play([*script, SYNC], seed)
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
@given(st.lists(st.one_of(messages, copying), max_size=20), seeds, st.booleans())
def test_copies_among_the_rest(
    script: list[bytes], seed: object, trigger_fails: bool
) -> None:
    talk = play([*script, SYNC], seed, trigger_fails=trigger_fails)
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


# A Parse of an EXECUTE is refused if the name is unknown by then; a bare server finds
# that out later.
settled_scripts = st.lists(
    messages.filter(lambda m: b"EXECUTE" not in m[:20]), max_size=25
)


@FUZZ
@given(settled_scripts, seeds)
def test_splitting_changes_nothing(script: list[bytes], seed: object) -> None:
    """One byte at a time or all at once, with the answers after all was sent."""
    script = [*script, SYNC]
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
@given(
    st.lists(
        messages.filter(
            # Refused where a bare server fails later, or not at all: see the design.
            lambda m: b"EXECUTE" not in m[:20] and b"FETCH" not in m
        ),
        max_size=25,
    ),
    seeds,
)
@example([query("BEGIN"), query("SELECT 1/0"), query(DENIED[0])], None)
@example([parse("SELECT nope"), parse(DENIED[0]), SYNC, parse(DENIED[0]), SYNC], None)
def test_the_client_sees_what_a_bare_server_shows(
    script: list[bytes], seed: object
) -> None:
    script = [*script, SYNC]
    bare = ModelPostgres()
    bare.feed(b"".join(with_syntax_errors(script)))
    book = Playbook("migrator", judge=JUDGE)
    talk = Talk(ModelPostgres())
    talk.book = book
    book.client(*script)
    talk.drain()
    assert shape(book.seen) == shape(bare.out)


@FUZZ
@given(st.lists(st.one_of(st.binary(max_size=60), messages), max_size=12), seeds)
def test_any_bytes_at_all(script: list[bytes], seed: object) -> None:
    """Garbage ends the session; what left before it was judged and recorded."""
    talk = Talk()
    data = b"".join(script)
    position = 0
    while position < len(data):
        size = seed.choice([1, 9, 100])  # type: ignore[attr-defined]
        talk.book.client(data[position : position + size])
        position += size
    if talk.book.ending():
        assert talk.book.ending() in {"08P01", "quietly"}
    whole = list(split_whole(talk.book.sent))
    talk.book.sent = b"".join(whole)
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
    talk = Talk()
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
