"""Whatever is said, in whatever order: a proof runs whole, in order and once, or not.

A small model of Postgres' transactions says what would stay of each talk, while the
pure part of the gate (recogniser, course and follower) decides what may leave. The same
with a real server and the whole of pgwarden: `tests/oracle/test_attacks_gate.py`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings, strategies as st
from typing_extensions import override

from proxy.migrations.course import FAILED, IDLE, Course, Looked
from proxy.migrations.follower import Follower
from proxy.migrations.following import Progress
from proxy.migrations.piece import Piece
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Tools
from proxy.migrations.recogniser import Recogniser
from proxy.migrations.recording import Recorded
from proxy.migrations.statement import Sent
from proxy.server.migrating.refusing import has_several
from proxy.sql.analyse import analyse
from tests.unit.migrations.test_follower import Ledger, Piece as Exactly, Proof

if TYPE_CHECKING:
    from collections.abc import Sequence

Talk = list[list[str]]
IN_BLOCK = ord("T")
U1, U2 = "UPDATE a SET n = 1 WHERE id = 1", "UPDATE a SET n = 2 WHERE id = 1"
M1, M2 = "UPDATE b SET n = 1 WHERE id = 1", "UPDATE b SET n = 2 WHERE id = 1"
FOREIGN = "UPDATE c SET n = 1 WHERE id = 1"
FAILURE = "UPDATE _prisma_migrations SET logs = 'x' WHERE id = 'k'"
ROW = "INSERT INTO django_migrations (app, name, applied) VALUES ('s', '{}', '1')"
R1, R2, R3 = ROW.format("1"), ROW.format("2"), ROW.format("3")
ONE, OTHER = (U1, U2, R1), (M1, M2, R2)
CONTROL = (
    *("BEGIN", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"),
    *("SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "SELECT 1", "SELECT 1/0"),
)
WORDS = (*ONE, *OTHER, FOREIGN, FAILURE, R3, *CONTROL)
WHOLE = ("BEGIN", *ONE, "COMMIT")
PLACE = st.integers(0, 20)
EDIT = (
    st.tuples(st.just("insert"), PLACE, st.sampled_from(WORDS))
    | st.tuples(st.just("insert"), PLACE, st.sampled_from(CONTROL))
    | st.tuples(
        st.sampled_from(["delete", "twice", "swap", "join"]), PLACE, st.just("")
    )
)
BASE = st.sampled_from(
    [WHOLE, OTHER, (*WHOLE, *OTHER), (*WHOLE, *WHOLE), ("BEGIN", *OTHER, "COMMIT"),
     ("BEGIN", *ONE, *ONE, "COMMIT"), (*OTHER, *OTHER)]
)  # fmt: skip


def talk_of(base: Sequence[str], edits: Sequence[tuple[str, int, str]]) -> Talk:
    """A proven run, or two, with some of it changed; each message is a list."""
    talk = [[each] for each in base]
    for what, where, text in edits:
        at = where % max(len(talk), 1)
        match what:
            case "insert":
                talk.insert(where % (len(talk) + 1), [text])
            case "delete":
                del talk[at : at + 1]
            case "twice":
                talk[at:at] = talk[at : at + 1]
            case "swap":
                talk[at : at + 2] = talk[at : at + 2][::-1]
            case _:
                talk[at : at + 2] = [
                    [text for each in talk[at : at + 2] for text in each]
                ]
    return [each for each in talk if each]


TALK = st.builds(talk_of, BASE, st.lists(EDIT, max_size=7))


@cache
def tools() -> Tools:
    return Tools(shipped_profiles())


class Server:
    """What stays, as Postgres would have it."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.status = IDLE
        self._open: list[str] = []
        self._savepoints: list[int] = []

    def run(self, texts: Sequence[str]) -> bool:
        """One Query; whether it went well."""
        for text in texts:
            if not self._one(text):
                if self.status == IDLE:
                    self._open = []
                else:
                    self.status = FAILED
                return False
        if self.status == IDLE:
            self._end(keep=True)
        return True

    def _one(self, text: str) -> bool:
        word = text.removesuffix(" AND CHAIN")
        if word in {"COMMIT", "ROLLBACK"}:
            self._end(keep=word == "COMMIT" and self.status != FAILED)
            was_open, self.status = self.status != IDLE, IDLE
            if word != text:
                self.status = IN_BLOCK if was_open else IDLE
                return was_open
            return True
        if word == "ROLLBACK TO s":
            if self.status == IDLE or not self._savepoints:
                return False
            self._open, self.status = self._open[: self._savepoints[-1]], IN_BLOCK
            return True
        if self.status == FAILED or word == "SELECT 1/0":
            return False
        if word == "BEGIN":
            self.status = IN_BLOCK
        elif word in {"SAVEPOINT s", "RELEASE s"}:
            return self._savepoint(is_release=word[0] == "R")
        elif word != "SELECT 1":
            self._open.append(word)
        return True

    def _savepoint(self, *, is_release: bool) -> bool:
        if self.status == IDLE or (is_release and not self._savepoints):
            return False
        if is_release:
            self._savepoints.pop()
        else:
            self._savepoints.append(len(self._open))
        return True

    def _end(self, *, keep: bool) -> None:
        if keep:
            self.kept += self._open
        self._open, self._savepoints = [], []


class Gate:
    """The gatekeeper without what it asks outside: gates, rules, the schema."""

    def __init__(self) -> None:
        self.server = Server()
        one = Recorded("django", "s.1", "", _exactly(ONE), True, True)
        other = Recorded("django", "s.2", "", _exactly(OTHER))
        self.fresh = [Proof(one, "one"), Proof(other, "other")]
        self.ledger = Ledger(self.fresh)
        self.course: Course[Progress] = Course(Recogniser(tools()), Progress())

    def send(self, texts: Sequence[str]) -> None:
        whole = "; ".join(texts).encode()
        course = self.course
        looked = self._look(whole)
        follower = Follower(self.ledger, frozenset())
        progress = course.progress
        if looked.changes and not progress.is_running:
            # Of what has ended the ledger says so before anything else may begin.
            ended = progress.ended
            self.ledger.proofs = [each for each in self.fresh if each not in ended]
        follower.progress = progress
        if course.is_uncertain:
            follower.progress = _uncertain(progress)
        followed = follower.follow(
            looked.pieces,
            looked.readings,
            in_transaction=looked.is_one,
            commits_itself=looked.is_one and not looked.in_block,
        )
        is_fine = followed.unproven is None and not looked.is_mixed
        is_fine = is_fine and not has_several(progress, followed)
        if is_fine and any(piece.transaction == "commit" for piece in looked.pieces):
            is_dead = self.server.status == FAILED and not course.may_have_recovered
            is_fine = is_dead or self._may_commit(followed.progress)
        if not is_fine:
            went_well = self.server.run(["SELECT 1/0"])
        else:
            for proof in followed.begins:
                if not proof.is_transaction:
                    self.fresh = [each for each in self.fresh if each is not proof]
            course.take(looked, followed.progress)
            went_well = self.server.run(texts)
        if not went_well:
            course.failed()
        course.ready(self.server.status, is_quiet=True)
        ended = course.kept.ended
        self.fresh = [each for each in self.fresh if each not in ended]

    def _may_commit(self, progress: Progress) -> bool:
        course = self.course
        is_seen = len(progress.ended) == len(course.progress.ended)
        return is_seen and not (course.is_uncertain and course.progress != course.kept)

    def _look(self, whole: bytes) -> Looked:
        statements = analyse(whole).statements
        pieces = []
        for facts in statements:
            start, length = facts.location
            own = whole[start : start + length if length else None].strip(b" ;")
            pieces.append(Said(Sent(own), facts.transaction))
        return self.course.look(list(pieces), statements, whole, self.server.status)


class Said(Piece, frozen=True):
    """A piece that proofs of plain texts can be compared with."""

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exactly) and other.text == self.text

    @override
    def __hash__(self) -> int:
        return hash(self.text)


def _exactly(texts: Sequence[str]) -> tuple[Exactly, ...]:
    return tuple(Exactly(text.encode()) for text in texts[:-1])


def _uncertain(progress: Progress) -> Progress:
    return Progress(
        progress.cursors, progress.is_running, progress.announced, progress.ended, True
    )


def played(talk: Sequence[Sequence[str]]) -> list[str]:
    gate = Gate()
    for texts in talk:
        gate.send(texts)
    return gate.server.kept


def test_what_is_proven_stays() -> None:
    whole = [*(["BEGIN"], *([each] for each in ONE), ["COMMIT"])]
    assert played([*whole, *([each] for each in OTHER)]) == [*ONE, *OTHER]


def alone(*texts: str) -> Talk:
    return [[each] for each in texts]


@given(TALK)
@example(alone("BEGIN", U1, FAILURE, "COMMIT"))
@example(alone("BEGIN", "SAVEPOINT s", U1, U2, "ROLLBACK TO s", R1, "COMMIT"))
@example(alone("BEGIN", U1, "SAVEPOINT s", U2, R1, "ROLLBACK TO s", "COMMIT"))
@example(alone("BEGIN", U1, "ROLLBACK", "BEGIN", U2, R1, "COMMIT"))
@example([[U1, U2]])
@example([["BEGIN"], ["COMMIT", U1]])
@settings(max_examples=500, deadline=None)
@pytest.mark.timeout(120)
def test_nothing_else_stays(talk: Talk) -> None:
    kept = played(talk)
    one = [each for each in kept if each in ONE]
    other = [each for each in kept if each in OTHER]
    assert one in ([], list(ONE))
    assert other == list(OTHER)[: len(other)]
    # A tool may say that a migration of its own has failed, whoever asks.
    assert set(kept) <= {*ONE, *OTHER, FAILURE}
