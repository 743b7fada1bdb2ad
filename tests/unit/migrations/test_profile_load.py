"""Profiles as text: what is refused, with which words and on which line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.migrations.profile_load import load_folder, load_profile, shipped_profiles
from proxy.migrations.recogniser import Tools
from proxy.policy.problems import PolicyError

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """\
version: 1
tool: mine
title: Mine
provenance: {source: recorded, versions: "1.0"}
tables: my_history
script: {order: row-last, sent: statements, transaction: own}
bookkeeping:
  - id: applied
    means: end
    match: {action: insert, table: my_history, columns: name}
    name: {column: name}
commands:
  - command: mine wipe
    does: drops all
    instead: use `mine up`
    after: applied
    first: [{action: drop table}]
"""


def problem(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_profile(text, source="mine.yaml")
    return str(caught.value)


def test_a_whole_profile() -> None:
    profile = load_profile(WHOLE, source="mine.yaml")
    assert (profile.tool, profile.is_on) == ("mine", True)
    assert profile.model.tables == ["my_history"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tables:", "tabels:", 'mine.yaml:5: unknown key "tabels"; did'),
        ("means: end", "means: ending", "mine.yaml:9:"),
        ("columns: name", "columms: name", 'unknown key "columms"'),
        ("after: applied", "after: aplied", 'yaml:16: no bookkeeping has id "aplied"'),
        ("tool: mine", "tool: Mine!", "mine.yaml:2:"),
        ("order: row-last", "order: announced", "wants a statement that means"),
        ("means: end", "means: look", 'no statement means "end"'),
        ("means: end", "means: act", 'needs "command"'),
        ("table: my_history, ", "", 'mine.yaml:8: its match needs "table"'),
        ("{column: name}\n", "{column: name, where: name}\n", "takes one of column"),
        ("means: end", "means: end\n    during: announced", 'script order "announced"'),
        ('versions: "1.0"', "versions: []", "mine.yaml:4:"),
        ("version: 1", "version: 2", "mine.yaml:1:"),
        ("title: Mine", "title: &x Mine", "anchor"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, said: str) -> None:
    assert old in WHOLE
    assert said in problem(WHOLE.replace(old, new))


HISTORY = WHOLE.replace(
    "bookkeeping:\n",
    """history:
  tables: [public.my_history]
  name: name
  applied: {done: is true}
  order: id
bookkeeping:
""",
)


def test_where_a_tool_keeps_its_history() -> None:
    history = load_profile(HISTORY, source="mine.yaml").model.history
    assert history is not None
    assert (history.tables, history.name) == (["public.my_history"], ["name"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("public.my_history", "my_history", "mine.yaml:8:"),
        ("[public.my_history]", "[]", "mine.yaml:8:"),
        # Nobody would watch it, and the schema digest would leave it out.
        ("public.my_history", "public.account", '"public.account" is none of "tables"'),
        ("is true", "is true OR true", "mine.yaml:10:"),
        ("done", 'done" OR "x', "mine.yaml:"),
        ("name: name\n  applied", "name: name || secret()\n  applied", "mine.yaml:9:"),
        ("order: id", "order: id; DROP TABLE t", "mine.yaml:11:"),
        ("  order: id", "  separator: \"' || x || '\"\n  order: id", "mine.yaml:11:"),
        ("  order: id\n", "", '"name" and "order" are given both'),
        ("  name: name\n  applied", "  applied", 'without "name" nothing is read'),
        ("public.my_history", "'pub\"lic.my_history'", "mine.yaml:8:"),
    ],
)
def test_a_history_that_is_wrong_or_would_reach_further(
    old: str, new: str, said: str
) -> None:
    """Its names go into a query, and into what the schema digest leaves out."""
    assert old in HISTORY
    text = HISTORY.replace(old, new, 1)
    if said.startswith('without "name"'):
        text = text.replace("  order: id\n", "")
    assert said in problem(text)


def test_all_problems_come_at_once() -> None:
    text = WHOLE.replace("tables:", "tabels:").replace("means: end", "means: ending")
    assert problem(text).count("mine.yaml:") == 2


def test_a_profile_from_sources_is_not_followed() -> None:
    text = WHOLE.replace("source: recorded", "source: sources")
    profile = load_profile(text, source="mine.yaml")
    assert not profile.is_on
    assert Tools([profile]).known == ()


def test_two_of_one_tool_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WHOLE)
    (tmp_path / "b.yaml").write_text(WHOLE)
    with pytest.raises(ConfigError, match='are both of tool "mine"'):
        load_folder(tmp_path)


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"can't read the tool profile .*a\.yaml"):
        load_folder(tmp_path)


def test_the_shipped_ones_load() -> None:
    on = {profile.tool for profile in shipped_profiles() if profile.is_on}
    assert on == {
        "alembic", "dbmate", "django", "drizzle", "flyway", "golang-migrate", "knex",
        "liquibase", "prisma", "psql", "rails", "sqitch",
    }  # fmt: skip
    off = {profile.tool for profile in shipped_profiles() if not profile.is_on}
    assert off == {"prisma-next"}
