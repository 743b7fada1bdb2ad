"""A verdict never outlives its situation, whatever the client keeps across the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.windows import moment_of
from proxy.session.judge import Judge
from proxy.session.surroundings import Surroundings
from tests.unit.session.playbook import (
    BOUND,
    COLUMNS,
    FLUSH,
    PARSED,
    ROW,
    SUSPENDED,
    SYNC,
    Playbook,
    bind,
    done,
    execute,
    failed,
    no_such,
    parse,
    query,
    ready,
    reported,
    run,
)

if TYPE_CHECKING:
    from proxy.policy.situation import Situation

TEXT = """
version: 1
name: trial
roles:
  developer:
    login: permit
    upstream: u
    rules:
      - id: base
        permit:
          kinds: [read, transaction, session, execute, cursor]
          actions: [select, begin, commit, set, prepare, execute, declare cursor, fetch]
          settings: [application_name]
          relations: [{access: read, names: plain}]
      - id: window
        when: {during: [{hours: "08:00-18:00", timezone: UTC}]}
        permit:
          kinds: [delete]
          actions: [delete]
          flags: [hidden_write]
          relations: [{access: [read, delete], names: t}]
      - id: bi
        when: {applications: bi}
        permit: {relations: [{access: read, names: charts}]}
"""
POLICY = Policy(load(TEXT, source="trial.yaml"))
BASE = TEXT.split("      - id: window", maxsplit=1)[0]
PLAIN = Policy(load(BASE, source="plain.yaml"))
OPEN = moment_of("2026-11-26T17:59Z")
SHUT = moment_of("2026-11-26T18:00Z")
DELETE = "delete from t where id = 1"
CHARTS = "select * from charts"
OWN_WORDS = "ana via pgwarden (psql)"


class Clock:
    """A clock on the wall that a test sets."""

    def __init__(self) -> None:
        self.at = OPEN

    def __call__(self) -> float:
        return self.at


class Judges:
    """As `proxy.server.server` keeps them: one a situation, for all sessions."""

    def __init__(self) -> None:
        self.made: dict[Situation, Judge] = {}

    def __call__(self, policy: Policy, situation: Situation) -> Judge:
        made = Judge(policy, "developer", database="shop", situation=situation)
        return self.made.setdefault(situation, made)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Playbook:
    return standing(clock)


def standing(clock: Clock, *, application: str = "psql") -> Playbook:
    surroundings = Surroundings(
        address="::1", application=application, reported=OWN_WORDS, now=clock
    )
    situations = POLICY.role("developer").situations
    judge = surroundings.adopt(situations, partial(Judges(), POLICY))
    return Playbook(judge=judge, surroundings=surroundings)


def denied(book: Playbook) -> list[str]:
    return [line for line in book.recorded() if " deny " in line]


def test_a_cached_verdict_does_not_outlive_its_window(
    book: Playbook, clock: Clock
) -> None:
    for _ in range(3):  # from the second time on it is kept
        book.client(query(DELETE)).server(done("DELETE 1"), ready())
    assert not denied(book)
    clock.at = SHUT
    book.client(query(DELETE)).server(no_such(4), ready())
    assert denied(book) == [f"4 deny query default-deny {DELETE}"]
    clock.at = SHUT + 14 * 3600
    book.client(query(DELETE)).server(done("DELETE 1"), ready())
    assert not denied(book)


def test_a_clock_that_is_set_back_opens_nothing(book: Playbook, clock: Clock) -> None:
    book.client(query(DELETE)).server(done("DELETE 1"), ready())
    clock.at = moment_of("2026-11-26T07:00Z")
    book.client(query(DELETE))
    assert len(denied(book)) == 1


@pytest.mark.parametrize("step", ["bind", "execute", "fetch"])
def test_nothing_prepared_is_kept_across_the_end(
    book: Playbook, clock: Clock, step: str
) -> None:
    book.client(query("begin")).server(done("BEGIN"), ready("T"))
    book.client(parse(DELETE, "s"), SYNC).server(PARSED, ready("T"))
    if step != "bind":
        book.client(bind("s", "p"), SYNC).server(BOUND, ready("T"))
    if step == "fetch":
        book.client(execute("p", 1), SYNC).server(ROW, SUSPENDED, ready("T"))
    book.recorded()
    clock.at = SHUT
    if step == "bind":
        book.client(bind("s", "p"), FLUSH)
    else:
        book.client(execute("p", 1), FLUSH)
    name = "bind" if step == "bind" else "execute"
    (line,) = denied(book)
    assert line.split(" ", 1)[1] == f"deny {name} default-deny {DELETE}"
    assert book.forwarded()[-2].startswith("P pgwarden_refused <")


def test_sql_execute_and_fetch_do_not_outlive_it_either(
    book: Playbook, clock: Clock
) -> None:
    book.client(query(f"prepare w as {DELETE}")).server(done("PREPARE"), ready())
    book.client(query("begin")).server(done("BEGIN"), ready("T"))
    declare = "declare c cursor for select * from t"
    book.client(query(declare)).server(done("DECLARE CURSOR"), ready("T"))
    book.client(query("fetch c")).server(COLUMNS, ROW, done("FETCH 1"), ready("T"))
    assert not denied(book)
    clock.at = SHUT
    book.client(query("fetch c"), query("execute w"))
    assert [line.split()[1:4] for line in denied(book)] == [
        ["deny", "query", "default-deny"],
        ["deny", "query", "default-deny"],
    ]


def test_what_waited_is_judged_when_its_turn_comes(
    book: Playbook, clock: Clock
) -> None:
    book.client(parse(DELETE, "w"), SYNC).server(PARSED, ready())
    # of two Parse of one name only Postgres knows which stands: the EXECUTE waits
    book.client(parse("select 1", "w"), SYNC, query("execute w"))
    assert book.is_held()
    clock.at = SHUT
    book.server(failed("42P05"), ready())
    assert not book.is_held()
    assert [line.split()[1:4] for line in denied(book)] == [
        ["deny", "query", "default-deny"]
    ]


def test_half_a_message_is_judged_when_it_is_whole(
    book: Playbook, clock: Clock
) -> None:
    message = query(DELETE)
    book.client(message[:9])
    clock.at = SHUT
    book.client(message[9:])
    assert len(denied(book)) == 1


def test_an_application_name_counts_once_postgres_reports_it(book: Playbook) -> None:
    rename = "set application_name = 'bi'"
    # in one Query, and in one pipeline: judged before the name is another
    book.client(query(f"{rename}; {CHARTS}"))
    book.server(no_such(1), ready())
    book.client(run(rename), run(CHARTS), SYNC)
    assert [line.split()[2] for line in denied(book)] == ["query", "parse", "bind"]
    book.server(PARSED, BOUND, done("SET"), no_such(3), ready())
    book.client(query(rename)).server(
        done("SET"), reported("application_name", "bi"), ready()
    )
    assert "internal application-name" in book.recorded()
    assert book.records[-2]["detail"] == {"application_name": "bi"}
    book.client(query(CHARTS)).server(done("SELECT 1"), ready())
    assert not denied(book)
    # a rollback or RESET brings pgwarden's own words back: the name of the login
    book.server(reported("application_name", OWN_WORDS))
    book.client(query(CHARTS))
    assert len(denied(book)) == 1


def test_a_report_of_the_same_name_is_no_change(clock: Clock) -> None:
    book = standing(clock, application="bi")
    book.client(query(CHARTS)).server(done("SELECT 1"), ready())
    for name in (OWN_WORDS, "bi"):
        book.server(reported("application_name", name))
    assert not [line for line in book.recorded() if line.startswith("internal")]


def test_a_new_policy_takes_the_name_that_it_has_now(clock: Clock) -> None:
    surroundings = Surroundings(
        address="::1", application="psql", reported=OWN_WORDS, now=clock
    )
    situations = PLAIN.role("developer").situations
    judge = surroundings.adopt(situations, partial(Judges(), PLAIN))
    book = Playbook(judge=judge, surroundings=surroundings)
    assert book.session.may_change is False
    book.client(query("set application_name = 'bi'"))
    book.server(done("SET"), reported("application_name", "bi"), ready())
    surroundings.adopt(POLICY.role("developer").situations, partial(Judges(), POLICY))
    book.session.look_again()
    book.client(query(CHARTS), query(DELETE))
    assert not denied(book)
    clock.at = SHUT
    book.client(query(CHARTS), query(DELETE))
    assert len(denied(book)) == 1


def test_what_hangs_on_nothing_never_looks_at_the_clock() -> None:
    def no_clock() -> float:
        raise AssertionError

    surroundings = Surroundings(
        address="::1", application="psql", reported=OWN_WORDS, now=lambda: OPEN
    )
    judge = surroundings.adopt(
        PLAIN.role("developer").situations, partial(Judges(), PLAIN)
    )
    surroundings._now = no_clock
    book = Playbook(judge=judge, surroundings=surroundings)
    book.client(query("select 1")).server(done("SELECT 1"), ready())
    assert not denied(book)


PROVING = f"""{TEXT}      - id: proven
        when: {{proven: true, during: [{{hours: "08:00-18:00", timezone: UTC}}]}}
        permit: {{actions: [drop table], kinds: [ddl], flags: [destructive]}}
      - id: gone
        when: {{proven: true}}
        permit: {{relations: [{{access: drop}}]}}
"""
DROP = "drop table t"


def test_a_session_is_never_proven_by_itself(clock: Clock) -> None:
    policy = Policy(load(PROVING, source="proving.yaml"))
    surroundings = Surroundings(
        address="::1", application="psql", reported=OWN_WORDS, now=clock
    )
    judges = Judges()
    judge = surroundings.adopt(
        policy.role("developer").situations, partial(judges, policy)
    )
    for _ in range(3):  # from the second time on it is kept
        assert not judge.judge(DROP.encode()).decision.allowed
        assert surroundings.proven_judge().judge(DROP.encode()).decision.allowed
        assert not surroundings.judge().judge(DROP.encode()).decision.allowed
    assert len(judges.made) == 2
    assert surroundings.judge() is judge


def test_a_proof_holds_in_its_window_and_no_longer(clock: Clock) -> None:
    """And asking for the judge of it keeps nobody from looking at the clock."""
    policy = Policy(load(PROVING, source="proving.yaml"))
    surroundings = Surroundings(
        address="::1", application="psql", reported=OWN_WORDS, now=clock
    )
    surroundings.adopt(policy.role("developer").situations, partial(Judges(), policy))
    clock.at = SHUT
    assert not surroundings.proven_judge().judge(DROP.encode()).decision.allowed
    assert surroundings.is_over()


def test_without_a_policy_nothing_is_proven(clock: Clock) -> None:
    surroundings = Surroundings(
        address="::1", application="psql", reported=OWN_WORDS, now=clock
    )
    for ask in (surroundings.judge, surroundings.proven_judge):
        with pytest.raises(RuntimeError, match="no policy yet"):
            ask()
