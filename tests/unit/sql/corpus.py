"""The committed corpora of statements, as the tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

CORPUS = Path(__file__).parents[2] / "corpus"


class Case(NamedTuple):
    """A statement with what its facts must say."""

    group: str
    sql: str
    kinds: frozenset[str]
    flags: frozenset[str]
    effects: frozenset[str]
    actions: list[str] | None
    setup: str


def _load(name: str) -> dict[str, Any]:
    text = (CORPUS / name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _words(group: dict[str, Any], key: str) -> frozenset[str]:
    return frozenset(group.get(key, "").split())


def statements() -> list[Case]:
    """Every statement of `statements.yaml`."""
    return [
        Case(
            name,
            sql,
            _words(group, "kinds"),
            _words(group, "flags"),
            _words(group, "effects"),
            group.get("actions"),
            group.get("setup", ""),
        )
        for name, group in _load("statements.yaml").items()
        for sql in group["sql"]
    ]


def tool_statements() -> list[Case]:
    """Every statement that a tool was seen to send; none has a flag or an effect."""
    cases = []
    for tool, entries in _load("tools.yaml").items():
        for entry in entries:
            sql, kinds = (
                (entry, "read")
                if isinstance(entry, str)
                else (entry["sql"], entry["kinds"])
            )
            cases.append(
                Case(
                    tool,
                    sql,
                    frozenset(kinds.split()),
                    frozenset(),
                    frozenset(),
                    None,
                    "shop",
                )
            )
    return cases
