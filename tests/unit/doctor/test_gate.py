"""`proxy.doctor.gate`: what a waiver waives, and for how long."""

from __future__ import annotations

from datetime import date

import pytest

from proxy.doctor.findings import CRITICAL, WARNING, Finding
from proxy.doctor.gate import MOST_DAYS, check_waivers, said, verdict, words_of
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.model import Waiver
from proxy.policy.problems import PolicyError

TODAY = date(2026, 11, 26)
SUPERUSER = Finding("superuser", CRITICAL, "reader", "app_ro")
WRITES = Finding("writes-relations", CRITICAL, "reader", "app_ro", "app")
TEMP = Finding("temp-tables", WARNING, "reader", "app_ro", "app")
ALL = [SUPERUSER, WRITES, TEMP]


def waiver(finding: str, until: str = "2026-12-31", **more: str) -> Waiver:
    return Waiver.model_validate(
        {"finding": finding, "until": until, "reason": "ticket 7"} | more
    )


def standing(*waivers: Waiver) -> list[str]:
    return [each.id for each in verdict(ALL, waivers, TODAY).standing]


def test_only_critical_findings_stand() -> None:
    assert standing() == ["superuser", "writes-relations"]


def test_a_waiver_takes_off_what_it_names() -> None:
    assert standing(waiver("superuser")) == ["writes-relations"]
    assert standing(waiver("superuser"), waiver("writes-relations")) == []


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({"login": "reader"}, True),
        ({"login": "migrator"}, False),
        ({"database": "app"}, True),
        ({"database": "a*"}, True),
        ({"database": "other"}, False),
        ({"login": "READER"}, False),
    ],
)
def test_of_a_login_and_a_database(more: dict[str, str], fits: bool) -> None:
    assert ("writes-relations" not in standing(waiver("writes-relations", **more))) == (
        fits
    )


def test_a_finding_of_the_whole_server_has_no_database() -> None:
    assert "superuser" in standing(waiver("superuser", database="app"))


@pytest.mark.parametrize(
    ("until", "counts"),
    [
        ("2026-11-25", False),
        ("2026-11-26", True),  # its last day
        ("2027-11-27", True),
        ("2027-11-28", False),  # more than MOST_DAYS ahead
        ("9999-12-31", False),
    ],
)
def test_it_ends_and_is_told(until: str, counts: bool) -> None:
    assert MOST_DAYS == 366
    found = verdict([SUPERUSER], [waiver("superuser", until)], TODAY)
    assert (found.standing == []) == counts
    assert bool(found.void) == (not counts)
    assert all(until in line for line in words_of(found))


def test_one_wildcard_is_no_finding() -> None:
    """There is no waiver of everything."""
    with pytest.raises(ValueError, match="finding"):
        waiver("*")


def test_an_unknown_finding_is_told() -> None:
    assert "no finding" in verdict([], [waiver("superusr")], TODAY).void[0]


POLICY = """
version: 1
name: p
doctor:
  gate: true
  waive:
    - {finding: superusr, until: 2027-01-31, reason: typo}
roles:
  developer: {login: permit, upstream: reader}
"""


def test_a_slip_of_the_pen_refuses_the_policy() -> None:
    with pytest.raises(PolicyError) as refused:
        check_waivers(Policy(load(POLICY, source="p.yaml")))
    assert refused.value.message == (
        'p.yaml:7: no finding "superusr"; did you mean "superuser"?'
    )


@pytest.mark.parametrize("until", ["20270131", "tomorrow", "null", "2027-13-01"])
def test_until_is_a_date(until: str) -> None:
    with pytest.raises(PolicyError, match="until"):
        load(POLICY.replace("2027-01-31", until), source="p.yaml")


def test_a_name_can_not_break_the_line() -> None:
    hostile = Finding("writes-relations", CRITICAL, "reader", "a\nb", "c\nd")
    assert len(said(hostile).splitlines()) == 1
