"""The gates before a proven migration: backup, restore point; a client that waits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.fix_proxy import Proxies
from tests.integration.proving import Guards
from tests.integration.test_proven_faults import (
    DROPS,
    HISTORY,
    migrate,
    refusal,
    row,
    state,
    uses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_postgres import Clusters
    from tests.integration.proving import Pair

pytestmark = pytest.mark.timeout(180)

CHECK = """#!/bin/sh
read answer wait < {file}
sleep "$wait"
echo "last backup: $1, $answer"
exit "$answer"
"""


@pytest.fixture(scope="module")
def guards(
    tmp_path_factory: pytest.TempPathFactory, clusters: Clusters
) -> Iterator[Guards]:
    folder = tmp_path_factory.mktemp("gates")
    script = folder / "check-backup"
    script.write_text(CHECK.format(file=folder / "answer"))
    script.chmod(0o700)
    cluster = clusters.get(17)
    password = folder / "password"
    password.write_text(cluster.password)
    password.chmod(0o600)
    gates = {
        "backup": {"command": [str(script), "{database}"], "timeout_s": 20},
        "restore_point_login": "admin",
    }
    admin = {"user": cluster.superuser, "password_file": str(password)}
    more = {"upstream": {"logins": {"admin": admin}}}
    proxies = Proxies(clusters)
    yield Guards(folder, cluster, cluster, proxies.start, gates=gates, more=more)
    proxies.stop()


@pytest.fixture
def both(guards: Guards) -> Pair:
    """Two databases with an empty history each, and a proof of the drop."""
    both = guards.fresh()
    for side in (both.staging, both.production):
        side.execute(f"SET ROLE pgwarden_migrator; {HISTORY}")
    migrate(both.staging)
    both.approve(1)
    return both


def answers(folder: Path, status: int, after_s: float = 0) -> None:
    (folder / "answer").write_text(f"{status} {after_s}\n")


@pytest.mark.parametrize(("status", "said"), [(1, "last backup"), (3, "ended with 3")])
def test_without_a_fresh_backup_nothing_begins(
    both: Pair, status: int, said: str
) -> None:
    answers(both.folder, status)
    error = refusal(both.production)
    assert error.diag.sqlstate == "55000"
    assert said in str(error)
    assert "rule migration.backup" in (error.diag.message_detail or "")
    assert uses(both.production) == []
    answers(both.folder, 0)
    migrate(both.production)


def test_a_point_to_come_back_to_is_set_and_told(both: Pair) -> None:
    answers(both.folder, 0)
    told = migrate(both.production)
    [line] = [each for each in told if "follows proof" in each]
    [begun] = [
        detail
        for action, detail in both.production.history()
        if action == "migration.begun"
        and detail["database"] == both.production.database
    ]
    assert begun["restore_point"] in line
    assert begun["restore_point"].startswith("pgwarden-")
    assert begun["lsn"] in line


def test_whoever_waits_is_told_for_what_and_can_cancel(both: Pair) -> None:
    answers(both.folder, 0, after_s=15)
    before = state(both.production)
    with psycopg.connect(both.production.dsn, autocommit=True) as session:
        told: list[str] = []
        session.add_notice_handler(lambda n: told.append(n.message_primary or ""))
        session.execute("BEGIN")
        timer = threading.Timer(2.5, session.cancel)
        timer.start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute(DROPS.encode())
        assert time.monotonic() - started < 10
        timer.join()
        assert told == ["waiting for the backup check"]
        session.execute("ROLLBACK")
        answers(both.folder, 0)
        for text in ("BEGIN", DROPS, row("a1"), "ROLLBACK"):
            session.execute(text.encode())
    assert state(both.production) == before
    migrate(both.production)


def test_nobody_else_waits_meanwhile(both: Pair) -> None:
    answers(both.folder, 0, after_s=3)
    deploys = threading.Thread(target=migrate, args=(both.production,))
    deploys.start()
    time.sleep(1)
    started = time.monotonic()
    with psycopg.connect(both.production.dsn) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - started < 1.5
    assert deploys.is_alive()
    deploys.join(60)
    assert uses(both.production)[-1] == "committed"
