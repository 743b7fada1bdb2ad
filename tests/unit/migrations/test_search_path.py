"""Two ways to write a path are one; two that differ in a name never are."""

from __future__ import annotations

import pytest

from proxy.migrations.search_path import meant


@pytest.mark.parametrize(
    ("setting", "own", "expected"),
    [
        ('"$user", public', None, "public"),
        ('"public"', None, "public"),
        ("public", None, "public"),
        ("PUBLIC,app", None, "public, app"),
        ('"PUBLIC"', None, '"PUBLIC"'),
        ('"$user", public', "migrator", "migrator, public"),
        ('"$user", public', "A b", '"A b", public'),
        ('public, "$user"', "migrator", "public, migrator"),
        ('"a,b", "c""d"', None, '"a,b", "c""d"'),
        ('""', None, '""'),
        ("", None, ""),
        ("app, public, app", None, "app, public, app"),
    ],
)
def test_what_a_path_means(setting: str, own: str | None, expected: str) -> None:
    assert meant(setting, own) == expected


@pytest.mark.parametrize(
    "setting", ["a b", "a,", ",a", "a,,b", '"a', 'a"b"', "täglich", "1a", "a\0b"]
)
def test_what_can_t_be_read_is_itself(setting: str) -> None:
    assert meant(setting, None) == setting


def test_order_counts() -> None:
    """With pg_catalog behind it, a function of the schema's own is another one."""
    assert meant("public, pg_catalog", None) != meant("pg_catalog, public", None)
