"""The runs that a proof let pass, as they are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from proxy.migrations.proof import Usage, Used
from proxy.migrations.uses import open_runs, runs, spent_reason, told
from tests.unit.migrations.made import NOW


def word(step: Used, run: str = "r1", **changed: Any) -> Usage:
    values: dict[str, Any] = {
        "proof": "p",
        "database": "shop",
        "run": run,
        "step": step,
        "identity": "deploy",
        "at": NOW + timedelta(minutes=step is not Used.BEGUN),
    }
    return Usage(**{**values, **changed})


BEGUN = word(Used.BEGUN)


def test_words_are_put_together_by_database_and_run() -> None:
    uses = [BEGUN, word(Used.BEGUN, database="crm"), word(Used.ROLLED_BACK)]
    assert [len(each.words) for each in runs(uses)] == [2, 1]
    assert [each.begun.database for each in open_runs(uses)] == ["crm"]
    assert open_runs(uses, "shop") == ()
    assert runs([]) == ()


def test_an_end_without_a_beginning_is_no_open_run() -> None:
    uses = [word(Used.COMMITTED)]
    assert open_runs(uses) == ()
    assert "committed 2026" in spent_reason("p", uses, "shop")


def test_a_run_in_words() -> None:
    (run,) = runs([BEGUN])
    assert told(run) == "begun 2026-11-20T12:00:00+00:00 by deploy, no end seen"
    (run,) = runs([BEGUN, word(Used.COMMITTED, settled_by="ana", note="private")])
    assert told(run).endswith(
        "by deploy, committed 2026-11-20T12:01:00+00:00, as ana said"
    )


def test_the_last_run_that_spent_it_is_the_reason() -> None:
    rolled_back = [BEGUN, word(Used.ROLLED_BACK)]
    assert spent_reason("p", rolled_back, "shop") == ""
    partial = [*rolled_back, word(Used.BEGUN, "r2"), word(Used.PARTIAL, "r2")]
    said = spent_reason("p", partial, "shop")
    assert "partial" in said
    assert "record it anew" in said
    assert "settle" not in said
    assert spent_reason("p", partial, "crm") == ""
    waiting = [*rolled_back, word(Used.BEGUN, "r2")]
    assert "pgwarden migration settle p shop" in spent_reason("p", waiting, "shop")


def test_that_commit_may_pass_is_no_end() -> None:
    """Killed between the two: only the database knows, and a person may say."""
    uses = [BEGUN, word(Used.COMMITTING)]
    assert len(open_runs(uses, "shop")) == 1
    said = spent_reason("p", uses, "shop")
    assert "COMMIT let pass 2026-11-20T12:01:00+00:00, no end seen" in said
    assert "pgwarden migration settle p shop" in said
    assert open_runs([*uses, word(Used.COMMITTED)]) == ()
    (run,) = runs([*uses, word(Used.COMMITTED)])
    assert "committing" not in told(run)
