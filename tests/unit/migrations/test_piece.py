"""What of a statement no proof can be about."""

from __future__ import annotations

import pytest

from proxy.migrations.piece import COPIES_IN, RUNS_IN_PART, TOO_LARGE, pieces_of
from proxy.policy.decision import Decision
from proxy.session.judge import Judged
from proxy.session.names import Bound, NameSpace
from proxy.sql.analyse import analyse

NO_VALUES = b"\0\0\0\0\0\0"


def judged(text: str) -> Judged:
    analysis = analyse(text.encode())
    decision = Decision(allowed=True, rule="r", reason="", sqlstate="", kind="read")
    return Judged(
        text.encode(),
        analysis,
        statements=analysis.statements,
        decision=decision,
        kind="read",
        fragment=b"",
        renames=False,
        executes=False,
        copies_in=False,
        under="",
    )


def portal(text: str, *, values: bytes | None = NO_VALUES, limited: bool) -> Bound:
    bound = Bound(NameSpace(), b"", judged(text), segment=0)
    bound.values = values
    bound.is_limited = limited
    return bound


def trouble(text: str, bound: Bound | None = None) -> str:
    [piece] = pieces_of(judged(text), bound, {})
    return piece.trouble


@pytest.mark.parametrize(
    ("text", "limited", "why"),
    [
        ("SELECT bump(id) FROM a", True, RUNS_IN_PART),
        ("WITH x AS (SELECT 1) SELECT bump(1) FROM x", True, RUNS_IN_PART),
        ("SELECT bump(id) FROM a", False, ""),
        ("UPDATE a SET n = 1", True, ""),  # pgJDBC wants one row of whatever it runs
        ("DECLARE c CURSOR FOR SELECT bump(1)", False, RUNS_IN_PART),
        ("COPY a FROM STDIN", False, COPIES_IN),
    ],
)
def test_what_can_run_in_part(text: str, limited: bool, why: str) -> None:
    assert trouble(text, portal(text, limited=limited)) == why


def test_in_a_query_all_rows_are_fetched() -> None:
    assert trouble("SELECT bump(id) FROM a") == ""


def test_values_that_were_not_kept() -> None:
    text = "UPDATE a SET n = 1"
    assert trouble(text, portal(text, values=None, limited=False)) == TOO_LARGE
