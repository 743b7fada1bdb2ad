"""What is remembered of verdicts, and for how long."""

from __future__ import annotations

import pytest

from proxy.replay import verdicts as module
from proxy.replay.verdicts import Judges, Verdict
from proxy.sql.analyse import analyse
from tests.unit.replay.replaying import READING, WRITING, policy

ALLOWED = Verdict(
    allowed=True,
    rule="",
    reason="",
    quarantines=False,
    touches_names=False,
    judged=None,
)


def test_roles_databases_and_quarantine_are_told_apart() -> None:
    text = WRITING.replace("- id: writes", "- id: writes\n        when: {databases: a}")
    judges = Judges(policy(text))
    seen = [
        judges.of("developer", database)
        .of("DELETE FROM t", quarantined=quarantined, prepared={})
        .rule
        for database in ("a", "b", "a")
        for quarantined in (False, True)
    ]
    assert seen == ["writes", "quarantine", "default-deny", "quarantine", *seen[:2]]
    assert judges.of("nobody", "a").of("", quarantined=False, prepared={}).rule == (
        "unknown-role"
    )


def test_an_execute_is_judged_each_time() -> None:
    verdicts = Judges(policy(READING)).of("developer", "a")
    for body, allowed in (("SELECT 1", True), ("DROP TABLE t", False)):
        prepared = {"p": analyse(body.encode()).statements[0]}
        verdict = verdicts.of("EXECUTE p", quarantined=False, prepared=prepared)
        assert verdict.allowed is allowed


@pytest.mark.parametrize(
    ("text", "touches"),
    [
        ("SELECT 1", False),
        ("BEGIN", False),
        ("COMMIT", True),
        ("ROLLBACK", True),
        ("PREPARE TRANSACTION 'x'", True),
        ("PREPARE p AS SELECT 1", True),
        ("CLOSE c", True),
    ],
)
def test_facts_are_kept_of_what_touches_names_or_on_demand(
    text: str, touches: bool
) -> None:
    for keeps_facts in (False, True):
        judges = Judges(policy(READING), keeps_facts=keeps_facts)
        verdict = judges.of("developer", "a").of(text, quarantined=False, prepared={})
        assert verdict.touches_names is touches
        assert (verdict.judged is not None) is (touches or keeps_facts)


def test_judges_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_JUDGES", 2)
    judges = Judges(policy(READING))
    first = judges.of("developer", "0")
    for number in range(4):
        judges.of("developer", str(number))
        assert judges.of("developer", "0") is first
    assert len(judges._ready) == 2
