"""A replay judges each record by where, as what and when it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.made_log import BEGIN, MadeLog
from tests.unit.replay.replaying import HEAD, READING, changes, policy, replayed

if TYPE_CHECKING:
    from pathlib import Path

HOUR_S = 3600.0
"""BEGIN is 2025-10-09T08:53:20Z, a Thursday."""


def when(condition: str) -> str:
    """What READING permits, under a condition."""
    return READING.replace("- id: ", f"- when: {{{condition}}}\n        id: ", 1)


IN_WINDOW = 'during: [{hours: "08:00-10:00", days: thu, timezone: UTC}]'
IN_SUMMER = "during: [{since: 2025-06-01, until: 2025-08-31, timezone: UTC}]"


@pytest.mark.parametrize(
    ("condition", "is_same"),
    [
        (IN_WINDOW, True),
        (IN_SUMMER, False),
        ("networks: loopback", True),
        ("networks: 10.0.0.0/8", False),
        ("applications: psql", True),
        ("applications: bi", False),
        ("proven: false", True),
        ("proven: true", False),
    ],
)
def test_the_records_say_where_and_when(
    tmp_path: Path, condition: str, *, is_same: bool
) -> None:
    with MadeLog(tmp_path / "audit") as log:
        log.session(policy(READING), settings={"jit": "off"}).query("select 1")
    tally = replayed(tmp_path / "audit", when(condition))
    assert tally.statements.newly_refused == (not is_same)
    assert tally.logins.newly_refused == (not is_same)


def test_a_window_closes_amid_a_session(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    rules = policy(READING)
    with MadeLog(folder) as log:
        session = log.session(rules)
        session.query("begin")
        session.query("prepare p as select * from pay")
        session.query("declare c cursor for select * from pay")
        for _ in range(2):
            session.query("execute p")
            session.query("fetch c")
    # the same session goes on two hours later
    with MadeLog(folder, at=BEGIN + 2 * HOUR_S) as log:
        session._log = log
        session.query("execute p")
        session.query("fetch c")
        session.query("select 1")
    text = (
        when(IN_WINDOW).replace("session, cursor", "session")
        + """
      - id: always
        permit: {kinds: [read, cursor, execute], actions: [fetch, execute, select],
                 functions: [{effects: none}]}
"""
    )
    found = changes(replayed(folder, text))
    assert found == {
        "execute p": ("reads", "default-deny", 1),
        "fetch c": ("reads", "default-deny", 1),
    }


def test_it_follows_an_application_that_calls_itself_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with MadeLog(folder) as log:
        session = log.session(policy(READING))
        session.query("select 1")
        session.rename("bi")
        session.query("select 2")
        session.rename("psql")
        session.query("select 3")
    tally = replayed(folder, when("applications: bi"))
    assert (tally.statements.total, tally.statements.newly_refused) == (3, 2)


def test_rules_of_a_role_that_is_gone_hang_on_nothing(tmp_path: Path) -> None:
    with MadeLog(tmp_path / "audit") as log:
        log.session(policy(READING)).query("select 1")
    other = HEAD.replace("developer", "other") + READING.removeprefix(HEAD)
    assert replayed(tmp_path / "audit", other).statements.newly_refused == 1
