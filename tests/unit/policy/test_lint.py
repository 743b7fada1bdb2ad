"""What in a document says nothing or can't be meant, each with its line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from tests.unit.policy.test_two_evaluators import (
    EFFECTS,
    contexts,
    documents,
    made_facts,
)

if TYPE_CHECKING:
    from proxy.policy.decision import Context
    from proxy.sql.facts import Facts

UNUSED = """
version: 1
name: x
lists: {used: [select], idle: [b], closed: [role]}
settings: {used: [jit, {name: "*", except_names: "@closed"}], idle: [jit]}
rules:
  used:
    - {id: u, permit: {actions: ["@used"], settings: ["@used"]}}
  idle:
    - {id: i, permit: {actions: ["@idle"]}}
roles:
  r: {login: permit, upstream: u, include: [used]}
  empty: {login: permit, upstream: u}
  away: {login: {refuse: elsewhere}}
"""


def found(text: str) -> list[str]:
    problems = lint(load(text, source="x"))
    return [f"{problem.line}: {problem.message}" for problem in problems]


def test_unused_things_are_named() -> None:
    assert found(UNUSED) == [
        '4: no rule uses the list "idle"',
        '5: no rule uses the settings group "idle"',
        '9: no role includes the group of rules "idle"',
        '10: no action has the word "b", in "b"',
        '13: role "empty" may log in, but nothing is permitted to it',
    ]


def role(*rules: str) -> str:
    """A document whose rules stand on lines 8, 9, ..."""
    lines = "".join(f"      - {{reason: x, {rule}}}\n" for rule in rules)
    return (
        "version: 1\nname: x\nroles:\n  r:\n    login: permit\n    upstream: u\n"
        f"    rules:\n{lines}"
    )


FIRST = "id: a, forbid: {kinds: [ddl, read]}"
LATER = "id: b, forbid: {kinds: [ddl]}"
OPEN = "id: z, permit: {flags: [into]}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [FIRST, LATER, OPEN],
            ['9: unreachable: forbid "b" never decides, '
             'as forbid "a" (line 8) covers all of it'],
        ),
        ([LATER, FIRST, OPEN], []),
        ([FIRST, f"{LATER}, quarantine: true", OPEN], []),
        (
            [LATER, f"{FIRST}, quarantine: true", OPEN],
            ['8: unreachable: forbid "b" never decides, '
             'as forbid "a" (line 9) covers all of it'],
        ),
        ([f"{LATER}, quarantine: true", f"{FIRST}, quarantine: true", OPEN], []),
        (
            [f"{FIRST}, quarantine: true", f"{LATER}, quarantine: true", OPEN],
            ['9: unreachable: forbid "b" never decides, '
             'as forbid "a" (line 8) covers all of it'],
        ),
    ],
)  # fmt: skip
def test_a_forbid_that_never_decides(rules: list[str], expected: list[str]) -> None:
    assert found(role(*rules)) == expected


WIDE = "id: a, permit: {kinds: [ddl, read]}"
NARROW = "id: b, permit: {kinds: [ddl]}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [WIDE, NARROW],
            ['9: shadowed: permit "b" adds nothing, '
             'as permit "a" (line 8) covers all of it'],
        ),
        (
            [NARROW, WIDE],
            ['8: shadowed: permit "b" adds nothing, '
             'as permit "a" (line 9) covers all of it'],
        ),
        ([WIDE, f"{NARROW}, in_quarantine: true"], []),
        (
            [NARROW, "id: twin, permit: {kinds: [ddl]}"],
            ['9: shadowed: permit "twin" adds nothing, '
             'as permit "b" (line 8) covers all of it'],
        ),
    ],
)  # fmt: skip
def test_a_permit_that_adds_nothing(rules: list[str], expected: list[str]) -> None:
    assert found(role(*rules)) == expected


@pytest.mark.parametrize("is_first", [True, False])
def test_a_permit_that_a_forbid_takes_back_whole(is_first: bool) -> None:
    forbid = "id: no, forbid: {relations: [{access: '*', names: 'hr.*'}]}"
    permit = "id: yes, permit: {relations: [{access: read, names: hr.pay}]}"
    rules = [forbid, permit] if is_first else [permit, forbid]
    lines = (8, 9) if is_first else (9, 8)
    assert found(role(*rules, OPEN)) == [
        f'{lines[1]}: contradictory: permit "yes" permits nothing, '
        f'as forbid "no" (line {lines[0]}) covers all of it'
    ]


def test_a_contradiction_tells_more_than_a_shadow() -> None:
    (only,) = found(role(WIDE, NARROW, "id: no, forbid: {kinds: [ddl]}"))
    assert only.startswith('9: contradictory: permit "b"')


SHARED = """
version: 1
name: x
rules:
  shared:
    - {id: s, permit: {kinds: [ddl]}}
    - {id: t, permit: {kinds: [read]}}
roles:
  strict:
    login: permit
    upstream: u
    include: [shared]
    rules: [{id: n, forbid: {kinds: [ddl]}, reason: x}]
"""


def test_a_role_may_take_back_what_others_share() -> None:
    assert found(SHARED) == [
        '6: contradictory: permit "s" permits nothing, '
        'as forbid "n" (line 13) covers all of it'
    ]
    other = "  loose: {login: permit, upstream: u, include: [shared]}\n"
    assert found(SHARED + other) == []


def test_rules_of_a_role_that_can_not_log_in() -> None:
    text = role(*[f"id: r{n}, permit: {{flags: [into]}}" for n in range(5)])
    text = text.replace("login: permit", "login: {refuse: elsewhere}")
    assert found(text) == [
        '4: role "r" can\'t log in, so its rules never decide: '
        '"r0", "r1", "r2" and 2 more'
    ]


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        (
            "actions: [drop tabel]",
            'no action has the word "tabel", in "drop tabel"; did you mean "table"?',
        ),
        ("actions: ['zap*']", 'no action has the word "zap*", in "zap*"'),
        (
            "functions: [{names: pg_slep, effects: sleep}]",
            'pgwarden knows no function "pg_slep"; did you mean "pg_sleep"?',
        ),
        (
            "functions: [pg_catalog.pg_slep]",
            'pgwarden knows no function "pg_catalog.pg_slep"; did you mean "pg_sleep"?',
        ),
        (
            "functions: [{names: xyzzy, effects: none}]",
            'pgwarden knows no function "xyzzy"',
        ),
        (
            "functions: [{names: pg_sleep, effects: [none, file]}]",
            'function "pg_sleep" has effect "sleep", not "none" or "file"',
        ),
    ],
)
def test_words_that_nothing_matches(acts: str, expected: str) -> None:
    assert found(role(f"id: a, permit: {{{acts}}}")) == [f"8: {expected}"]
    if "functions" in acts:
        forbid = f"id: a, forbid: {{{acts}}}"
        assert found(role(forbid, OPEN)) == [f"8: {expected}"]


@pytest.mark.parametrize(
    "acts",
    [
        "actions: [drop *, 'alter * rename*', '*']",
        "functions: [order_total, billing.total, pg_sleep, pg_catalog.pg_sleep]",
        "functions: [{names: 'pg_*', effects: sleep}, {effects: [none, file]}]",
        "functions: [{names: [public.pg_sleep], effects: sleep}]",
    ],
)
def test_words_that_something_may_match(acts: str) -> None:
    assert found(role(f"id: a, permit: {{{acts}}}")) == []


@settings(max_examples=100, deadline=None)
@given(documents(), st.lists(st.tuples(made_facts, contexts), max_size=8))
def test_a_rule_without_effect_may_as_well_be_left_out(
    text: str, questions: list[tuple[Facts, Context]]
) -> None:
    whole = load(text, source="x")
    line = whole.loaded.line
    named = {each.line for each in lint(whole) if " covers all of it" in each.message}
    role = whole.model.roles["r"]
    rules = [rule for path, rule in whole.located_rules("r") if line(path) not in named]
    left = role.model_copy(update={"include": [], "rules": rules})
    model = whole.model.model_copy(update={"roles": {"r": left}})
    policies = [
        Policy(each, effects=EFFECTS)
        for each in (whole, dataclasses.replace(whole, model=model))
    ]
    for facts, context in questions:
        before, after = (each.decide("r", [facts], context) for each in policies)
        assert (before.allowed, before.quarantines) == (
            after.allowed,
            after.quarantines,
        )
