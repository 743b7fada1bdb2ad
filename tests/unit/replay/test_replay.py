"""A whole log: who and when is counted, logins too, in one process or in several."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.audit.tail import moment
from proxy.policy.problems import PolicyError
from proxy.replay.follow import Wanted
from proxy.replay.records import Progress, Share, log_files
from proxy.replay.replay import Replay
from proxy.replay.run import SMALL_LOG, processes_for, run
from proxy.replay.tally import Tally, added_up
from tests.made_log import BEGIN, MadeLog
from tests.unit.replay.replaying import (
    HEAD,
    READING,
    STRICTER,
    WRITING,
    only,
    policy,
    replayed,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two workers, several people, a file after a restart, a live end."""
    folder = tmp_path / "audit"
    rules = policy(READING)
    with MadeLog(folder, worker="0") as log:
        for number in range(20):
            session = log.session(rules, identity=f"p{number % 3}")
            session.query("SELECT * FROM pay WHERE id = 7")
            session.query("DELETE FROM t")
            session.end()
    with MadeLog(folder, worker="1") as log:
        crossing = log.session(rules, identity="p9", application_name="bi")
        crossing.query("PREPARE q AS SELECT * FROM pay")
    with MadeLog(folder, worker="1", at=BEGIN + 60) as log:
        crossing._log = log
        crossing.query("EXECUTE q")
    with log.path.open("ab") as file:
        file.write(b'{"v":1,"seq":9,"at":"2026')
    return folder


def test_statements_are_grouped_by_who_and_what(folder: Path) -> None:
    tally = replayed(folder, STRICTER)
    groups = {(g.identity, g.application_name, g.shape): g for g in tally.groups}
    assert set(groups) == {
        *((f"p{n}", "psql", "select * from pay where id = ?") for n in range(3)),
        ("p9", "bi", "prepare q as select * from pay"),
        ("p9", "bi", "execute q"),
    }
    assert [groups[each].count for each in sorted(groups)] == [7, 7, 6, 1, 1]
    assert (tally.statements.same, tally.sessions, tally.begun_before) == (20, 21, 0)
    assert tally.logins.same == 21


def test_shares_add_up_to_the_whole(folder: Path) -> None:
    wish = Replay(tuple(log_files(folder)), STRICTER, "made", Wanted())
    shares = added_up(wish.share(Share(n, 3), lambda _: None) for n in range(3))
    alone = replayed(folder, STRICTER)
    for tally in (alone, shares):
        tally.groups.sort(key=lambda group: group.key())
    assert alone == shares


def test_only_who_and_when_is_asked_for_counts(folder: Path) -> None:
    first = replayed(folder, STRICTER, Wanted(identities=frozenset({"p1", "p9"})))
    assert {group.identity for group in first.groups} == {"p1", "p9"}
    assert replayed(folder, STRICTER, Wanted(roles=frozenset({"x"}))) == Tally(
        records=first.records
    )


def test_a_span_is_judged_with_what_came_before_it(folder: Path) -> None:
    since = moment("2025-10-09T08:54:00+00:00", 0)
    tally = replayed(folder, STRICTER, Wanted(since=since))
    group = only(tally)
    assert (group.shape, group.rule_after) == (
        "execute q",
        "session.unknown-prepared-statement",
    )
    assert (tally.statements.total, tally.sessions, tally.begun_before) == (1, 1, 0)
    assert tally.logins.total == 0
    until = replayed(folder, STRICTER, Wanted(until=since))
    assert (until.statements.total, until.sessions) == (41, 21)


def test_a_session_whose_beginning_is_gone_is_named_as_such(folder: Path) -> None:
    log_files(folder)[1].unlink()
    tally = replayed(folder, READING)
    assert (tally.begun_before, tally.statements.not_replayable) == (1, 1)


# --- logins -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "shape", "rule"),
    [
        (READING.replace("jit, ", ""), 'login with setting "jit"', "default-deny"),
        (READING.replace("developer:", "other:"), "login", "unknown-role"),
        (READING.replace("login: permit", "login: {refuse: x}"), "login", "login"),
    ],
)
def test_logins_that_would_be_refused(
    tmp_path: Path, after: str, shape: str, rule: str
) -> None:
    with MadeLog(tmp_path / "audit") as log:
        log.session(policy(READING), settings={"timezone": "UTC", "jit": "off"})
    tally = replayed(tmp_path / "audit", after)
    assert (tally.logins.newly_refused, tally.statements.total) == (1, 0)
    assert (only(tally).shape, only(tally).rule_after) == (shape, rule)
    assert only(tally).example == "0s1"
    assert replayed(tmp_path / "audit", READING).logins.same == 1


# --- damage -------------------------------------------------------------------


def test_damaged_records_are_counted_and_passed_over(folder: Path) -> None:
    path = log_files(folder)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"statement"' in line)
    lines[at] = lines[at][:-20] + b"\n"
    lines.insert(3, b"not a record\n")
    path.write_bytes(b"".join(lines))
    tally = replayed(folder, READING)
    assert tally.unreadable == 2
    assert tally.statements.total == 41


def test_other_kinds_of_records_are_nothing_to_judge(folder: Path) -> None:
    path = log_files(folder)[0]
    kinds = {json.loads(line)["kind"] for line in path.read_bytes().splitlines()}
    assert {"checkpoint", "session.end", "outcome"} <= kinds
    with MadeLog(folder, worker="2") as log:
        log.write(log.session(policy(READING))._records.internal("policy.reload"))
    assert replayed(folder, READING).unreadable == 0


# --- processes ----------------------------------------------------------------


def test_progress_is_told_to_the_end(folder: Path) -> None:
    size = sum(path.stat().st_size for path in log_files(folder))
    wish = Replay(tuple(log_files(folder)), READING, "made", Wanted())
    told: list[Progress] = []
    (tally,) = run(wish.share, Tally, 1, told.append)
    assert sum(each.bytes for each in told) == size
    assert sum(each.records for each in told) == tally.records


def test_a_policy_with_a_fault_is_told_at_once(folder: Path) -> None:
    with pytest.raises(PolicyError):
        replayed(folder, HEAD + "nonsense")


def test_a_small_log_is_read_by_one_process() -> None:
    assert processes_for(SMALL_LOG - 1) == 1
    assert processes_for(SMALL_LOG) >= 1
    assert processes_for(1, jobs=3) == 3


def test_what_was_refused_and_is_refused_by_another_rule_is_no_change(
    folder: Path,
) -> None:
    forbid = "      - {id: x, forbid: {kinds: [delete]}, reason: x}\n"
    assert replayed(folder, WRITING + forbid).groups == []
