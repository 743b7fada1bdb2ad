"""The digest of what a server said, and how two of them differ: without a server."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from proxy.errors import ConfigError
from proxy.migrations.schema import Scope, Snapshot, object_name
from proxy.migrations.schema_digest import Difference, differences, digest
from tests.unit.migrations.made import AFTER, BEFORE, SCOPE


def snapshot(**objects: Any) -> Snapshot:
    return Snapshot(scope=SCOPE, database="d", server_version="17", objects=objects)


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"a": {}},
    {"b": {}},
    {"a": {}, "b": {}},
    {"a": {"x": "1"}},
    {"a": {"x": 1}},
    {"a": {"x": True}},
    {"a": {"x": ["1"]}},
    {"a": {"x": ["1", ""]}},
    {"a": {"x": ["", "1"]}},
    {"a": {"x": ["11"]}},
    {"a": {"y": "1"}},
    {"a": {"x": "1", "y": "1"}},
    {"a": {"default": "1"}},
    {"a": {"default": "'1'"}},
    {"a": {"keys": ["a", "b"]}},
    {"a": {"keys": ["b", "a"]}},
]


def test_what_differs_has_another_digest() -> None:
    digests = [digest(snapshot(**each)) for each in DIFFERENT]
    for one, other in itertools.combinations(range(len(DIFFERENT)), 2):
        assert digests[one] != digests[other], (DIFFERENT[one], DIFFERENT[other])


def test_order_and_place_do_not_count() -> None:
    turned = dict(reversed(AFTER.objects.items()))
    other = msgspec.structs.replace(AFTER, database="x", server_version="15.1")
    assert digest(msgspec.structs.replace(AFTER, objects=turned)) == digest(AFTER)
    assert digest(other) == digest(AFTER)


def test_the_scope_is_part_of_it() -> None:
    scopes = [
        SCOPE,
        Scope.of(["public", "app"]),
        Scope.of(["public"], privileges=True),
        Scope.of(["public"], bookkeeping=["public.x"]),
    ]
    found = {digest(msgspec.structs.replace(AFTER, scope=each)) for each in scopes}
    assert len(found) == len(scopes)
    assert Scope.of(["b", "a", "b"]) == Scope.of(["a", "b"])


@pytest.mark.parametrize("names", [[], ["pg_catalog"], ["information_schema"], [""]])
def test_a_scope_is_of_schemas_of_the_teams_own(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        Scope.of(names)


def test_differences_are_named() -> None:
    changed = {**AFTER.objects, "column public.t.a": {"type": "bigint"}}
    assert list(differences(BEFORE, AFTER)) == [
        Difference("column public.t.a", "unexpected", {}),
        Difference("table public.t", "unexpected", {}),
    ]
    assert [each.change for each in differences(AFTER, BEFORE)] == ["missing"] * 2
    assert list(
        differences(AFTER, msgspec.structs.replace(AFTER, objects=changed))
    ) == [
        Difference(
            "column public.t.a",
            "changed",
            {"default": ("1", None), "type": ("integer", "bigint")},
        )
    ]
    assert list(differences(AFTER, AFTER)) == []


def test_names_can_t_be_taken_for_others() -> None:
    parts = [["a", "b"], ["a.b"], ['a"."b'], ["A", "b"], ["a", "b "], ["", "a"]]
    names = {object_name("table", each, None) for each in parts}
    assert len(names) == len(parts)
    assert object_name("table", ["a", "b"], None) == "table a.b"
    assert object_name("function", ["a", "f"], "integer") == "function a.f(integer)"


def test_the_digest_of_today() -> None:
    """A change here makes every proof worthless: raise `VERSION`, and say so."""
    assert digest(AFTER)[:16] == "a24005df8169b92c"
