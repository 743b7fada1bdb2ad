"""The disk under the audit log is full: nothing runs, nobody is stuck, it recovers."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.pq import ExecStatus, TransactionStatus

from proxy.audit.verify import verify_folder
from proxy.demo import children
from tests.fix_proxy import serve_command
from tests.integration.rig import events, eventually, metric, problems

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns]

UNAVAILABLE = "58030"
IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def fill_up(proxy: Proxy) -> None:
    """From now on no audit file can grow: write(2) gives EFBIG."""
    (file,) = proxy.audit_folder.glob("*.jsonl")
    size = file.stat().st_size
    resource.prlimit(
        proxy.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)
    )


def make_room(proxy: Proxy) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, unlimited)


def refused(connection: psycopg.Connection, text: bytes, *, prepare: bool) -> None:
    with pytest.raises(psycopg.Error) as error:
        connection.execute(text, prepare=prepare)
    assert error.value.sqlstate == UNAVAILABLE, str(error.value)


def status(connection: psycopg.Connection) -> TransactionStatus:
    return connection.info.transaction_status


@pytest.mark.parametrize("prepare", [False, True])
def test_a_full_disk(start_proxy: StartProxy, shop: Database, prepare: bool) -> None:
    shop.execute(
        "create table marks (mark text); grant all on marks to public;"
        f"alter database {shop.name} set log_statement = 'all'"
    )
    proxy = start_proxy(shop.cluster, environment={"PGWARDEN_LOG__LEVEL": "info"})
    with (
        psycopg.connect(proxy.dsn("migrator", shop.name)) as writer,
        psycopg.connect(proxy.dsn("developer", shop.name), autocommit=True) as reader,
    ):
        writer.execute("insert into marks values ('before')", prepare=prepare)
        writer.commit()
        writer.execute("insert into marks values ('lost')", prepare=prepare)
        fill_up(proxy)
        start = shop.cluster.log_path.stat().st_size
        refused(writer, b"insert into marks values ('never')", prepare=prepare)
        assert status(writer) == TransactionStatus.INERROR
        refused(writer, b"select 'never'", prepare=False)
        for _ in range(3):
            refused(reader, b"select 'never'", prepare=prepare)
            assert status(reader) == TransactionStatus.IDLE
        with pytest.raises(psycopg.Error) as error, reader.pipeline():
            reader.execute("select 'never', %s", (1,))
        assert error.value.sqlstate == UNAVAILABLE
        assert problems(proxy) == [
            "the audit log can't be written; statements are refused"
        ]
        assert metric(proxy, "pgwarden_audit_unavailable") == 1
        assert metric(proxy, "pgwarden_audit_write_errors_total") >= 6
        # Nobody is stuck: what ends a transaction passes.
        # By hand: psycopg itself would send a DEALLOCATE behind it.
        said = (
            writer.pgconn.exec_params(b"rollback", None)
            if prepare
            else (writer.pgconn.exec_(b"rollback"))
        )
        assert said.status == ExecStatus.COMMAND_OK, said.error_message
        assert status(writer) == TransactionStatus.IDLE
        reader.execute("rollback")
        with psycopg.connect(proxy.dsn("developer", shop.name)) as late:
            refused(late, b"begin", prepare=False)
        assert "'never'" not in shop.cluster.log_path.read_text()[start:]
        make_room(proxy)
        # By itself: nobody has to try a statement.
        eventually(lambda: not problems(proxy), 5)
        assert reader.execute("select 'after'", prepare=prepare).fetchone() == (
            "after",
        )
        writer.execute("insert into marks values ('after')", prepare=prepare)
        writer.commit()
    assert shop.fetch("select mark from marks") == [("before",), ("after",)]
    assert len(events(proxy, "audit_unavailable")) == 1
    assert len(events(proxy, "audit_recovered")) == 1
    assert proxy.stop() == 0
    report = verify_folder(proxy.audit_folder)
    assert report.findings == report.notices == []
    records = proxy.records()
    denied = [
        r
        for r in records
        if r["kind"] == "statement" and r.get("rule") == "audit.unavailable"
    ]
    assert len(denied) == 7
    assert metric_of_lost(records) == 0
    starts = [r["session"] for r in records if r["kind"] == "session.start"]
    ends = [r["session"] for r in records if r["kind"] == "session.end"]
    assert sorted(starts) == sorted(ends)


def metric_of_lost(records: list[dict[str, object]]) -> object:
    (recovered,) = [r for r in records if r.get("event") == "recovered"]
    return recovered.get("lost_records", 0)


def has_more(done: list[list[str]], before: int) -> bool:
    return sum(map(len, done)) > before + 50


def test_under_load_every_statement_is_recorded_or_refused(
    start_proxy: StartProxy, shop17: Database
) -> None:
    shop17.execute("create table marks (mark text); grant all on marks to public")
    proxy = start_proxy(shop17.cluster)
    stop = threading.Event()
    done: list[list[str]] = [[] for _ in range(4)]
    states: set[str | None] = set()

    def work(worker: int) -> None:
        dsn = proxy.dsn("migrator", shop17.name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                mark = f"mark_{worker}_{number}"
                try:
                    connection.execute(f"insert into marks values ('{mark}')".encode())
                    done[worker].append(mark)
                except psycopg.Error as error:
                    states.add(error.sqlstate)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = sum(map(len, done))
            eventually(partial(has_more, done, before), 10)
            fill_up(proxy)
            eventually(lambda: problems(proxy))
            make_room(proxy)
            eventually(lambda: not problems(proxy))
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert states == {UNAVAILABLE}
    assert proxy.stop() == 0
    there = {row[0] for row in shop17.fetch("select mark from marks")}
    assert there == {mark for marks in done for mark in marks}
    report = verify_folder(proxy.audit_folder)
    assert report.findings == report.notices == []
    allowed = {
        text.partition("'")[2].partition("'")[0]
        for r in proxy.records()
        if r["kind"] == "statement" and r["decision"] == "allow"
        for text in [r["text"]]
    }
    assert there <= allowed


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = [*IN_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def until_refused(connection: psycopg.Connection) -> int:
    """How many statements ran before one was refused for want of room."""
    for number in range(5_000):
        try:
            connection.execute(f"select {number}, '{'x' * 300}'".encode())
        except psycopg.errors.IoError:
            return number
    pytest.fail("a disk of 256 KiB is never full")


def test_a_full_tmpfs(start_proxy: StartProxy, shop17: Database) -> None:
    if not can_mount():
        pytest.skip("no mount namespace for this user: tmpfs left out")
    proxy = start_proxy(shop17.cluster)
    proxy.stop()
    (proxy.folder / "ready.json").unlink(missing_ok=True)
    folder = proxy.audit_folder
    script = (
        f'mount -t tmpfs -o size=256k,mode=700 tmpfs "{folder}" && '
        f'head -c 150000 /dev/zero > "{folder}/ballast" && exec "$@"'
    )
    proxy.process = children.spawn(
        [*IN_NAMESPACE, "sh", "-c", script, "sh", *serve_command(proxy.settings_path)],
        proxy.log_path,
        environment=os.environ,
    )
    proxy.wait_ready()
    inside = Path(f"/proc/{proxy.pids[0]}/root{folder}")
    with psycopg.connect(
        proxy.dsn("developer", shop17.name), autocommit=True
    ) as connection:
        done = until_refused(connection)
        assert done > 50
        (inside / "ballast").unlink()
        eventually(lambda: not problems(proxy))
        assert connection.execute("select 'after'").fetchone() == ("after",)
    shutil.copytree(inside, proxy.folder / "copy")
    report = verify_folder(proxy.folder / "copy")
    assert report.findings == []
