"""The committed corpora of statements, as the tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.corpus import pages

if TYPE_CHECKING:
    from tests.corpus.sift import Entry

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


class Recorded(NamedTuple):
    """A statement that a tool was recorded to send, and which tool."""

    tool: str
    entry: Entry

    @property
    def sql(self) -> str:
        return self.entry.sql


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


def tool_statements() -> list[Recorded]:
    """Every statement that a tool was recorded to send."""
    return [
        Recorded(page.tool, entry)
        for page in pages.read_all()
        for entry in page.entries
    ]
