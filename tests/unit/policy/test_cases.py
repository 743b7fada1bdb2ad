"""Case files: what loads, and what counts as a failure."""

from __future__ import annotations

import pytest

from proxy.policy.cases import NO_RECORD, Case, compare, load_cases
from proxy.policy.decision import Decision
from proxy.policy.problems import PolicyError

HEAD = "version: 1\npolicy: p.yaml\ncases:\n"


def test_a_file() -> None:
    cases = load_cases(
        HEAD
        + "  - {role: r, expect: allow, rule: x, sql: SELECT  1}\n"
        + "  - role: r\n    expect: deny\n    rule: x\n    sql: [A, B]\n"
        + "  - {role: r, expect: deny, rule: x, setting: {name: jit, value: true}}\n"
        + "  - {role: r, name: called so, expect: deny, rule: x, sql: C, record: {}}\n",
        source="c.yaml",
    )
    assert cases.policy == "p.yaml"
    assert cases.lines == (4, 5, 9, 10)
    assert [each.title for each in cases.cases] == [
        "SELECT 1",
        "B",
        "startup: jit=on",
        "called so",
    ]
    assert cases.cases[1].sql == ["A", "B"]
    assert [each.record for each in cases.cases] == [None, None, None, {}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  - {role: r, expect: maybe, rule: x, sql: A}\n", "c.yaml:4: "),
        ("  - {role: r, expect: deny, rule: x}\n", 'either "sql" or "setting"'),
        (
            "  - {role: r, expect: deny, rule: x, sql: A, "
            "setting: {name: a, value: b}}\n",
            'either "sql" or "setting"',
        ),
        ("  - {role: r, expect: deny, sql: A}\n", 'key "rule" is missing'),
        ("  - {role: r, expects: deny, sql: A}\n", 'unknown key "expects"; did you'),
        (
            "  - {role: r, rule: x, expect: deny, sql: A, record: no}\n",
            '.record" must be',
        ),
        (
            "  - {role: r, expect: deny, rule: x, sql: A}\n"
            "  - {role: r, expect: allow, rule: y, sql: A, record: {a: b}}\n",
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
RECORD = {"reason": "because", "kind": "read", "actions": "select"}


@pytest.mark.parametrize(
    ("expected", "decision", "failures"),
    [
        ({"expect": "allow", "rule": "a", "record": RECORD}, ALLOWED, []),
        (
            {"expect": "deny", "rule": "a", "record": RECORD},
            ALLOWED,
            ["expected deny, got allow (a: because)"],
        ),
        (
            {"expect": "allow", "rule": "a", "record": RECORD},
            DENIED,
            ["expected allow, got deny (d: no way)"],
        ),
        (
            {"expect": "allow", "rule": "b", "record": RECORD},
            ALLOWED,
            ['expected rule "b", got "a"'],
        ),
        ({"expect": "allow", "rule": "a"}, ALLOWED, [NO_RECORD]),
        (
            {"expect": "allow", "rule": "a", "record": RECORD | {"kind": "ddl"}},
            ALLOWED,
            [
                "the audit record is not as expected (-), it is (+):\n"
                "  reason: because\n"
                "- kind: ddl\n"
                "+ kind: read\n"
                "  actions: select"
            ],
        ),
        (
            {"expect": "deny", "rule": "b", "record": {}},
            ALLOWED,
            [
                "expected deny, got allow (a: because)",
                "the audit record is not as expected (-), it is (+):\n"
                "+ reason: because\n"
                "+ kind: read\n"
                "+ actions: select",
            ],
        ),
    ],
)
def test_compare(
    expected: dict[str, object], decision: Decision, failures: list[str]
) -> None:
    case = Case.model_validate({"role": "r", "sql": "A"} | expected)
    assert list(compare(case, decision, RECORD)) == failures
