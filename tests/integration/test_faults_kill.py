"""SIGKILL under load: whatever reached Postgres is in the log; the chain goes on."""

from __future__ import annotations

import re
import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.audit.verify import verify_folder
from tests.integration.rig import eventually, restart

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns]

WRITERS = 4
READERS = 4
MARK = re.compile(r"(?:write|read|prepared)_\d+_\d+_\d+")
_serial = count(1)


class Load:
    """Clients that write and read texts of their own until the connection breaks."""

    def __init__(self, proxy: Proxy, database: str) -> None:
        self._round = next(_serial)
        self._database = database
        self._proxy = proxy
        self._confirmed = [0] * (WRITERS + READERS)
        self._threads = [
            threading.Thread(target=work, args=(number,))
            for number, work in enumerate(
                [self._write] * WRITERS + [self._read] * READERS
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def confirmed(self) -> int:
        return min(self._confirmed)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a client hangs"

    def _write(self, worker: int) -> None:
        self._run(worker, "migrator", "insert into marks values ('write_{}')")

    def _read(self, worker: int) -> None:
        self._run(worker, "developer", "select 'read_{}' as mark from marks limit 1")

    def _run(self, worker: int, identity: str, text: str) -> None:
        dsn = self._proxy.dsn(identity, self._database)
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                for number in count():
                    mark = f"{self._round}_{worker}_{number}"
                    connection.execute(text.format(mark).encode())
                    if number % 5 == 0:
                        connection.execute(
                            f"select 'prepared_{mark}', %s::int".encode(),
                            (number,),
                            prepare=True,
                        )
                    self._confirmed[worker] = number
        except psycopg.OperationalError:
            return


def busy(load: Load) -> bool:
    return load.confirmed > 40


def recorded(proxy: Proxy) -> set[str]:
    """The marks of all statement records; the last line may be torn."""
    found: set[str] = set()
    for file in proxy.audit_folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            if '"kind":"statement"' in line:
                found.update(MARK.findall(line))
    return found


def reached(shop: Database) -> set[str]:
    """The marks that Postgres has logged for this database, and those in the table."""
    log = shop.cluster.log_path.read_text()
    found = {
        mark
        for line in log.splitlines()
        if f"@{shop.name} " in line and "LOG:" in line
        for mark in MARK.findall(line)
    }
    return found | {row[0] for row in shop.fetch("select mark from marks")}


@pytest.mark.timeout(90)
def test_no_record_of_a_statement_that_reached_postgres_is_lost(
    start_proxy: StartProxy, shop: Database
) -> None:
    kill_under_load(start_proxy, shop, workers=1)


@pytest.mark.timeout(90)
def test_nor_with_several_workers(start_proxy: StartProxy, shop17: Database) -> None:
    kill_under_load(start_proxy, shop17, workers=2)


def kill_under_load(start_proxy: StartProxy, shop: Database, *, workers: int) -> None:
    shop.execute(
        f"create table marks (mark text); grant all on marks to public;"
        f"alter database {shop.name} set log_statement = 'all'"
    )
    proxy = start_proxy(shop.cluster, settings={"workers": workers})
    for _ in range(2):
        load = Load(proxy, shop.name)
        eventually(partial(busy, load), 30)
        proxy.kill()
        load.join()
        time.sleep(0.3)
        known = recorded(proxy)
        there = reached(shop)
        assert len(there) > 40 * (WRITERS + READERS)
        assert there - known == set()
        report = verify_folder(proxy.audit_folder)
        assert report.findings == []
        assert all(
            n.what.startswith(("torn tail", "was not closed")) for n in report.notices
        )
        restart(proxy)
    with psycopg.connect(proxy.dsn("developer", shop.name)) as connection:
        connection.execute("select 'read_9_9_9'")
    assert proxy.stop() == 0
    report = verify_folder(proxy.audit_folder)
    assert report.findings == []
    assert len(report.files) == 3 * workers
    assert "read_9_9_9" in recorded(proxy)
