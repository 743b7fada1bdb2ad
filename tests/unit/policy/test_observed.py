"""Acts as they are observed: in a rule's words, counted, by whom."""

from __future__ import annotations

import pytest

from proxy.policy import observed as module
from proxy.policy.acts import acts_of, as_listed
from proxy.policy.model import Acts
from proxy.policy.observed import MANY, STARTUP, Observation, Observed, Seen, as_seen
from proxy.sql.analyse import analyse
from proxy.sql.functions import EFFECTS
from tests.unit.sql.corpus import statements


def observed(*texts: str) -> Observed:
    found = Observed()
    for number, text in enumerate(texts):
        for facts in analyse(text.encode()).statements:
            found.statement("r", f"p{number % 3}", facts)
    return found


def test_acts_are_counted_by_kind_of_statement_and_person() -> None:
    found = observed("SELECT * FROM s.t", "SELECT * FROM s.t, s.t u", "DELETE FROM s.t")
    reads = [
        each for each in found.all() if each.seen == Seen("relations", "read", "s", "t")
    ]
    assert [(each.kind, each.count, each.people) for each in reads] == [
        ("read", 2, {"p0": 1, "p1": 1})
    ]
    assert {each.kind for each in found.all()} == {"read", "delete"}


@pytest.mark.parametrize("case", statements()[::7], ids=lambda case: case.sql[:40])
def test_every_act_has_a_key_of_a_rule(case: object) -> None:
    for facts in analyse(case.sql.encode()).statements:  # type: ignore[attr-defined]
        for act in acts_of(facts, EFFECTS):
            seen = as_seen(act)
            assert seen.key in Acts.model_fields
            assert seen.key == as_listed(act)[0]


def test_settings_come_from_startup_packets_too() -> None:
    found = Observed()
    found.setting("r", "ana", "TimeZone", "UTC")
    assert found.all() == [
        Observation(
            "r", STARTUP, Seen("settings", "", "", "timezone", "UTC"), 1, {"ana": 1}
        )
    ]


def test_a_setting_keeps_only_so_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 3)
    texts = [f"SET jit = '{number}'" for number in range(6)] * 2
    settings = [each for each in observed(*texts).all() if each.seen.key == "settings"]
    assert sorted((each.seen.value or MANY, each.count) for each in settings) == [
        ("0", 2),
        ("1", 2),
        ("2", 2),
        (MANY, 6),
    ]


def test_only_so_many_people_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PEOPLE", 2)
    reads = observed("SELECT 1", "SELECT 1", "SELECT 1", "SELECT 1").all()[0]
    assert (reads.count, reads.people) == (4, {"p0": 2, "p1": 1})


def test_what_several_have_observed_adds_up() -> None:
    first, second = observed("SELECT 1", "DELETE FROM t"), observed("SELECT 1")
    for each in second.all():
        first.add(each)
    counts = {each.seen.name: each.count for each in first.all()}
    assert (counts["select"], counts["delete"]) == (2, 1)
