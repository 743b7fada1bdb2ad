"""What a look tells: never too much time, and never none, whatever a client tries."""

from __future__ import annotations

from proxy.session.overrun import Overrun
from proxy.session.watch import Watch, owed_next
from tests.unit.session.playbook import (
    BOUND,
    COPY_IN,
    FLUSH,
    PARSED,
    SUSPENDED,
    SYNC,
    Playbook,
    bind,
    copy_data,
    describe,
    done,
    error_fields,
    execute,
    failed,
    parse,
    query,
    ready,
    run,
    split,
)


class Watched:
    """A playbook with a clock that stands still between two looks."""

    def __init__(self, role: str = "migrator") -> None:
        self.now_s = 100.0
        self.play = Playbook(role)
        self.session = self.play.session
        self.session.clock = lambda: self.now_s
        self.session.ended_s = self.session.worked_s = self.now_s
        self.watch = Watch()

    def look(self, after_s: float) -> tuple[float, float]:
        self.now_s += after_s
        answered = len(self.play.seen)
        self.watch.look(self.session, answered=answered, now_s=self.now_s)
        return self.watch.running_s, self.watch.idle_s

    def overrun(self) -> Overrun:
        work = self.watch.work
        assert work is not None
        overrun = Overrun(self.session, work, limit_s=30.0, now_s=self.now_s)
        self.session.overrun = overrun
        return overrun


def test_a_statement_runs_from_when_it_left() -> None:
    for sent in (query("select 1"), run("select 1") + SYNC):
        seen = Watched()
        assert seen.look(1) == (0, 0)
        seen.now_s += 0.5
        seen.play.client(sent)
        assert seen.look(0.5) == (0.5, 0)
        assert seen.look(1) == (1.5, 0)
        seen.play.server(done("SELECT 1"), ready()) if sent[:1] == b"Q" else None


def test_the_next_one_runs_from_the_end_of_the_last() -> None:
    seen = Watched()
    seen.play.client(query("select 1"), query("select 2"))
    assert seen.look(5) == (5, 0)
    seen.play.server(done("SELECT 1"), ready())
    assert seen.look(1) == (1, 0)


def test_a_pipeline_that_makes_progress() -> None:
    seen = Watched()
    seen.play.client(*[run("select 1")] * 9, SYNC)
    for _ in range(9):
        running_s, _ = seen.look(1)
        assert running_s <= 1
        seen.play.server(PARSED, BOUND, done("SELECT 1"))


def test_fetches_of_a_portal_are_timed_one_by_one() -> None:
    seen = Watched()
    seen.play.client(query("begin")).server(done("BEGIN"), ready("T"))
    seen.play.client(run("select 1", rows=1), SYNC)
    seen.play.server(PARSED, BOUND, SUSPENDED, ready("T"))
    assert seen.look(7) == (0, 7)
    seen.play.client(execute("", 1), SYNC)
    assert seen.look(1) == (0, 0)
    assert seen.look(2) == (2, 0)
    seen.play.server(SUSPENDED, ready("T"))
    assert seen.look(1) == (0, 1)


def test_copy_data_is_part_of_the_statement() -> None:
    seen = Watched()
    seen.play.client(query("copy t from stdin")).server(COPY_IN)
    for _ in range(3):
        seen.play.client(copy_data())
        seen.look(1)
    assert seen.watch.running_s == 3


def test_syncs_and_describes_are_told_apart() -> None:
    seen = Watched()
    for _ in range(5):
        seen.play.client(SYNC)
        assert seen.look(1) == (0, 0)
        seen.play.server(ready())
    seen.play.client(parse("select 1", "p"), SYNC).server(PARSED, ready())
    for _ in range(5):
        seen.play.client(describe("S", "p"), FLUSH)
        assert seen.look(1)[0] == 0
        seen.play.server(b"n\0\0\0\4")


def test_a_transaction_is_idle_from_its_last_statement() -> None:
    seen = Watched()
    assert seen.look(50) == (0, 0)
    seen.play.client(query("begin")).server(done("BEGIN"), ready("T"))
    assert seen.look(3) == (0, 3)
    for useless in (query(";"), SYNC):
        seen.play.client(useless).server(
            b"I\0\0\0\4" if useless != SYNC else b"", ready("T")
        )
    seen.play.client(parse("select 1") + SYNC).server(PARSED, ready("T"))
    assert seen.look(3) == (0, 6)
    seen.play.client(query("select 1")).server(done("SELECT 1"), ready("T"))
    assert seen.look(1) == (0, 1)
    seen.play.client(query("select 1")).server(failed(), ready("E"))
    assert seen.look(2) == (0, 2)
    seen.play.client(query("select 1")).server(failed("25P02"), ready("E"))
    assert seen.look(2) == (0, 4)
    seen.play.client(query("select 1"))
    assert seen.look(1)[1] == 5
    seen.play.server(failed("25P02"), ready("E"))
    seen.play.client(query("rollback")).server(done("ROLLBACK"), ready("I"))
    assert seen.look(9) == (0, 0)


def test_without_a_sync_a_transaction_is_open() -> None:
    seen = Watched()
    seen.look(1000)
    seen.play.client(parse("select 1"), FLUSH).server(PARSED)
    assert seen.look(1) == (0, 0)
    assert seen.look(2) == (0, 2)
    seen.play.client(SYNC).server(ready())
    assert seen.look(2) == (0, 0)


def test_a_half_sent_bind_is_the_clients_turn() -> None:
    seen = Watched()
    seen.play.client(query("begin")).server(done("BEGIN"), ready("T"))
    seen.play.client(parse("select $1") + SYNC).server(PARSED, ready("T"))
    seen.play.client(bind("", "", b"x" * 200_000)[:100_000])
    assert seen.look(1) == (0, 1)
    seen.play.client(b"x")
    assert seen.look(1) == (1, 2)


def test_what_is_waited_for_is_no_idleness() -> None:
    """A Parse that waits for a lock."""
    seen = Watched()
    seen.play.client(query("begin")).server(done("BEGIN"), ready("T"))
    seen.play.client(parse("select 1"), SYNC)
    seen.look(1)
    assert seen.look(9) == (9, 0)
    seen.play.server(PARSED, ready("T"))
    assert seen.look(1) == (0, 1)


def test_what_is_left_over_after_a_copy_that_failed_does_not_run() -> None:
    play = Playbook("migrator")
    play.client(run("copy t from stdin")).server(PARSED, BOUND, COPY_IN)
    play.client(SYNC).server(failed(), ready())
    assert owed_next(play.session) is None


# --- a cancel on its way -------------------------------------------------------


def told(play: Playbook) -> list[dict[str, str]]:
    return [error_fields(body) for kind, body in split(play.seen) if kind == "E"]


CANCELED = failed("57014", "canceling statement due to user request")


def test_nothing_is_forwarded_until_the_cancel_has_arrived() -> None:
    seen = Watched()
    play, session = seen.play, seen.session
    play.client(query("select 1"))
    seen.look(40)
    overrun = seen.overrun()
    overrun.is_cancelling = session.held = True
    play.client(query("select 2")).client(query("select 3"))
    assert session.is_full
    play.server(done("SELECT 1"), ready())
    play.client(query("select 4"))
    assert play.forwarded() == ["Q select 1"]
    overrun.is_cancelling = False
    session.resume()
    play.client()
    assert play.forwarded() == ["Q select 2", "Q select 3", "Q select 4"]
    # and what came behind is told as Postgres tells it
    play.server(CANCELED, ready())
    assert told(play)[0]["M"] == "canceling statement due to user request"


def test_the_cancel_is_told_in_the_limits_words() -> None:
    seen = Watched("developer")
    seen.play.client(query("select 1"))
    seen.look(40)
    seen.overrun()
    seen.play.server(CANCELED, ready())
    (error,) = told(seen.play)
    assert error["C"] == "57014"
    assert error["M"] == (
        "canceling statement: it ran for more than 30 s, the most for role developer"
    )
    assert error["D"] == "rule limits.running-time, audit id s1-1"
    assert seen.play.recorded()[-1] == "1 error 57014"


def test_another_error_stays_what_it_is() -> None:
    seen = Watched()
    seen.play.client(query("select 1/0"))
    seen.look(40)
    seen.overrun()
    seen.play.server(failed(), ready())
    assert told(seen.play)[0]["C"] == "22012"


def test_one_that_was_hit_in_its_place_is_told_so() -> None:
    seen = Watched()
    seen.play.client(query("select 1"), query("select 2"))
    seen.look(40)
    seen.overrun()
    seen.play.server(done("SELECT 1"), ready(), CANCELED, ready())
    (error,) = told(seen.play)
    assert "it was hit in the place of an earlier one" in error["M"]
    assert error["D"].endswith("audit id s1-2")
    assert error["H"] == "run it again"


def test_within_a_pipeline_it_is_the_pipeline() -> None:
    seen = Watched()
    seen.play.client(run("select 1"), run("select 2"), SYNC)
    seen.look(40)
    seen.overrun()
    seen.play.server(PARSED, BOUND, done("SELECT 1"), PARSED, BOUND, CANCELED, ready())
    (error,) = told(seen.play)
    assert "its pipeline ran without an answer" in error["M"]
    assert error["D"].endswith("audit id s1-2")
