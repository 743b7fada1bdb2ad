"""`proxy.server.gate`: open for the version that was examined, and no other."""

from __future__ import annotations

from proxy.errors import CANNOT_CONNECT_NOW
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.server.gate import UNEXAMINED, Gate


def policy(description: str = "", *, gate: bool = True) -> Policy:
    text = f"""
version: 1
name: p
description: "{description}"
doctor: {{gate: {str(gate).lower()}}}
roles:
  developer: {{login: permit, upstream: reader}}
"""
    return Policy(load(text, source="p.yaml"))


def test_closed_until_it_is_opened() -> None:
    gate = Gate()
    assert gate.problem(policy()) == UNEXAMINED
    refusal = gate.refusal(policy())
    assert refusal is not None
    assert (refusal.sqlstate, refusal.severity) == (CANNOT_CONNECT_NOW, "FATAL")
    gate.open(policy())
    assert gate.problem(policy()) == ""
    assert gate.refusal(policy()) is None


def test_another_version_is_examined_first() -> None:
    gate = Gate(policy("one").version)
    assert gate.problem(policy("one")) == ""
    assert gate.problem(policy("two")) == UNEXAMINED


def test_without_a_gate_in_the_policy_it_is_open() -> None:
    assert Gate().problem(policy(gate=False)) == ""


def test_closed_again() -> None:
    gate = Gate(policy().version)
    gate.close("why")
    assert gate.problem(policy()) == "why"
