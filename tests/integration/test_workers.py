"""Several workers under one parent: one port, one set of numbers, one way to cancel."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.wire.messages import SASLInitialResponse
from proxy.wire.startup import StartupMessage
from tests.integration.rig import restart

if TYPE_CHECKING:
    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

WORKERS = 3


def _metrics(proxy: Proxy) -> str:
    with urllib.request.urlopen(f"{proxy.admin_url}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _number(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture
def crowd(start_proxy: StartProxy, postgres17: Cluster) -> Proxy:
    return start_proxy(postgres17, settings={"workers": WORKERS})


def test_sessions_of_all_workers_are_counted_and_recorded(
    crowd: Proxy, shop17: Database
) -> None:
    dsn = crowd.dsn("developer", shop17.name)
    sessions = 12
    with ExitStack() as stack:
        for _ in range(sessions):
            connection = stack.enter_context(psycopg.connect(dsn, autocommit=True))
            assert connection.execute("select 1").fetchone() == (1,)
        numbers = _metrics(crowd)
    assert _number(numbers, "pgwarden_workers") == WORKERS
    assert _number(numbers, 'pgwarden_sessions_open{role="developer"}') == sessions
    statements = (
        'pgwarden_statements_total{decision="allow",kind="read",role="developer"}'
    )
    assert _number(numbers, statements) == sessions
    files = list(crowd.audit_folder.glob("audit-*.jsonl"))
    assert len(files) == WORKERS
    assert len(crowd.pids) == WORKERS + 1


def test_a_cancel_reaches_the_worker_that_runs_the_statement(
    crowd: Proxy, shop17: Database
) -> None:
    dsn = crowd.dsn("developer", shop17.name)
    for _ in range(8):
        with psycopg.connect(dsn, autocommit=True) as connection:
            timer = threading.Timer(0.3, connection.cancel_safe)
            timer.start()
            started = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(
                    "select count(*) from generate_series(1, 10000000000)"
                )
            timer.join()
            assert time.monotonic() - started < 10


def test_a_worker_that_dies_is_replaced(crowd: Proxy, shop17: Database) -> None:
    dsn = crowd.dsn("developer", shop17.name)
    os.kill(crowd.pids[1], signal.SIGKILL)
    deadline = time.monotonic() + 15
    while _number(_metrics(crowd), "pgwarden_workers") < WORKERS:
        assert time.monotonic() < deadline, "no new worker within 15 s"
        time.sleep(0.2)
    for _ in range(6):
        with psycopg.connect(dsn) as connection:
            connection.execute("select 1")


def test_an_unknown_name_has_one_salt_at_every_worker(crowd: Proxy) -> None:
    salts = {_first_salt(crowd, "nobody-of-that-name") for _ in range(12)}
    assert len(salts) == 1


def _first_salt(proxy: Proxy, user: str) -> bytes:
    """The salt in the server's first SCRAM message."""
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as client:
        client.sendall(StartupMessage(0, {"user": user, "database": "shop"}).encode())
        client.recv(1024)
        first = b"n,,n=,r=abcdefghijklmnopqrstuvwx"
        client.sendall(SASLInitialResponse("SCRAM-SHA-256", first).encode())
        answer = client.recv(1024)
    found = re.search(rb",s=([^,]+),", answer)
    assert found is not None, answer
    return found[1]


def test_no_worker_outlives_its_parent(crowd: Proxy) -> None:
    os.kill(crowd.process.pid, signal.SIGKILL)
    crowd.process.wait()
    deadline = time.monotonic() + 15
    while any(_is_alive(pid) for pid in crowd.pids[1:]):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("store", [False, True])
def test_an_unknown_name_has_one_salt_over_restarts(
    start_proxy: StartProxy, postgres17: Cluster, tmp_path: Path, *, store: bool
) -> None:
    """Another one would tell it from the known ones, whose salt stays."""
    kept = {"store": {"url": f"sqlite:///{tmp_path}/store.db"}} if store else {}
    proxy = start_proxy(postgres17, settings=kept)
    names = ("nobody-of-that-name", proxy.user("developer"))
    before = [_first_salt(proxy, name) for name in names]
    proxy.stop()
    restart(proxy)
    assert [_first_salt(proxy, name) for name in names] == before
    assert before[0] != before[1]
