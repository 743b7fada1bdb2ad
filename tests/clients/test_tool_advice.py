"""Alembic and Django through pgwarden: what they would destroy is named, and stays.

The migrations are applied past pgwarden first. Its upstream logins are superusers here,
so nothing but the decision saves the data. Prisma's commands are in
`test_prisma_destroys`, which looks for the same hints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.refusals import refused_texts
from tests.clients.snapshot import snapshot
from tests.transcripts.ground import Ground
from tests.transcripts.python_tools import AlembicProject, DjangoProject

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.tools import Outcome
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(180)]

FLUSH = "`manage.py flush` empties every table and is never run here"
FIRST = ("CREATE TABLE notes (id int PRIMARY KEY)", "DROP TABLE notes")
SECOND = (
    "ALTER TABLE notes ADD COLUMN body text",
    "ALTER TABLE notes DROP COLUMN body",
)


def told(done: Outcome) -> str:
    return " ".join((done.out + done.err).split())


@pytest.mark.parametrize(
    ("driver", "identity"), [("psycopg2", "developer"), ("psycopg", "migrator")]
)
@pytest.mark.client("alembic")
def test_alembic_downgrade(
    lone_guard: Proxy, shop17: Database, tmp_path: Path, identity: str, driver: str
) -> None:
    past = AlembicProject(Ground(tmp_path, shop17.dsn), driver)
    past.revision(1, *FIRST)
    past.revision(2, *SECOND)
    past.alembic("upgrade head")
    before = snapshot(shop17)
    through = Ground(tmp_path, lone_guard.dsn(identity, shop17.name))

    done = AlembicProject(through, driver).alembic("downgrade base", fails=True)

    assert snapshot(shop17) == before
    assert refused_texts(lone_guard, shop17.name) == [SECOND[1]]
    assert "HINT: `alembic downgrade` and unproven revisions that drop" in told(done)
    assert "use `alembic upgrade head`" in told(done)


@pytest.mark.parametrize(
    ("command", "named", "identity"),
    [
        # Without a traceback Django keeps the database's own words to itself.
        ("flush --no-input --traceback", FLUSH, "developer"),
        ("flush --no-input --traceback", FLUSH, "migrator"),
        ("migrate shop zero", "`manage.py migrate APP zero`", "migrator"),
    ],
)
@pytest.mark.client("django")
def test_django(
    lone_guard: Proxy,
    shop17: Database,
    tmp_path: Path,
    identity: str,
    command: str,
    named: str,
) -> None:
    DjangoProject(Ground(tmp_path, shop17.dsn)).manage("migrate")
    before = snapshot(shop17)
    through = Ground(tmp_path, lone_guard.dsn(identity, shop17.name))

    done = DjangoProject(through).manage(command, fails=True)

    assert snapshot(shop17) == before
    assert len(refused_texts(lone_guard, shop17.name)) == 1
    assert f"HINT: {named}" in told(done)
    assert "is not allowed for role" in told(done)
