"""The short form of an audit record: nothing that is recorded can hide in it."""

from __future__ import annotations

import copy
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from proxy.audit.judged_form import JudgedStatement, JudgedText
from proxy.policy.case_records import Record, difference, is_same, short_form

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = {
    "kind": "delete",
    "kinds": ["delete", "read"],
    "actions": ["select", "delete"],
    "relations": [
        {"schema": "", "name": "users", "access": "read"},
        {"schema": "public", "name": "orders", "access": "delete"},
        {"schema": "", "name": "a.b", "access": "read"},
    ],
    "functions": [
        {"schema": "", "name": "now", "effect": "none"},
        {"schema": "public", "name": 'lo"wer', "effect": "unknown"},
    ],
    "columns": [["u", "id"], ["", "city"]],
    "settings": ["jit"],
    "flags": ["cascade", "destructive"],
    "lock_mode": "share",
    "databases": ["shop"],
    "operators": [["public", "+"], ["s", "."]],
}
RECORD: dict[str, Any] = {
    "decision": "deny",
    "rule": "r",
    "reason": "no",
    "statement_kind": "delete",
    "statements": [FACTS],
    "text": "DELETE",
    "sqlstate": "42501",
    "quarantines": True,
    "policy": "v1",
}
IMPLIED = {
    "decision": "deny",
    "rule": "r",
    "text": "DELETE",
    "sqlstate": "42501",
    "policy": "v1",
}


def test_the_facts_of_one_statement_stand_in_the_record_itself() -> None:
    assert short_form(RECORD, IMPLIED) == {
        "reason": "no",
        "quarantines": True,
        "kind": "delete",
        "kinds": ["delete", "read"],
        "actions": ["select", "delete"],
        "relations": {"read": ["users", '"a.b"'], "delete": "public.orders"},
        "functions": {"none": "now", "unknown": 'public."lo""wer"'},
        "columns": ["u.id", ".city"],
        "settings": "jit",
        "flags": ["cascade", "destructive"],
        "lock_mode": "share",
        "databases": "shop",
        "operators": ["public.+", 's."."'],
    }


def test_what_the_case_implies_is_said_where_the_record_says_something_else() -> None:
    other = RECORD | {"text": "DELETE '<redacted>'", "decision": "allow"}
    del other["sqlstate"]
    short = short_form(other, IMPLIED)
    assert short["text"] == "DELETE '<redacted>'"
    assert short["decision"] == "allow"
    assert short["sqlstate"] is None
    assert "rule" not in short
    assert "policy" not in short


def test_the_kind_of_the_text_is_said_where_it_is_not_that_of_its_one_statement() -> (
    None
):
    other = RECORD | {"statement_kind": "unknown"}
    assert short_form(other, IMPLIED)["statement_kind"] == "unknown"


def test_several_statements_are_a_list_and_none_are_absent() -> None:
    facts = [{"kind": "read", "actions": ["select"]}, {"kind": "ddl"}]
    short = short_form(RECORD | {"statements": facts}, IMPLIED)
    assert short["statements"] == [
        {"kind": "read", "actions": "select"},
        {"kind": "ddl"},
    ]
    assert short["statement_kind"] == "delete"
    none = short_form(RECORD | {"statements": []}, IMPLIED)
    assert none == {"reason": "no", "statement_kind": "delete", "quarantines": True}


def test_the_fields_of_a_record_and_of_its_facts_do_not_meet() -> None:
    """Else one would hide the other where both stand in the record itself."""
    fields = {each.name for each in msgspec.structs.fields(JudgedText)}
    facts = {each.name for each in msgspec.structs.fields(JudgedStatement)}
    assert not fields & facts


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a record."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))


def _changed(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The record with one thing more, missing or different, for everything in it."""
    for *above, last in filter(None, _places(record)):
        name = ".".join(map(str, [*above, last]))
        more, less = copy.deepcopy(record), copy.deepcopy(record)
        holder: Any = reduce(getitem, above, more)
        match holder[last]:
            case dict(here):
                here["later"] = "x"
            case list(here):
                here.append(copy.deepcopy(here[0]))
            case _:
                holder[last] = "else"
        yield f"{name} is different", more
        del reduce(getitem, above, cast("Any", less))[last]
        yield f"{name} is missing", less
    yield "there is a field more", record | {"later": "x"}


CHANGED = [*_changed(RECORD)]


@pytest.mark.parametrize(("what", "record"), CHANGED, ids=[name for name, _ in CHANGED])
def test_whatever_is_different_in_a_record_is_different_in_the_short_form(
    what: str, record: dict[str, Any]
) -> None:
    assert what
    expected, found = short_form(RECORD, IMPLIED), short_form(record, IMPLIED)
    assert not is_same(expected, found)
    assert any(line[0] in "-+" for line in difference(expected, found).splitlines())


name = st.text(alphabet='ab."', max_size=3)
uses = st.lists(st.tuples(name, name), max_size=3)


@given(uses, uses)
def test_names_are_the_same_only_if_they_are(
    some: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    def short(pairs: list[tuple[str, str]]) -> Any:
        relations = [{"schema": s, "name": n, "access": "read"} for s, n in pairs]
        facts = {"kind": "read", "relations": relations} if pairs else {"kind": "read"}
        return short_form({"statements": [facts]}, {})

    assert is_same(short(some), short(others)) == (some == others)


def test_one_word_may_be_written_as_a_list() -> None:
    assert is_same(
        {"actions": ["select"], "relations": {"read": ["users"]}},
        {"actions": "select", "relations": {"read": "users"}},
    )
    assert not is_same({"actions": ["select", "delete"]}, {"actions": "select"})
    assert not is_same({"sqlstate": 42601}, {"sqlstate": "42601"})


def test_a_difference_shows_one_fact_a_line() -> None:
    expected: Record = {"reason": "it only reads", "kind": "read", "flags": "cascade"}
    found: Record = {
        "reason": "no: never",
        "kind": "read",
        "relations": {"read": ["a", "b"]},
    }
    assert difference(expected, found).splitlines() == [
        "- reason: it only reads",
        "+ reason: 'no: never'",
        "  kind: read",
        "- flags: cascade",
        "+ relations: {read: [a, b]}",
    ]
    expected = {"kind": "ddl", "flags": "cascade", "reason": "no: never"}
    assert difference(expected, found).splitlines() == [
        "  reason: 'no: never'",
        "- kind: ddl",
        "- flags: cascade",
        "+ kind: read",
        "+ relations: {read: [a, b]}",
    ]
    expected = {"statements": [{"kind": "read"}, {"kind": "ddl"}]}
    found = {"statements": [{"kind": "read"}, {"kind": "delete"}]}
    assert difference(expected, found).splitlines() == [
        "  statement 1: {kind: read}",
        "- statement 2: {kind: ddl}",
        "+ statement 2: {kind: delete}",
    ]
