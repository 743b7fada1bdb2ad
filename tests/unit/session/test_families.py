"""A verdict that is kept for a family of texts is the one that each would get alone."""

from __future__ import annotations

import random

import pytest

from proxy.session.judge import Judge, Judged
from proxy.sql import analyse, plain_select
from tests.unit.session.literals import TEXTS
from tests.unit.session.playbook import judge_of


def forget_all() -> None:
    for remembered in (analyse._families, plain_select._families):
        remembered._young.clear()
        remembered._old.clear()


def view(judged: Judged) -> tuple[object, ...]:
    return (
        judged.decision,
        judged.fragment,
        judged.statements,
        judged.renames,
        judged.executes,
        judged.copies_in,
        judged.under,
    )


@pytest.mark.parametrize("role", ["developer", "migrator"])
def test_each_gets_the_verdict_that_it_gets_alone(role: str) -> None:
    policy = judge_of("migrator").policy
    busy = Judge(policy, role)
    texts = list(TEXTS) * 2
    random.Random(role).shuffle(texts)  # whichever of a family comes first
    judged = [(text, busy.judge(text)) for text in texts]
    of_families = sum(known.analysis.family is not None for _, known in judged)
    assert of_families > len(TEXTS) // 2, "else nothing was tried"
    alone: dict[bytes, tuple[object, ...]] = {}
    for text in TEXTS:
        forget_all()
        alone[text] = view(Judge(policy, role).judge(text))
    assert [text for text, known in judged if view(known) != alone[text]] == []
