"""Counting what would change, and adding up shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.replay import tally as module
from proxy.replay.sessions import Change
from proxy.replay.tally import OTHER_SHAPES, Group, Tally, added_up, put
from tests.made_log import MadeLog
from tests.unit.replay.replaying import READING, STRICTER, policy, replayed

if TYPE_CHECKING:
    from pathlib import Path


def group(shape: str = "select ?", *, at: str = "2026-01-02", **more: object) -> Group:
    values = {
        "change": Change.REFUSED,
        "role": "r",
        "identity": "ana",
        "application_name": "psql",
        "shape": shape,
        "rule_before": "a",
        "rule_after": "b",
        "reason": f"at {at}",
        "example": f"id {at}",
        "first": at,
        "last": at,
        **more,
    }
    return Group(**values)  # type: ignore[arg-type]


def test_a_group_knows_its_first_and_its_last() -> None:
    groups: dict[tuple[str, ...], Group] = {}
    for at in ("2026-01-02", "2026-01-03", "2026-01-01"):
        put(groups, group(at=at))
    (found,) = groups.values()
    assert (found.count, found.first, found.last) == (3, "2026-01-01", "2026-01-03")
    assert (found.example, found.reason) == ("id 2026-01-01", "at 2026-01-01")


@pytest.mark.parametrize(
    "other",
    [
        {"change": Change.ALLOWED},
        {"role": "s"},
        {"identity": "bi"},
        {"application_name": "x"},
        {"shape": "select a"},
        {"rule_before": "x"},
        {"rule_after": "x"},
        {"rule_after": ""},
    ],
)
def test_whatever_a_line_tells_makes_a_group(other: dict[str, object]) -> None:
    groups: dict[tuple[str, ...], Group] = {}
    put(groups, group())
    put(groups, group(**{"shape": "select ?", **other}))  # type: ignore[arg-type]
    assert len(groups) == 2


def test_reasons_tell_unknown_ones_apart() -> None:
    groups: dict[tuple[str, ...], Group] = {}
    for reason in ("x", "y", "y"):
        put(groups, group(rule_after="", change=Change.UNKNOWN, reason=reason))
    assert sorted(each.count for each in groups.values()) == [1, 2]


def test_too_many_groups_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    groups: dict[tuple[str, ...], Group] = {}
    for number in range(10):
        put(groups, group(f"select a{number}"))
    assert len(groups) == 4
    rest = next(each for each in groups.values() if each.shape == OTHER_SHAPES)
    assert rest.count == 7


def test_shapes_are_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    with MadeLog(tmp_path / "audit") as log:
        session = log.session(policy(READING))
        for number in range(9):
            session.query(f"SELECT a{number} FROM pay")
    tally = replayed(tmp_path / "audit", STRICTER)
    assert tally.statements.newly_refused == 9
    assert len(tally.groups) == 4


def test_shares_add_up() -> None:
    parts = []
    for number in (1, 2):
        part = Tally(records=10, unreadable=1, sessions=2, begun_before=1)
        for change in Change:
            part.statements.add(change, number)
        part.logins.add(Change.NONE)
        part.groups = [group(at=f"2026-01-0{number}"), group(f"select a{number}")]
        parts.append(part)
    total = added_up(parts)
    assert (total.records, total.unreadable) == (20, 2)
    assert (total.sessions, total.begun_before) == (4, 2)
    assert (total.statements.total, total.logins.same) == (12, 2)
    assert sorted(each.count for each in total.groups) == [1, 1, 2]
