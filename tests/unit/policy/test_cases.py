"""Case files: what loads, and what counts as a failure."""

from __future__ import annotations

import pytest

from proxy.policy.cases import Case, compare, load_cases
from proxy.policy.decision import Decision
from proxy.policy.problems import PolicyError

HEAD = "version: 1\npolicy: p.yaml\ncases:\n"


def test_a_file() -> None:
    cases = load_cases(
        HEAD
        + "  - {role: r, expect: allow, sql: SELECT  1}\n"
        + "  - role: r\n    expect: deny\n    sql: [A, B]\n"
        + "  - {role: r, expect: deny, setting: {name: jit, value: true}}\n"
        + "  - {role: r, name: called so, expect: deny, sql: C}\n",
        source="c.yaml",
    )
    assert cases.policy == "p.yaml"
    assert cases.lines == (4, 5, 8, 9)
    assert [each.title for each in cases.cases] == [
        "SELECT 1",
        "B",
        "startup: jit=on",
        "called so",
    ]
    assert cases.cases[1].sql == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  - {role: r, expect: maybe, sql: A}\n", "c.yaml:4: "),
        ("  - {role: r, expect: deny}\n", 'either "sql" or "setting"'),
        (
            "  - {role: r, expect: deny, sql: A, setting: {name: a, value: b}}\n",
            'either "sql" or "setting"',
        ),
        ("  - {role: r, expects: deny, sql: A}\n", 'unknown key "expects"; did you'),
        (
            "  - {role: r, expect: deny, sql: A}\n"
            "  - {role: r, expect: allow, sql: A}\n",
            "c.yaml:5: the same case stands on line 4",
        ),
        ("  []\n", "at least 1"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_cases(HEAD + text, source="c.yaml")
    assert said in str(caught.value)


ALLOWED = Decision(allowed=True, rule="a", reason="because")
DENIED = Decision(
    allowed=False, rule="d", reason="no way", sqlstate="42501", quarantines=True
)


@pytest.mark.parametrize(
    ("expected", "decision", "failures"),
    [
        ({"expect": "allow"}, ALLOWED, 0),
        ({"expect": "deny"}, ALLOWED, 1),
        ({"expect": "allow"}, DENIED, 1),
        ({"expect": "allow", "rule": "b"}, ALLOWED, 1),
        ({"expect": "allow", "rule": "a", "reason": "be*"}, ALLOWED, 0),
        ({"expect": "allow", "reason": "be"}, ALLOWED, 1),
        ({"expect": "deny", "sqlstate": "42501", "quarantines": True}, DENIED, 0),
        ({"expect": "deny", "sqlstate": "42601", "quarantines": False}, DENIED, 2),
        ({"expect": "deny", "audit": {"text": "T"}}, DENIED, 0),
        ({"expect": "deny", "audit": {"text": "U", "gone": 1}}, DENIED, 2),
    ],
)
def test_compare(
    expected: dict[str, object], decision: Decision, failures: int
) -> None:
    case = Case.model_validate({"role": "r", "sql": "A"} | expected)
    assert len(compare(case, decision, {"text": "T"})) == failures
