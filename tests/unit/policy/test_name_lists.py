from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.policy.documents import PolicyError, load
from proxy.policy.evaluate import Policy
from proxy.policy.name_lists import names_in

DOCUMENT = """
version: 1
name: narrow
lists: {schemas: [public, "app_*"]}
roles:
  r:
    login: permit
    upstream: u
    rules:
      - {id: p, permit: {settings: [SETTING]}}
"""


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", ()),
        (" \t", ()),
        ("a", ("a",)),
        (" A , b_1,$user", ("a", "b_1", "$user")),
        ('"$user", public', ("$user", "public")),
        ('"A","a, b","c""d"', ("A", "a, b", 'c"d')),
        ('""', ()),
        ("É", ("É",)),
        ("x" * 70, ("x" * 63,)),
        ('"' + "é" * 40 + '"', ("é" * 31,)),
        ("a;b", ("a;b",)),
        ("a b", None),
        ("a,", None),
        (",a", None),
        ("a,,b", None),
        ('"a', None),
        ('"a"b', None),
    ],
)
def test_names_are_read_as_postgres_reads_them(
    value: str, names: tuple[str, ...] | None
) -> None:
    assert names_in(value) == names


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)))
def test_quoted_names_come_back(names: list[str]) -> None:
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    assert names_in(quoted) == tuple(names)


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("{name: search_path, items: ['@schemas']}", "APP_1, public", True),
        ("{name: search_path, items: ['@schemas']}", '"APP_1", public', False),
        ("{name: search_path, items: ['@schemas']}", "", True),
        ("{name: search_path, items: ['@schemas']}", "evil", False),
        ("{name: search_path, values: ['a, b']}", '"a" ,B', True),
        ("{name: search_path, values: ['a, b']}", '"a, b"', False),
        ("{name: search_path, values: ['a, b']}", "b, a", False),
        ("{name: '*', values: ['a']}", '"A"', False),
        ("{name: role, values: [app]}", "app", True),
        ("{name: role, values: [app]}", "App", False),
        ("{name: jit, values: [on]}", "TRUE", True),
    ],
)
def test_a_permit_of_a_list(setting: str, value: str, allowed: bool) -> None:
    policy = Policy(load(DOCUMENT.replace("SETTING", setting), source="narrow"))
    name = next((n for n in ("role", "jit") if n in setting), "search_path")
    assert policy.decide_setting("r", name, value).allowed is allowed


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{name: jit, items: [a]}", '"jit": "items" are for lists of names'),
        ("{name: 'search*', items: [a]}", '"items" are for lists of names'),
        ("{name: search_path, items: [a], values: [b]}", "not both"),
        ("{name: search_path, items: ['@nope']}", 'no list "nope"'),
        ("{name: search_path, items: []}", "items"),
    ],
)
def test_items_that_make_no_sense(setting: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        load(DOCUMENT.replace("SETTING", setting), source="narrow")
