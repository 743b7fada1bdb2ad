"""Waivers: what counts as one, and that a slip of the pen opens nothing."""

from __future__ import annotations

from datetime import date

import pytest

from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_waivers import Waiver, apply, apply_policy, waiver_in
from proxy.policy.model import MigrationWaiver

TODAY = date(2026, 11, 26)
DROP = Finding("a.sql", 3, "drop-column", Level.ERROR, "drops a column")
GOOD = "-- pgwarden: allow drop-column until 2027-01-31: unused since release 12"


@pytest.mark.parametrize(
    "comment",
    [
        GOOD,
        "--pgwarden:allow drop-column until 2026-11-26 : today is the last day",
        "/* pgwarden: allow drop-column until 2027-01-31: unused */",
        "-- PGWARDEN: allow drop-table, drop-column until 2027-01-31: unused",
    ],
)
def test_a_waiver_takes_its_finding_off(comment: str) -> None:
    (found, *_) = apply([DROP], comment, TODAY, file="a.sql", line=3)
    assert found.rule == "drop-column"
    assert found.waived


@pytest.mark.parametrize(
    "comment",
    [
        "-- pgwarden: allow drop-column: no date",
        "-- pgwarden: allow drop-column until 2027-01-31",
        "-- pgwarden: allow drop-column until 2027-01-31:   ",
        "-- pgwarden: allow until 2027-01-31: no rule",
        "-- pgwarden: ignore drop-column until 2027-01-31: another word",
        "-- pgwarden: allow * until 2027-01-31: all of them",
        "-- pgwarden: allow drop-column until 2026-11-25: it ended yesterday",
        "-- pgwarden: allow drop-column until 2028-01-01: it outlives everybody",
        "-- pgwarden: allow drop-column until tomorrow: no date",
        "-- pgwarden: allow drop-column until 31.01.2027: no ISO date",
    ],
)
def test_what_is_no_waiver_is_said_and_opens_nothing(comment: str) -> None:
    found = apply([DROP], comment, TODAY, file="a.sql", line=3)
    assert found[0] == DROP
    assert [(each.rule, each.level) for each in found[1:]] == [("waiver", Level.ERROR)]


def test_one_of_another_rule_opens_nothing_and_is_unused() -> None:
    comment = "-- pgwarden: allow drop-table until 2027-01-31: no"
    found = apply([DROP], comment, TODAY, file="a.sql", line=3)
    assert found[0] == DROP
    assert [(each.rule, each.level) for each in found[1:]] == [("waiver", Level.NOTE)]


def test_a_comment_of_others_is_none() -> None:
    assert waiver_in("-- allow drop-column", TODAY) is None
    assert apply([DROP], "-- see pgwarden", TODAY, file="a", line=1) == [DROP]


def test_a_scan_needs_no_date() -> None:
    found = waiver_in("# pgwarden: allow dropdb: the tests'", TODAY, needs_date=False)
    assert found == Waiver(frozenset({"dropdb"}), "the tests'")


def of_policy(**changes: object) -> MigrationWaiver:
    words = {
        "finding": "drop-column",
        "files": "migrations/2_*/migration.sql",
        "until": "2027-01-31",
        "reason": "agreed",
    }
    return MigrationWaiver.model_validate({**words, **changes})


def waived(waiver: MigrationWaiver, file: str) -> str:
    finding = Finding(file, 3, "drop-column", Level.ERROR, "drops a column")
    return apply_policy(finding, [waiver], TODAY).waived


def test_a_waiver_of_the_policy() -> None:
    file = "prisma/migrations/2_drop/migration.sql"
    assert waived(of_policy(), file)
    assert waived(of_policy(finding="drop-*"), file)
    assert waived(of_policy(files="*"), "anything.sql")
    assert not waived(of_policy(), "prisma/migrations/3_drop/migration.sql")
    assert not waived(of_policy(), "prisma/not-migrations/2_drop/migration.sql")
    assert not waived(of_policy(finding="drop-table"), file)
    assert not waived(of_policy(until="2026-11-25"), file)
    assert not waived(of_policy(until="2028-11-25"), file)


def test_one_of_the_policy_that_ended_is_told() -> None:
    old = of_policy(until="2026-11-25", files="*")
    assert "ended on 2026-11-25" in apply_policy(DROP, [old], TODAY).message
    bad = Finding("a.sql", 3, "waiver", Level.ERROR, "the waiver does not count")
    assert apply_policy(bad, [of_policy(finding="*", files="*")], TODAY) == bad
