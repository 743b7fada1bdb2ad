"""What no policy can permit."""

from __future__ import annotations

import pytest

from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.invariants import HARMLESS_COMPUTED_VALUE, RULE, breaks_reading
from proxy.sql.facts import Facts, Kind, Scope, SettingChange

EVERYTHING = """
version: 1
name: open
roles:
  all: {login: permit, upstream: u, rules: [{id: all, permit: {everything: true}}]}
"""


@pytest.mark.parametrize(
    ("name", "value", "is_reset", "breaks"),
    [
        ("client_encoding", "UTF8", False, False),
        ("client_encoding", "'utf-8'", False, False),
        ("client_encoding", "Unicode", False, False),
        ("client_encoding", "SJIS", False, True),
        ("client_encoding", "SQL_ASCII", False, True),
        ("client_encoding", "", False, True),
        ("client_encoding", None, False, True),
        ("client_encoding", None, True, False),
        ("standard_conforming_strings", "on", False, False),
        ("standard_conforming_strings", "TRUE", False, False),
        ("standard_conforming_strings", "off", False, True),
        ("standard_conforming_strings", "nonsense", False, True),
        ("standard_conforming_strings", None, False, True),
        ("standard_conforming_strings", None, True, False),
        ("", "off", False, True),
        ("", None, False, True),
        ("", None, True, True),
        ("", HARMLESS_COMPUTED_VALUE, False, False),
        ("*", None, True, False),
        ("timezone", "UTC", False, False),
    ],
)
def test_breaks_reading(
    name: str, value: str | None, is_reset: bool, breaks: bool
) -> None:
    change = SettingChange(name, value, Scope.SESSION, is_reset)
    assert breaks_reading(change) is breaks


def test_a_permit_of_everything_does_not_cover_it() -> None:
    policy = Policy(load(EVERYTHING, source="open"))
    change = SettingChange("client_encoding", "SJIS", Scope.SESSION)
    facts = Facts(
        kind=Kind.SESSION,
        kinds=frozenset({Kind.SESSION}),
        actions=("set",),
        verb="VariableSetStmt",
        settings=(change,),
    )
    decision = policy.decide("all", [facts], Context())
    assert (decision.allowed, decision.rule) == (False, RULE)
    assert policy.decide_setting("all", "client_encoding", "LATIN1").rule == RULE
    assert policy.decide_setting("all", "work_mem", "1GB").allowed
