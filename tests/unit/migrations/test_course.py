"""What is known of migrations goes with what Postgres keeps of them, step by step."""

from __future__ import annotations

from functools import cache

import pytest

from proxy.migrations.course import FAILED, IDLE, Course, Looked
from proxy.migrations.piece import Piece
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Tools
from proxy.migrations.profile_reading import Part
from proxy.migrations.recogniser import Recogniser
from proxy.migrations.statement import Sent
from proxy.sql.analyse import analyse

IN_BLOCK = ord("T")


@cache
def tools() -> Tools:
    return Tools(shipped_profiles())


class Talk:
    """A session whose progress is the list of texts that have left."""

    def __init__(self) -> None:
        self.course: Course[tuple[str, ...]] = Course(Recogniser(tools()), ())
        self.status = IDLE

    def look(self, text: str) -> Looked:
        statements = analyse(text.encode()).statements
        pieces = []
        for facts in statements:
            start, length = facts.location
            own = text.encode()[start : start + length if length else None]
            pieces.append(Piece(Sent(own), facts.transaction))
        return self.course.look(pieces, statements, text.encode(), self.status)

    def send(self, text: str) -> Looked:
        looked = self.look(text)
        self.course.take(looked, (*self.course.progress, text))
        return looked

    def answer(self, status: int, *, failed: bool = False) -> None:
        if failed:
            self.course.failed()
        self.status = status
        self.course.ready(status, is_quiet=True)

    def run(self, text: str, status: int = IDLE, *, failed: bool = False) -> None:
        self.send(text)
        self.answer(status, failed=failed)

    def known(self) -> tuple[str, ...]:
        return self.course.progress

    def is_uncertain(self) -> bool:
        return self.course.is_uncertain


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_what_is_committed_is_kept(talk: Talk) -> None:
    talk.run("CREATE TABLE a ()")
    assert talk.course.kept == talk.known() == ("CREATE TABLE a ()",)


def test_in_a_transaction_nothing_is_kept_before_its_end(talk: Talk) -> None:
    talk.run("BEGIN", IN_BLOCK)
    talk.run("DROP TABLE a", IN_BLOCK)
    assert not talk.course.kept
    talk.run("COMMIT")
    assert talk.course.kept == ("BEGIN", "DROP TABLE a", "COMMIT")


def test_rolling_back_forgets(talk: Talk) -> None:
    talk.run("DROP TABLE kept")
    for text in ("BEGIN", "DROP TABLE a"):
        talk.run(text, IN_BLOCK)
    talk.send("ROLLBACK")
    assert talk.is_uncertain()  # until Postgres has said so
    talk.answer(IDLE)
    assert not talk.is_uncertain()
    assert talk.known() == talk.course.kept == ("DROP TABLE kept",)


def test_an_error_forgets(talk: Talk) -> None:
    talk.run("DROP TABLE kept")
    talk.run("DROP TABLE a", failed=True)
    assert talk.known() == ("DROP TABLE kept",)
    assert not talk.is_uncertain()


def test_an_error_in_a_transaction_makes_the_rest_uncertain(talk: Talk) -> None:
    talk.run("BEGIN", IN_BLOCK)
    talk.run("SAVEPOINT s", IN_BLOCK)
    talk.run("DROP TABLE a", FAILED, failed=True)
    assert talk.is_uncertain()
    talk.run("ROLLBACK TO s", IN_BLOCK)
    assert talk.is_uncertain()
    talk.run("ROLLBACK")
    assert not talk.is_uncertain()
    assert talk.known() == ()


def test_a_commit_of_a_failed_transaction_is_a_rollback(talk: Talk) -> None:
    talk.run("BEGIN", IN_BLOCK)
    talk.run("DROP TABLE a", FAILED, failed=True)
    talk.run("COMMIT")
    assert talk.known() == ()


def test_going_back_to_a_savepoint_makes_the_rest_uncertain(talk: Talk) -> None:
    for text in ("BEGIN", "SAVEPOINT s", "DROP TABLE a", "ROLLBACK TO s"):
        talk.run(text, IN_BLOCK)
    assert talk.is_uncertain()
    talk.run("COMMIT")
    assert not talk.is_uncertain()


def test_a_chain_commits_what_came_before(talk: Talk) -> None:
    for text in ("BEGIN", "DROP TABLE a", "COMMIT AND CHAIN"):
        talk.run(text, IN_BLOCK)
    before = talk.known()
    talk.run("DROP TABLE b", IN_BLOCK)
    talk.run("ROLLBACK")
    assert talk.known() == before


def test_a_rollback_and_chain_forgets_what_came_before(talk: Talk) -> None:
    for text in ("BEGIN", "DROP TABLE a", "ROLLBACK AND CHAIN"):
        talk.run(text, IN_BLOCK)
    assert talk.known() == ()
    assert not talk.is_uncertain()


@pytest.mark.parametrize(
    "text",
    ["BEGIN; DROP TABLE a; COMMIT; DROP TABLE b", "COMMIT; DROP TABLE b",
     "DROP TABLE a; COMMIT; SELECT 1/0"],
)  # fmt: skip
def test_an_end_amid_a_message_that_fails_leaves_nobody_the_wiser(
    talk: Talk, text: str
) -> None:
    talk.run(text, failed=True)
    assert talk.course.is_lost
    assert talk.is_uncertain()
    talk.run("SELECT 1")
    assert talk.is_uncertain()


def test_an_end_amid_a_pipeline_that_fails_likewise(talk: Talk) -> None:
    talk.run("BEGIN", IN_BLOCK)
    talk.run("DROP TABLE a", IN_BLOCK)
    talk.send("COMMIT")
    talk.send("DROP TABLE b")
    talk.answer(IDLE, failed=True)
    assert talk.course.is_lost


def test_an_end_amid_a_message_that_goes_well_is_no_trouble(talk: Talk) -> None:
    talk.run("BEGIN; DROP TABLE a; COMMIT")
    assert not talk.is_uncertain()
    assert talk.course.kept == ("BEGIN; DROP TABLE a; COMMIT",)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("DROP TABLE a", False), ("DROP TABLE a; DROP TABLE b", True),
     ("BEGIN; DROP TABLE a; COMMIT", False)],
)  # fmt: skip
def test_several_statements_are_one_transaction_unless_they_say_so(
    talk: Talk, text: str, is_one: bool
) -> None:
    assert talk.look(text).is_one is is_one
    talk.run("BEGIN", IN_BLOCK)
    assert talk.look(text).is_one


@pytest.mark.parametrize("setting", ["SET search_path = x",
                                     "SELECT set_config('role', 'x', false)",
                                     "RESET ALL"])  # fmt: skip
def test_a_setting_beside_a_change_is_a_part_of_it(talk: Talk, setting: str) -> None:
    """It would else change what is meant, and nobody would have looked."""
    alone, beside = talk.look(setting), talk.look(f"{setting}; DELETE FROM a")
    assert [r.part for r in alone.readings] == [Part.READ]
    assert [r.part for r in beside.readings] == [Part.BODY, Part.BODY]
    assert not talk.look("SELECT 1; SHOW search_path").changes


def test_whoever_comes_late_knows_nothing_of_the_transaction(talk: Talk) -> None:
    talk.course.begin_late()
    assert talk.is_uncertain()
    talk.run("COMMIT")
    assert not talk.is_uncertain()


@pytest.mark.parametrize(
    ("text", "is_mixed"),
    [
        ("BEGIN; DELETE FROM a; COMMIT", False),
        ("DELETE FROM a; COMMIT", False),
        ("ROLLBACK; DELETE FROM a", True),
        ("SAVEPOINT s; DELETE FROM a; ROLLBACK TO s", True),
        ("DELETE FROM a; COMMIT; DELETE FROM b", True),
        ("DELETE FROM a; BEGIN; DELETE FROM b", True),
        ("BEGIN; SELECT 1; ROLLBACK", False),
    ],
)
def test_what_of_a_message_stays_has_to_be_plain(
    talk: Talk, text: str, is_mixed: bool
) -> None:
    assert talk.look(text).is_mixed is is_mixed


def test_what_an_error_has_ended_is_known_before_ready(talk: Talk) -> None:
    """Prisma hangs up behind the error, and does not wait for more."""
    talk.send("DROP TABLE a")
    assert not talk.course.has_come_to_nothing
    talk.course.failed()
    assert talk.course.has_come_to_nothing


@pytest.mark.parametrize("rest", ["COMMIT", "ROLLBACK TO s"])
def test_unless_something_behind_it_may_have_saved_it(talk: Talk, rest: str) -> None:
    for text in ("BEGIN", "SAVEPOINT s"):
        talk.run(text, IN_BLOCK)
    talk.run("DROP TABLE a", FAILED, failed=True)
    assert talk.course.has_come_to_nothing
    talk.send(rest)
    assert not talk.course.has_come_to_nothing
