"""The limits of a role: read strictly, told in words, and doubted where they fail."""

from __future__ import annotations

import pytest

from proxy.policy.documents import PolicyError, load
from proxy.policy.evaluate import Policy
from proxy.policy.limits import in_words
from proxy.policy.lint import lint

POLICY = """\
version: 1
name: p
roles:
  developer:
    login: {login}
    upstream: reader
    limits: {limits}
    rules: [{{id: a, permit: {{everything: true}}}}]
"""


def document(limits: str, login: str = "permit") -> str:
    return POLICY.format(limits=limits, login=login)


def said(limits: str, login: str = "permit") -> list[str]:
    found = lint(load(document(limits, login), source="p"))
    return [f"{each.line}: {each.message}" for each in found]


def test_nothing_is_limited_unless_it_is_said() -> None:
    policy = Policy(load(document("{}"), source="p"))
    limits = policy.limits_of("developer")
    assert limits == policy.limits_of("no such role")
    assert in_words(limits) == []


def test_in_words() -> None:
    limits = (
        "{sessions: 20, sessions_per_identity: 5, reserved_slots: 2, "
        "statements_per_minute: 600, running_time_s: 30, idle_in_transaction_s: 2.5}"
    )
    assert in_words(
        Policy(load(document(limits), source="p")).limits_of("developer")
    ) == [
        "20 sessions",
        "5 sessions an identity",
        "2 places reserved",
        "600 statements a minute an identity",
        "30 s a statement",
        "2.5 s idle in a transaction",
    ]


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        ("{sessions: 0}", "greater than or equal to 1"),
        ("{reserved_slots: -1}", "greater than or equal to 0"),
        ("{running_time_s: 0.5}", "greater than or equal to 1"),
        ("{idle_in_transaction_s: soon}", "must be a number"),
        ("{running_time: 3}", 'did you mean "running_time_s"'),
    ],
)
def test_what_can_not_be_meant_is_refused(limits: str, wrong: str) -> None:
    with pytest.raises(PolicyError, match="p:7: ") as refused:
        load(document(limits), source="p")
    assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("limits", "finding"),
    [
        ("{sessions: 2, sessions_per_identity: 3}", "never reaches"),
        (
            "{sessions: 2, reserved_slots: 3}",
            "3 places reserved, of which it may use 2",
        ),
        ("{idle_in_transaction_s: 60}", "hold a transaction open by a statement"),
    ],
)
def test_lint_doubts(limits: str, finding: str) -> None:
    (told,) = said(limits)
    assert told.startswith("7: ")
    assert finding in told


def test_lint_finds_limits_of_a_role_without_login() -> None:
    told = said("{sessions: 2}", "{refuse: not here}")
    assert any("its limits never count" in each for each in told)


def test_lint_is_content() -> None:
    assert said("{sessions: 3, reserved_slots: 3, running_time_s: 9}") == []
