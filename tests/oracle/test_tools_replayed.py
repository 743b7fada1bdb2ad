"""What tools were recorded to say, said again through pgwarden: nothing is refused.

Each statement of `tests/corpus/recorded` in its own form, as developer, in front of a
real Postgres with the database it was recorded at; and each tool's startup parameters.
The decision alone is tried in `tests/unit/policy/test_recorded_tools.py`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from proxy.wire.startup import StartupMessage
from tests.corpus import pages
from tests.corpus.furnish import furnish
from tests.corpus.refused import REFUSED
from tests.fix_postgres import shop_copy
from tests.oracle.replay import Replayer
from tests.protocol.speaker import Speaker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.corpus.pages import Page
    from tests.corpus.sift import Entry
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
PAGES = {page.tool: page for page in pages.read_all()}
OF_A_SERVER = re.compile(r" at server (\d+)")
"""In the version of a tool that asks each major of Postgres in its own way."""

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("postgres", [15, 17, 18] if DEEP else [15], indirect=True),
]
each_tool = pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.tool)


@pytest.fixture(scope="module")
def furnished(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    # some statements name the database that they were recorded in
    with shop_copy(clusters, postgres, "shop") as database:
        furnish(database.dsn)
        yield database


def fits(entry: Entry, major: int) -> bool:
    """Whether a server of this major knows all that the statement names."""
    majors = set(OF_A_SERVER.findall(" ".join(entry.by)))
    return not majors or str(major) in majors


@each_tool
def test_a_tool_is_refused_nothing_and_works(
    page: Page, guard: Proxy, furnished: Database
) -> None:
    refused, failed = [], []
    with Replayer(guard.dsn("developer", furnished.name)) as client:
        for entry in page.entries:
            if (page.tool, entry.sql) in REFUSED:
                continue
            answer = client.say(entry)
            client.clean()
            if answer.rule:
                refused.append((answer.rule, entry.sql))
            elif answer.sqlstate == entry.sqlstate:
                continue
            elif fits(entry, furnished.cluster.major):
                failed.append((answer.sqlstate, entry.sql))
    assert refused == []
    assert failed == []


@pytest.mark.parametrize(
    ("tool", "sql"),
    [
        pytest.param(*case, marks=pytest.mark.xfail(reason=why), id=": ".join(case))
        for case, why in REFUSED.items()
    ],
)
def test_what_is_refused_although_it_does_no_harm(
    guard: Proxy, furnished: Database, tool: str, sql: str
) -> None:
    (entry,) = [entry for entry in PAGES[tool].entries if entry.sql == sql]
    with Replayer(guard.dsn("developer", furnished.name)) as client:
        assert not client.say(entry).rule


@each_tool
def test_a_tool_s_startup_parameters_are_let_in(
    page: Page, guard: Proxy, furnished: Database
) -> None:
    for parameters in page.startup:
        who = {"user": guard.user(), "database": furnished.name}
        wish = StartupMessage(0, {**who, **parameters})
        with Speaker(guard.host, guard.port) as speaker:
            speaker.log_in(wish, guard.password())
            assert speaker.lines[-1] == "B ReadyForQuery I", parameters
