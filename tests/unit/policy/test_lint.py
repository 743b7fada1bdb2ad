"""What in a document says nothing."""

from __future__ import annotations

from proxy.policy.documents import load
from proxy.policy.lint import lint

TEXT = """
version: 1
name: x
lists: {used: [a], idle: [b], closed: [role]}
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


def test_unused_things_are_named() -> None:
    assert list(lint(load(TEXT, source="x"))) == [
        'no role includes the group of rules "idle"',
        'no rule uses the list "idle"',
        'no rule uses the settings group "idle"',
        'role "empty" may log in, but nothing is permitted to it',
    ]
