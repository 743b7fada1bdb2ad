"""Claims against patterns: exact but for stars, with types as issuers mix them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from proxy.auth.claims import TokenEntry, matches, unmet

JOB = {
    "sub": "repo:acme/shop:environment:production",
    "repository": "acme/shop",
    "repository_id": "74",
    "environment": "production",
    "ref": "refs/heads/main",
    "ref_protected": "true",
    "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    "run_attempt": 2,
    "groups": ["developers", "on-call"],
    "nested": {"repository": "acme/shop"},
    "nothing": None,
}


def entry(**claims: Any) -> TokenEntry:
    return TokenEntry.model_validate({"issuer": "github", "claims": claims})


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"repository": "acme/shop"},
        {"repository": ["acme/api", "acme/shop"]},
        {"ref": "refs/heads/*", "environment": "production"},
        {"job_workflow_ref": "acme/shop/.github/workflows/*.yml@refs/heads/main"},
        {"repository_id": 74},
        {"repository_id": "74"},
        {"ref_protected": True},
        {"run_attempt": 2},
        {"groups": "on-call"},
        {"groups": ["dba", "dev*"]},
    ],
)
def test_claims_that_hold(claims: dict[str, Any]) -> None:
    assert unmet(entry(**claims).claims, JOB) is None


@pytest.mark.parametrize(
    ("claims", "wrong"),
    [
        ({"repository": "acme/shop2"}, "repository"),
        ({"repository": "acme/sho"}, "repository"),
        ({"repository": "Acme/shop"}, "repository"),
        ({"repository": "acme/sh?p"}, "repository"),
        ({"repository": "acme/[s]hop"}, "repository"),
        ({"repository": "acme/shop", "environment": "staging"}, "environment"),
        ({"environment": ["staging", "test"]}, "environment"),
        ({"ref": "*/tags/*"}, "ref"),
        ({"repository_id": 7}, "repository_id"),
        ({"ref_protected": False}, "ref_protected"),
        ({"run_attempt": True}, "run_attempt"),
        ({"run_attempt": "2"}, "run_attempt"),
        ({"groups": "dba"}, "groups"),
        ({"nested": "*shop*"}, "nested"),
        ({"nothing": "None"}, "nothing"),
        ({"absent": "a*"}, "absent"),
    ],
)
def test_claims_that_do_not_hold(claims: dict[str, Any], wrong: str) -> None:
    assert unmet(entry(**claims).claims, JOB) == wrong


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "*"},
        {"repository": "**"},
        {"repository": ["acme/shop", "*"]},
        {"repository": ""},
        {"repository": []},
        {"repository": None},
        {"repository": 1.5},
        {"repository": {"is": "acme/shop"}},
        {"repository": "a" * 513},
        {"": "acme/shop"},
        {f"claim{number}": "a" for number in range(33)},
    ],
)
def test_claims_that_can_not_be_meant(claims: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        entry(**claims)


_TEXT = st.text("ab*/", max_size=12)


@given(_TEXT, st.text("ab/", max_size=16))
def test_a_star_is_what_it_is_in_a_regular_expression(pattern: str, text: str) -> None:
    plain = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, text) == bool(re.fullmatch(plain, text, re.DOTALL))


def test_many_stars_cost_little() -> None:
    assert not matches("a*" * 200 + "b", "a" * 12_000)
