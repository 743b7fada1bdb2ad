"""Postgres goes and comes back: clear errors, no socket left open, then as before."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from typing_extensions import override

from tests.fix_postgres import MAJORS, bin_dir, create_shop, new_cluster, run
from tests.integration.rig import ENDLESS, events, eventually, metric, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres


@pytest.fixture(params=[17], ids=lambda major: f"pg{major}")
def mortal(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Cluster]:
    """A cluster of the test's own with a `shop`, and the shared clusters' logins."""
    cluster = new_cluster(bin_dir(request.param))
    cluster.start()
    try:
        logins = clusters.logins(request.param)
        for login in (logins.reader, logins.migrator):
            run(
                cluster.dsn(),
                f"create role {login.user} login password '{login.password}'",
            )
        create_shop(cluster, logins, "shop")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


class Client(threading.Thread):
    """A client in the middle of a statement when the server goes."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._connection = psycopg.connect(proxy.dsn("developer"), autocommit=True)
        self.sqlstate: str | None = "not run"
        self.text = ""

    @override
    def run(self) -> None:
        with contextlib.closing(self._connection):
            try:
                self._connection.execute(ENDLESS)
            except psycopg.Error as error:
                self.sqlstate = error.sqlstate
                self.text = str(error)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("mortal", "how"),
    [
        *((major, signal.SIGQUIT) for major in MAJORS),
        (17, signal.SIGINT),
    ],
    indirect=["mortal"],
)
def test_postgres_goes_and_comes_back(
    start_proxy: StartProxy,
    mortal: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    proxy = start_proxy(mortal)
    eventually(lambda: not problems(proxy))
    port = mortal.port
    idle = psycopg.connect(proxy.dsn("developer"), autocommit=True)
    idle.execute("select 1")
    clients = [Client(proxy) for _ in range(4)]
    for client in clients:
        client.start()
    eventually(lambda: metric(proxy, 'pgwarden_sessions_open{role="developer"}') == 5)
    assert mortal.process is not None
    mortal.process.send_signal(how)
    for client in clients:
        client.join(10)
        assert not client.is_alive(), "a client hangs"
        assert client.sqlstate in {"57P01", "57P02", "08006"}, client.text
    eventually(lambda: metric(proxy, 'pgwarden_sessions_open{role="developer"}') == 0)
    with pytest.raises(psycopg.OperationalError) as lost:
        idle.execute("select 1")
    assert lost.value.sqlstate in {"57P01", "57P02", "08006"}, str(lost.value)
    idle.close()
    mortal.process.wait(10)
    with pytest.raises(psycopg.OperationalError, match="can't reach the database"):
        psycopg.connect(proxy.dsn("developer"))
    eventually(lambda: problems(proxy) == ["the database can't be reached"])
    eventually(lambda: metric(proxy, "pgwarden_upstream_connections_open") == 0)
    mortal.stop()
    # pgwarden knows the old port.
    monkeypatch.setattr("proxy.demo.postgres.free_port", lambda: port)
    mortal.start()
    with psycopg.connect(proxy.dsn("developer")) as again:
        assert again.execute("select count(*) from customers").fetchone() == (1000,)
    eventually(lambda: not problems(proxy))
    first = events(proxy, "upstream_problem")[0]
    assert first["problem"] == "the database can't be reached"
    assert events(proxy, "upstream_is_back")
    assert not events(proxy, "task_failed")
    assert proxy.stop() == 0


@pytest.mark.timeout(60)
def test_a_backend_crashes(start_proxy: StartProxy, mortal: Cluster) -> None:
    """Postgres then ends every other backend too, and starts itself again."""
    proxy = start_proxy(mortal)
    clients = [Client(proxy) for _ in range(3)]
    for client in clients:
        client.start()
    with psycopg.connect(mortal.dsn(), autocommit=True) as admin:
        found = (
            "select pid from pg_stat_activity "
            "where state = 'active' and datname = 'shop'"
        )
        eventually(lambda: len(admin.execute(found).fetchall()) == 3)
        row = admin.execute(found).fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGKILL)
    for client in clients:
        client.join(10)
        assert not client.is_alive(), "a client hangs"
        assert client.sqlstate in {"57P02", "08006"}, client.text

    said: set[str] = set()

    def gets_in() -> bool:
        try:
            with psycopg.connect(proxy.dsn("developer")) as again:
                return bool(again.execute("select 1").fetchone())
        except psycopg.OperationalError as error:
            said.add(str(error).partition("FATAL:  ")[2].partition("\n")[0])
            return False

    eventually(gets_in, 15)
    assert said <= {
        "the database is not accepting connections now",
        "pgwarden can't reach the database",
    }
    assert proxy.stop() == 0


def test_wrong_upstream_password(
    start_proxy: StartProxy, clusters: Clusters, postgres17: Cluster
) -> None:
    proxy = start_proxy(postgres17, wait=False)
    reader = clusters.logins(17).reader
    login, password = reader.user, reader.password or ""
    # Before it is read: the settings file is written, Python is still starting.
    (proxy.folder / f"password-{login}").write_text("wrong\n")
    proxy.wait_ready()
    said = ["the database refuses pgwarden's own login"]
    eventually(lambda: problems(proxy) == said)
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(proxy.dsn("developer", "template1"))
    assert "refused pgwarden's own login" in str(refused.value)
    assert login not in str(refused.value)
    (told,) = [e for e in events(proxy, "upstream_problem") if e["login"] == "reader"]
    assert "password authentication failed" in told["note"]
    # The right one is taken without a restart.
    (proxy.folder / f"password-{login}").write_text(password)
    proxy.reload()
    eventually(lambda: not problems(proxy))
