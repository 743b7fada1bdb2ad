"""A verdict that was kept from another text is the one that each would get alone."""

from __future__ import annotations

import random

import pytest

from proxy.session.judge import Judge, Judged
from tests.unit.session.literals import TEXTS
from tests.unit.session.playbook import judge_of


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
    random.Random(role).shuffle(texts)  # whichever comes first
    judged = [(text, busy.judge(text)) for text in texts]
    given = {id(known.statements): text for text, known in judged}
    kept = sum(given[id(known.statements)] != text for text, known in judged)
    assert kept > len(TEXTS) // 2, "else nothing was tried"
    alone = {text: view(Judge(policy, role).judge(text)) for text in TEXTS}
    assert [text for text, known in judged if view(known) != alone[text]] == []
