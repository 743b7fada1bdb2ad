"""Whether a rule says all that another says: never "yes" where it is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from proxy.policy.acts import DatabaseAct
from proxy.policy.coverage import Coverage, word_within
from proxy.policy.documents import load
from proxy.policy.model import Rule
from proxy.policy.rules import CompiledRule
from proxy.sql.facts import (
    Access,
    Effect,
    FunctionUse,
    RelationUse,
    Scope,
    SettingChange,
)
from tests.unit.policy.test_two_evaluators import contexts, made_facts

if TYPE_CHECKING:
    from proxy.policy.acts import Act
    from proxy.policy.decision import Context
    from proxy.sql.facts import Facts

    Question = tuple[Facts, Context]

NO_LISTS = load(
    "{version: 1, name: x, roles: {r: {login: permit, upstream: u}}}", source="x"
)
NAMES = ["a", "a*", "*", "s.a", "s.*", "*.a", "t.a", "s.b*", "*.b"]
name_words = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)
settings_words = st.fixed_dictionaries(
    {"name": st.sampled_from(["jit", "j*", "*", "computed"])},
    optional={
        "values": st.lists(st.sampled_from(["on", "x"]), min_size=1, max_size=2),
        "except_names": st.sampled_from([["jit"], ["j*"], ["role"], ["jit", "role"]]),
    },
)
relations = {"access": st.sampled_from(["read", "*"]), "names": name_words}
functions = {"effects": st.sampled_from(["none", "*"]), "names": name_words}
exceptions = {"except_names": name_words}
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "relations": st.fixed_dictionaries(relations, optional=exceptions),
    "functions": st.fixed_dictionaries(functions),
    "settings": settings_words,
    "resets": st.sampled_from(["jit", "j*", "*", "computed"]),
    "databases": st.fixed_dictionaries({"names": name_words}, optional=exceptions),
}


def listing(key: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({key: st.lists(KEYS[key], min_size=1, max_size=2)})


pairs = st.sampled_from(list(KEYS)).flatmap(
    lambda key: st.tuples(listing(key), listing(key))
)
sides = st.sampled_from(
    [("permit", "permit"), ("forbid", "forbid"), ("forbid", "permit")]
)
SCHEMAS, PLAIN = ["", "s", "t", "u"], ["a", "ab", "b", "c"]
EVERY_ACT: list[Act] = [
    *(RelationUse(s, n, how) for s in SCHEMAS for n in PLAIN for how in list(Access)),
    *(FunctionUse(s, n, e) for s in SCHEMAS for n in PLAIN for e in list(Effect)[:3]),
    *(
        SettingChange(name, value, Scope.SESSION)
        for name in ("", "jit", "jit_x", "role")
        for value in (None, "on", "true", "x", "y")
    ),
    *(
        SettingChange(name, None, Scope.SESSION, is_reset=True)
        for name in ("", "*", "jit", "jit_x", "role")
    ),
    *(DatabaseAct(name) for name in PLAIN),
]
"""Whatever the words above tell apart."""


@settings(max_examples=600, deadline=None)
@given(pairs, sides)
def test_what_covers_a_rule_covers_each_of_its_acts(
    acts: tuple[dict[str, Any], dict[str, Any]], side: tuple[str, str]
) -> None:
    wide = Rule.model_validate({"id": "w", side[0]: acts[0]})
    narrow = Rule.model_validate({"id": "n", side[1]: acts[1]})
    if not Coverage(NO_LISTS).covers(wide, narrow):
        return
    here, inside = (CompiledRule(each, NO_LISTS) for each in (wide, narrow))
    for act in EVERY_ACT:
        assert here.covers(act) or not inside.covers(act), act


words_of_when = {
    "databases": st.sampled_from(["shop", "sh*"]),
    "kinds": st.sampled_from(["read", "ddl", "*"]),
    "actions": st.sampled_from(["select", "drop *", "drop table"]),
    "flags": st.sampled_from(["into", "cascade", "*"]),
}
whens = st.fixed_dictionaries(
    {},
    optional={
        key: st.lists(words, min_size=1, max_size=2)
        for key, words in words_of_when.items()
    },
)


@settings(max_examples=300, deadline=None)
@given(whens, whens, st.lists(st.tuples(made_facts, contexts), max_size=8))
def test_what_covers_a_rule_applies_where_it_does(
    wide: dict[str, Any], narrow: dict[str, Any], questions: list[Question]
) -> None:
    acts = {"kinds": ["read"]}
    rules = [
        Rule.model_validate({"id": "x", "when": when, "permit": acts})
        for when in (wide, narrow)
    ]
    if not Coverage(NO_LISTS).covers(*rules):
        return
    here, inside = (CompiledRule(each, NO_LISTS) for each in rules)
    for facts, context in questions:
        assert here.applies(facts, context) or not inside.applies(facts, context)


@pytest.mark.parametrize(
    ("word", "wide", "is_within"),
    [
        ("a", ["a"], True),
        ("a", ["b", "a*"], True),
        ("a*", ["a*"], True),
        ("ab*", ["a*"], True),
        ("*", ["*"], True),
        ("a*b", ["a*"], True),
        ("a*", ["ab*"], False),
        ("a*", ["a"], False),
        ("*", ["a*"], False),
        ("*a", ["a*"], False),
    ],
)
def test_words(word: str, wide: list[str], is_within: bool) -> None:
    assert word_within(word, wide) is is_within


def document_of(wide: str, narrow: str) -> str:
    return f"""
version: 1
name: x
lists: {{both: [a, b]}}
settings: {{group: [jit, {{name: role, values: [x]}}]}}
roles:
  r:
    login: permit
    upstream: u
    rules:
      - {{id: wide, reason: x, {wide}}}
      - {{id: narrow, reason: x, {narrow}}}
"""


def pair(wide: str, narrow: str) -> tuple[Coverage, Rule, Rule]:
    document = load(document_of(wide, narrow), source="x")
    first, second = document.model.roles["r"].rules
    return Coverage(document), first, second


COVERED = [
    ("permit: {everything: true}", "permit: {everything: true}"),
    ("forbid: {everything: true}", "permit: {kinds: [read], actions: [select]}"),
    ("permit: {kinds: [read, ddl]}", "permit: {kinds: [read]}"),
    ("permit: {kinds: ['*']}", "permit: {kinds: ['copy_*']}"),
    ("permit: {actions: ['drop *']}", "permit: {actions: [drop table, drop view]}"),
    (
        "permit: {functions: [{names: ['@both'], effects: '*'}]}",
        "permit: {functions: [{names: [s.a], effects: [none, sleep]}]}",
    ),
    (
        "permit: {functions: [{effects: none}, {effects: sleep}]}",
        "permit: {functions: [{names: a, effects: [none, sleep]}]}",
    ),
    (
        "permit: {relations: [{access: read, names: s.*, except_names: s.x}]}",
        "permit: {relations: [{access: read, names: s.a, except_names: s.x*}]}",
    ),
    (
        "forbid: {relations: [{access: '*', names: '*.a'}]}",
        "permit: {relations: [{access: read, names: a}]}",
    ),
    (
        "forbid: {relations: [{access: read, except_names: s.x}]}",
        "permit: {relations: [{access: read, except_names: s.x}]}",
    ),
    ("permit: {settings: ['@group', role]}", "permit: {settings: ['@group']}"),
    (
        "permit: {settings: [{name: 'j*', values: [on, off]}]}",
        "permit: {settings: [{name: jit, values: [true]}]}",
    ),
    ("forbid: {settings: [jit]}", "permit: {settings: [computed]}"),
    (
        "permit: {settings: [{name: '*', except_names: role}]}",
        "permit: {settings: [{name: '*', except_names: [role, jit]}]}",
    ),
    ("permit: {settings: ['*']}", "permit: {settings: [computed]}"),
    ("permit: {resets: ['*', computed]}", "permit: {resets: [jit, computed]}"),
    ("permit: {databases: [a*]}", "permit: {databases: [{names: ab}]}"),
    ("when: {actions: [drop *]}, forbid: {flags: [cascade]}",) * 2,
    ("permit: {flags: [cascade]}", "when: {kinds: [ddl]}, permit: {flags: [cascade]}"),
    ("permit: {lock_modes: ['*']}", "permit: {lock_modes: [share]}"),
]


def test_a_rule_without_acts_covers_and_is_covered_by_nothing() -> None:
    empty = Rule.model_validate({"id": "x"})
    full = Rule.model_validate({"id": "y", "permit": {"everything": True}})
    covers = Coverage(NO_LISTS).covers
    assert not covers(empty, full)
    assert not covers(full, empty)


@pytest.mark.parametrize(("wide", "narrow"), COVERED)
def test_it_sees_that_a_rule_is_covered(wide: str, narrow: str) -> None:
    coverage, first, second = pair(wide, narrow)
    assert coverage.covers(first, second)


NOT_COVERED = [
    ("permit: {kinds: ['*'], actions: ['*']}", "permit: {everything: true}"),
    ("permit: {kinds: [read]}", "permit: {kinds: [read], actions: [select]}"),
    (
        "permit: {relations: [{access: read, names: '*.a'}]}",
        "permit: {relations: [{access: read, names: a}]}",
    ),
    (
        "permit: {relations: [{access: read, names: s.*, except_names: s.x}]}",
        "permit: {relations: [{access: read, names: s.a}]}",
    ),
    (
        "forbid: {relations: [{access: read, except_names: x}]}",
        "forbid: {relations: [{access: read, except_names: '*.x'}]}",
    ),
    ("permit: {settings: [{name: jit, values: [on]}]}", "permit: {settings: [jit]}"),
    ("permit: {settings: ['j*']}", "permit: {settings: [computed]}"),
    (
        "permit: {settings: [{name: '*', except_names: role}]}",
        "permit: {settings: ['*']}",
    ),
    (
        "permit: {settings: [{name: '*', except_names: role}]}",
        "permit: {settings: [computed]}",
    ),
    ("permit: {resets: ['*']}", "permit: {resets: [computed]}"),
    ("forbid: {kinds: [read]}", "forbid: {kinds: [read], resets: [computed]}"),
    (
        "permit: {databases: [{names: a*, except_names: ab}]}",
        "permit: {databases: [{names: a*}]}",
    ),
    ("when: {flags: [into]}, permit: {kinds: [read]}", "permit: {kinds: [read]}"),
    (
        "when: {databases: [shop]}, permit: {kinds: [read]}",
        "when: {databases: [sh*]}, permit: {kinds: [read]}",
    ),
]


@pytest.mark.parametrize(("wide", "narrow"), NOT_COVERED)
def test_it_sees_that_a_rule_is_not_covered(wide: str, narrow: str) -> None:
    coverage, first, second = pair(wide, narrow)
    assert not coverage.covers(first, second)
