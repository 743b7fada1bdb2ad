"""What tools were recorded to say: production's policy refuses a developer none of it.

The corpus is `tests/corpus/recorded`, one file a tool. Played against a real Postgres
in `tests/oracle/test_tools_replayed.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from proxy.cli.offline import OfflineSession
from tests.corpus import pages
from tests.corpus.refused import REFUSED
from tests.corpus.tools import TOOLS
from tests.unit.session.playbook import judge_of

if TYPE_CHECKING:
    from proxy.policy.decision import Decision
    from tests.corpus.pages import Page
    from tests.corpus.sift import Entry

PAGES = {page.tool: page for page in pages.read_all()}
TOTAL = 2300
FLOORS = {
    "psql": 300,
    "sqlalchemy": 300,
    "pg_dump": 200,
    "django": 100,
    "activerecord": 100,
    "drizzle": 70,
}
FLOOR = 10
"""Of a tool that is not named above."""
SMALL = {"pg_activity": 8, "pgbench": 6, "goose": 5, "pg-introspection": 1}
"""Tools that say little by nature."""
FORMS = {"simple", "extended", "named", "extended described", "named described"}
UNFIT = re.compile(r"/(?:root|home|tmp|work|Users)/|SCRAM-SHA|(?i:password)\s*=\s*'")
"""Paths of the machine that recorded, and secrets."""


def decision(entry: Entry) -> Decision:
    """The decision on a statement, after what must go before it."""
    session = OfflineSession(judge_of("developer"))
    for before in entry.after:
        if isinstance(before, str):
            session.send(before.encode())
        else:
            # on paper there is no Bind and no Parse, but SQL's names are theirs as well
            kind, name, sql = before
            made = (
                "DECLARE {} CURSOR FOR {}" if kind == "portal" else "PREPARE {} AS {}"
            )
            session.send(made.format(name, sql).encode())
    found, _ = session.send(entry.sql.encode())
    return found


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.tool)
def test_a_developer_is_refused_nothing(page: Page) -> None:
    refused = {
        entry.sql: found.rule
        for entry in page.entries
        if not (found := decision(entry)).allowed
    }
    assert {
        sql: rule for sql, rule in refused.items() if (page.tool, sql) not in REFUSED
    } == {}


@pytest.mark.parametrize(
    ("tool", "sql"),
    [
        pytest.param(*case, marks=pytest.mark.xfail(reason=why), id=": ".join(case))
        for case, why in REFUSED.items()
    ],
)
def test_what_is_refused_although_it_does_no_harm(tool: str, sql: str) -> None:
    (entry,) = [entry for entry in PAGES[tool].entries if entry.sql == sql]
    assert decision(entry).allowed


def test_the_corpus_is_large() -> None:
    assert sum(len(page.entries) for page in PAGES.values()) >= TOTAL
    for tool, page in PAGES.items():
        floor = FLOORS.get(tool, SMALL.get(tool, FLOOR))
        assert len(page.entries) >= floor, tool


def test_every_tool_is_recorded_and_every_file_is_of_a_tool() -> None:
    assert set(PAGES) == set(TOOLS)


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.tool)
def test_each_statement_has_its_tool_version_and_form(page: Page) -> None:
    assert page.versions
    assert all(re.match(r"\d+\.\d+", version) for version in page.versions)
    assert page.startup
    assert not UNFIT.search(str(page.startup))
    for entry in page.entries:
        assert entry.sql.strip()
        assert entry.form in FORMS
        assert entry.by
        assert set(entry.by) <= set(page.versions)
        assert not UNFIT.search(entry.sql), entry.sql


def test_each_statement_is_there_once() -> None:
    for page in PAGES.values():
        said = [(entry.form, entry.sql, entry.types) for entry in page.entries]
        assert len(set(said)) == len(said), page.tool
