"""Told to stop: idle sessions go at once, a running statement may finish, exit 0."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from typing_extensions import override

from proxy.audit.verify import verify_folder
from tests.integration.rig import ENDLESS, Raw, backends, eventually, metric

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns]

BRIEF = "select count(*) from generate_series(1, {})"


class Running(threading.Thread):
    """A session in the middle of a statement."""

    def __init__(self, proxy: Proxy, database: str, text: str) -> None:
        super().__init__()
        self.connection = psycopg.connect(
            proxy.dsn("developer", database), autocommit=True
        )
        self._text = text
        self.answer: object = None
        self.sqlstate: str | None = None

    @override
    def run(self) -> None:
        try:
            self.answer = self.connection.execute(self._text.encode()).fetchone()
        except psycopg.Error as error:
            self.sqlstate = error.sqlstate


def active(shop: Database) -> int:
    found = shop.fetch(
        "select count(*) from pg_stat_activity where state = 'active' "
        f"and datname = '{shop.name}' and pid <> pg_backend_pid()"
    )
    return int(found[0][0])


def rows_for(seconds: float, shop: Database) -> int:
    """So many rows of generate_series take about so long here."""
    started = time.monotonic()
    shop.fetch(BRIEF.format(1_000_000))
    return int(seconds / (time.monotonic() - started) * 1_000_000)


def test_drain(start_proxy: StartProxy, shop: Database) -> None:
    drain(start_proxy, shop, signal.SIGTERM)


def test_drain_on_ctrl_c(start_proxy: StartProxy, shop17: Database) -> None:
    drain(start_proxy, shop17, signal.SIGINT)


def drain(start_proxy: StartProxy, shop: Database, number: signal.Signals) -> None:
    proxy = start_proxy(shop.cluster, settings={"limits": {"drain_timeout_s": 20.0}})
    idle = Raw(proxy.dsn("developer", shop.name))
    busy = Running(proxy, shop.name, BRIEF.format(rows_for(1.5, shop)))
    busy.start()
    eventually(lambda: active(shop) == 1)
    proxy.process.send_signal(number)
    started = time.monotonic()
    said = idle.rest()
    assert b"C57P01\0" in said
    assert b"SFATAL\0" in said
    assert time.monotonic() - started < 1.0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), 1).close()
    assert active(shop) == 1
    busy.join(15)
    assert busy.answer is not None, busy.sqlstate
    assert proxy.process.wait(10) == 0
    assert not backends(shop)
    report = verify_folder(proxy.audit_folder)
    assert report.findings == report.notices == []
    ends = [r["reason"] for r in proxy.records() if r["kind"] == "session.end"]
    assert ends == ["pgwarden shut down"] * 2
    assert not (proxy.folder / "ready.json").exists()
    idle.socket.close()
    busy.connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_statement_that_runs_too_long_is_cancelled(
    start_proxy: StartProxy, shop17: Database, workers: int
) -> None:
    proxy = start_proxy(
        shop17.cluster,
        settings={"workers": workers, "limits": {"drain_timeout_s": 0.5}},
    )
    busy = Running(proxy, shop17.name, ENDLESS)
    busy.start()
    eventually(lambda: active(shop17) == 1)
    proxy.process.terminate()
    busy.join(10)
    assert busy.sqlstate == "57P01"
    assert proxy.process.wait(10) == 0
    assert not backends(shop17)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_does_not_wait(
    start_proxy: StartProxy, shop17: Database, workers: int
) -> None:
    proxy = start_proxy(
        shop17.cluster,
        settings={"workers": workers, "limits": {"drain_timeout_s": 600.0}},
    )
    busy = Running(proxy, shop17.name, ENDLESS)
    busy.start()
    eventually(lambda: active(shop17) == 1)
    proxy.process.terminate()
    time.sleep(0.5)
    assert proxy.process.poll() is None
    started = time.monotonic()
    proxy.process.terminate()
    busy.join(10)
    assert busy.sqlstate == "57P01"
    assert proxy.process.wait(10) == 0
    assert time.monotonic() - started < 5.0
    assert not backends(shop17)


def test_who_is_not_in_yet_is_sent_away(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(shop17.cluster)
    with (
        socket.create_connection((proxy.host, proxy.port)) as silent,
        socket.create_connection((proxy.host, proxy.port)) as begun,
    ):
        begun.sendall(b"\0\0\0\x10")
        time.sleep(0.2)
        proxy.process.terminate()
        silent.settimeout(5)
        begun.settimeout(5)
        assert silent.recv(100) == b""
        assert begun.recv(1000)[:1] in {b"E", b""}
        assert proxy.process.wait(10) == 0


def test_an_open_transaction_is_ended_when_the_time_is_up(
    start_proxy: StartProxy, shop17: Database
) -> None:
    shop17.execute("create table marks (n int); grant all on marks to public")
    proxy = start_proxy(shop17.cluster, settings={"limits": {"drain_timeout_s": 0.5}})
    with Raw(proxy.dsn("migrator", shop17.name)) as raw:
        raw.send(b"Q\0\0\0\x0abegin\0")
        eventually(
            lambda: metric(
                proxy,
                'pgwarden_statement_outcomes_total{role="migrator",status="ok"}',
            )
        )
        proxy.process.terminate()
        assert b"C57P01\0" in raw.rest()
    assert proxy.process.wait(10) == 0
