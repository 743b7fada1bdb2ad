"""A session judged again: what came before it counts, and nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from proxy.audit.judged import judged_fragment
from proxy.cli.offline import OfflineSession
from proxy.policy.decision import Decision
from proxy.replay import sessions
from proxy.replay.sessions import ACCESS, OWN_REFUSALS, UNPREPARED
from proxy.session.judge import Judge
from proxy.sql.analyse import analyse
from proxy.sql.facts import Analysis
from tests.made_log import MadeLog, MadeSession
from tests.unit.replay.replaying import (
    HEAD,
    MILDER,
    NO_HR,
    READING,
    READS,
    STRICTER,
    WRITING,
    changes,
    only,
    policy,
    replayed,
)

if TYPE_CHECKING:
    from proxy.replay.tally import Tally

Tell = Callable[[MadeSession], object]


@pytest.fixture
def judged_again(tmp_path: Path) -> Callable[..., Tally]:
    def run(before: str, after: str, tell: Tell, *, is_started: bool = True) -> Tally:
        with MadeLog(tmp_path / "audit") as log:
            tell(log.session(policy(before), is_started=is_started))
        return replayed(tmp_path / "audit", after)

    return run


Run = Callable[..., "Tally"]


def send(*texts: str) -> Tell:
    return lambda session: [session.query(text) for text in texts]


def own_refusal(rule: str, text: str = "", **more: object) -> Tell:
    """A refusal that no policy gave."""
    decision = Decision(allowed=False, rule=rule, reason="x", sqlstate="x")
    analysis = analyse(text.encode()) if text else Analysis((), "")
    return lambda session: session.record(
        judged_fragment(analysis, decision),
        **more,  # type: ignore[arg-type]
    )


def test_the_same_policy_changes_nothing(judged_again: Run) -> None:
    tally = judged_again(
        READING,
        READING,
        send("SELECT 1", "DROP TABLE t", "DELETE FROM t", "selct", "SET jit = off"),
    )
    assert tally.statements.same == 5
    assert tally.groups == []


def test_what_is_newly_refused(judged_again: Run) -> None:
    tally = judged_again(READING, STRICTER, send("SELECT * FROM pay", "SELECT 1"))
    group = only(tally)
    assert (tally.statements.newly_refused, tally.statements.same) == (1, 1)
    assert (group.rule_before, group.rule_after) == ("reads", "hr")
    assert (group.shape, group.count) == ("select * from pay", 1)
    assert group.reason.endswith(": private")
    assert (group.identity, group.role, group.application_name) == (
        "ana",
        "developer",
        "psql",
    )


def test_what_is_newly_allowed(judged_again: Run) -> None:
    tally = judged_again(READING, WRITING, send("INSERT INTO t VALUES (1)"))
    assert tally.statements.newly_allowed == 1
    assert changes(tally) == {"insert into t values (?)": ("default-deny", "writes", 1)}


# --- quarantine ---------------------------------------------------------------


def test_quarantine_holds_for_what_follows(judged_again: Run) -> None:
    texts = ("DELETE FROM t", "DROP TABLE t", "DELETE FROM t", "SELECT 1")
    assert judged_again(WRITING, WRITING, send(*texts)).statements.same == 4


def test_a_candidate_that_does_not_quarantine_allows_what_follows(
    judged_again: Run,
) -> None:
    tally = judged_again(WRITING, MILDER, send("DROP TABLE t", "DELETE FROM t"))
    assert changes(tally) == {"delete from t": ("quarantine", "writes", 1)}


def test_a_candidate_that_quarantines_refuses_what_follows(judged_again: Run) -> None:
    tally = judged_again(
        MILDER, WRITING, send("DELETE FROM t", "DROP TABLE t", "DELETE FROM t")
    )
    assert changes(tally) == {"delete from t": ("writes", "quarantine", 1)}


def test_a_session_that_began_before_the_log_tells_of_its_quarantine(
    judged_again: Run,
) -> None:
    def tell(session: MadeSession) -> None:
        session._session.is_quarantined = True
        send("SELECT 1", "DELETE FROM t", "DELETE FROM t")(session)

    tally = judged_again(WRITING, WRITING, tell, is_started=False)
    assert (tally.statements.same, tally.begun_before) == (3, 1)


# --- what the log holds in part -----------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT id FROM users WHERE password = 'x'", sessions.REDACTED),
        ("SELECT dblink('host=x password=y')", sessions.REDACTED),
        ("SELECT '" + "x" * 70_000 + "'", sessions.TRUNCATED),
    ],
)
def test_a_text_that_is_not_whole_is_told_apart(
    judged_again: Run, text: str, reason: str
) -> None:
    tally = judged_again(READING, HEAD.replace("rules:", ""), send(text))
    assert tally.statements.not_replayable == 1
    assert (only(tally).reason, only(tally).rule_after) == (reason, "")


def test_a_text_that_is_not_utf8_is_refused_by_any_policy(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        judge = Judge(policy(READING), "developer")
        session.record(judge.judge(b"SELECT '\xff'").fragment)

    assert judged_again(READING, MILDER, tell).statements.same == 1


def test_an_escaped_text_that_was_judged_is_told_apart(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        allowed = Decision(allowed=True, rule="reads", reason="")
        session.record(judged_fragment(Analysis((), "SELECT '\udcff'"), allowed))

    assert only(judged_again(READING, MILDER, tell)).reason == sessions.ESCAPED


def test_what_can_not_be_judged_does_to_its_session_what_it_did(
    judged_again: Run,
) -> None:
    tally = judged_again(
        WRITING, WRITING, send("CREATE ROLE r PASSWORD 'x'", "DELETE FROM t")
    )
    assert changes(tally) == {
        "create role r password ?": ("drops", sessions.REDACTED, 1)
    }
    assert tally.statements.same == 1


def test_a_candidate_that_never_quarantines_does_not_here_either(
    judged_again: Run,
) -> None:
    tally = judged_again(
        WRITING, MILDER, send("CREATE ROLE r PASSWORD 'x'", "DELETE FROM t")
    )
    assert changes(tally)["delete from t"] == ("quarantine", "writes", 1)


# --- refusals of pgwarden's own -----------------------------------------------


@pytest.mark.parametrize("rule", [*sorted(OWN_REFUSALS), "access.own-request"])
@pytest.mark.parametrize("text", ["", "PREPARE p AS DELETE FROM t"])
def test_no_policy_changes_a_refusal_of_pgwardens_own(
    judged_again: Run, rule: str, text: str
) -> None:
    def tell(session: MadeSession) -> None:
        own_refusal(rule, text)(session)
        session.query("EXECUTE p")

    assert judged_again(WRITING, WRITING, tell).statements.same == 2


def test_every_rule_that_sessions_refuse_by_is_known_to_replays() -> None:
    folder = Path(sessions.__file__).parents[1] / "session"
    rules: set[str] = set()
    for source in (path.read_text() for path in folder.glob("*.py")):
        rules |= set(re.findall(r'rule="([a-z.-]+)"', source))
        if "rule=RULE" in source:
            constant = r'^RULE: Final = "([a-z.-]+)"'
            rules |= set(re.findall(constant, source, re.MULTILINE))
    by_names = {"session.unknown-portal", "session.nested-execute", UNPREPARED}
    logins = {rule for rule in rules if rule.startswith(("login", ACCESS))}
    assert rules - logins == OWN_REFUSALS | by_names


def test_a_bind_of_what_was_refused_is_not_replayable_once_that_is_allowed(
    judged_again: Run,
) -> None:
    def tell(session: MadeSession) -> None:
        session.execute("DELETE FROM t")
        own_refusal(UNPREPARED, message="bind")(session)

    assert judged_again(READING, READING, tell).statements.same == 2
    tally = judged_again(READING, WRITING, tell)
    assert changes(tally) == {
        "delete from t": ("default-deny", "writes", 1),
        "(bind without text)": (UNPREPARED, sessions.NO_TEXT, 1),
    }


# --- names --------------------------------------------------------------------

PAY = "PREPARE p AS SELECT * FROM pay"


def test_execute_is_judged_by_what_was_prepared(judged_again: Run) -> None:
    other = "PREPARE q AS SELECT 1"
    tally = judged_again(READING, STRICTER, send(other, PAY, "EXECUTE p", "EXECUTE p"))
    assert changes(tally) == {
        "prepare p as select * from pay": ("reads", "hr", 1),
        "execute p": ("reads", UNPREPARED, 2),
    }


def test_a_prepare_that_is_newly_allowed_allows_its_execute(judged_again: Run) -> None:
    tally = judged_again(
        READING, WRITING, send("PREPARE p AS DELETE FROM t", "EXECUTE p")
    )
    assert changes(tally) == {
        "prepare p as delete from t": ("default-deny", "writes", 1),
        "execute p": (UNPREPARED, "writes", 1),
    }


def test_a_name_that_was_never_prepared_stays_unknown(judged_again: Run) -> None:
    assert judged_again(READING, MILDER, send("EXECUTE p")).statements.same == 1


def test_a_name_that_the_log_does_not_hold_is_not_guessed(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        session._session._prepared["p"] = analyse(b"SELECT 1").statements[0]
        send("EXECUTE p")(session)

    tally = judged_again(READING, READING, tell, is_started=False)
    assert changes(tally) == {"execute p": ("reads", sessions.UNSEEN_NAME, 1)}


@pytest.mark.parametrize("forget", ["DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL"])
def test_a_forgotten_name_may_be_prepared_anew(judged_again: Run, forget: str) -> None:
    texts = (PAY, forget, "PREPARE p AS SELECT 1", "EXECUTE p")
    tally = judged_again(READING, STRICTER, send(*texts))
    assert list(changes(tally)) == ["prepare p as select * from pay"]


def test_a_prepare_that_failed_changed_nothing(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        session.query("PREPARE p AS SELECT 1")
        session.query(PAY, "error")
        session.query("EXECUTE p")

    assert list(changes(judged_again(READING, STRICTER, tell))) == [
        "prepare p as select * from pay"
    ]


def test_a_first_prepare_that_failed_leaves_no_name(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        session.query("PREPARE p AS SELECT * FROM gone", "error")
        session._session._prepared.clear()
        session.query("EXECUTE p")

    assert judged_again(READING, READING, tell).statements.same == 2


def test_after_a_text_that_failed_in_part_its_names_are_not_known(
    judged_again: Run,
) -> None:
    def tell(session: MadeSession) -> None:
        session.query("PREPARE p AS SELECT 1; SELECT 1/0", "error")
        session.query("EXECUTE p")

    assert changes(judged_again(READING, READING, tell)) == {
        "execute p": ("reads", sessions.UNSEEN_NAME, 1)
    }


def test_an_execute_before_the_outcome_of_its_prepare(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        session.query("PREPARE p AS SELECT 1", None)
        session.query("EXECUTE p")

    assert judged_again(READING, READING, tell).statements.same == 2


def test_a_name_prepared_and_executed_in_one_text(judged_again: Run) -> None:
    text = "PREPARE p AS SELECT * FROM pay; EXECUTE p; DEALLOCATE p"
    tally = judged_again(READING, STRICTER, send(text))
    assert [group.rule_after for group in tally.groups] == ["hr"]


def test_a_statement_that_the_protocol_prepared_can_be_executed_in_sql(
    judged_again: Run,
) -> None:
    def tell(session: MadeSession) -> None:
        session.execute("SELECT * FROM pay", name="p")
        session._session._prepared["p"] = analyse(b"SELECT * FROM pay").statements[0]
        session.query("EXECUTE p")

    assert judged_again(READING, READING, tell).statements.same == 2
    assert changes(judged_again(READING, STRICTER, tell)) == {
        "select * from pay": ("reads", "hr", 1),
        "execute p": ("reads", UNPREPARED, 1),
    }


def test_a_portal_that_runs_a_prepared_body_prepares_nothing_again(
    judged_again: Run,
) -> None:
    def tell(session: MadeSession) -> None:
        session.query("PREPARE p AS SELECT 1")
        session.execute("PREPARE p AS SELECT 1", name="p", status="error")
        session.query("EXECUTE p")

    assert judged_again(READING, READING, tell).statements.same == 3


def test_an_empty_text_that_was_prepared_runs_nothing(judged_again: Run) -> None:
    def tell(session: MadeSession) -> None:
        session.execute("", name="p")
        session.query("EXECUTE p")

    assert judged_again(READING, READING, tell).statements.same == 2


# --- cursors ------------------------------------------------------------------

CURSOR_FOR_WRITES = (
    HEAD
    + READS.replace("functions: [{effects: none}]", "functions: [{effects: none}]")
    + """
      - {id: moves, permit: {functions: [{names: nextval, effects: sequence}]}}
      - {id: drops, forbid: {kinds: [ddl]}, reason: no, quarantine: true}
"""
)


def test_a_cursor_is_judged_again_in_quarantine(judged_again: Run) -> None:
    declare = "DECLARE c CURSOR FOR SELECT nextval('s')"
    mild = CURSOR_FOR_WRITES.replace(", quarantine: true", "")
    texts = (declare, "DROP TABLE t", "FETCH c", "CLOSE c", "FETCH c")
    tally = judged_again(mild, CURSOR_FOR_WRITES, send(*texts[:3]))
    assert changes(tally) == {"fetch c": ("reads", "quarantine", 1)}


def test_a_portal_of_the_protocol_is_a_cursor_too(judged_again: Run) -> None:
    mild = CURSOR_FOR_WRITES.replace(", quarantine: true", "")

    def tell(session: MadeSession) -> None:
        session.execute("SELECT nextval('s')", portal="c")
        send("DROP TABLE t", "FETCH c")(session)

    tally = judged_again(mild, CURSOR_FOR_WRITES, tell)
    assert changes(tally) == {"fetch c": ("reads", "quarantine", 1)}


def test_what_a_transaction_leaves_of_cursors(judged_again: Run) -> None:
    declare = "DECLARE c CURSOR FOR SELECT nextval('s')"
    mild = CURSOR_FOR_WRITES.replace(", quarantine: true", "")
    for end in ("COMMIT", "CLOSE c", "CLOSE ALL", "DISCARD ALL"):
        texts = ("BEGIN", declare, end, "DROP TABLE t", "FETCH c")

        def tell(session: MadeSession, texts: tuple[str, ...] = texts) -> None:
            for text in texts[:-1]:
                session.query(text)
            session._session._cursors.add("c")
            session.query(texts[-1])

        assert judged_again(mild, CURSOR_FOR_WRITES, tell).groups == []


# --- against the judge of the wire --------------------------------------------

TEXTS = (
    "SELECT 1",
    "SELECT * FROM pay",
    "DELETE FROM t",
    "DROP TABLE t",
    "PREPARE {n} AS SELECT * FROM pay",
    "PREPARE {n} AS DELETE FROM t",
    "PREPARE {n} AS SELECT 1",
    "EXECUTE {n}",
    "DEALLOCATE {n}",
    "DEALLOCATE ALL",
    "selct",
)
texts = st.builds(str.format, st.sampled_from(TEXTS), n=st.sampled_from(["a", "b"]))
documents = st.sampled_from([READING, WRITING, STRICTER, MILDER, MILDER + NO_HR])


@settings(max_examples=60, deadline=None)
@given(documents, documents, st.lists(texts, max_size=12))
def test_a_replay_says_what_the_wire_would(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str, sent: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("log") / "audit"
    now = OfflineSession(Judge(policy(after), "developer"))
    expected = [0, 0, 0]
    with MadeLog(folder) as log:
        session = log.session(policy(before))
        for text in sent:
            # Postgres fails a second PREPARE of a name, under whichever policy.
            is_double = any(
                text.startswith(f"PREPARE {name} ")
                for each in (session._session, now)
                for name in each._prepared
            )
            if is_double:
                continue
            was_allowed = session.query(text)
            is_allowed = now.send(text.encode())[0].allowed
            expected[(was_allowed - is_allowed) % 3] += 1
    counts = replayed(folder, after).statements
    assert [counts.same, counts.newly_refused, counts.newly_allowed] == expected
    assert counts.not_replayable == 0
