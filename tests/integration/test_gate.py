"""`pgwarden serve` and the doctor: refused, waived, expired, waiting, opened again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.demo.postgres import free_port
from proxy.shipped import policy_path
from tests.fix_postgres import bin_dir, furnish, new_cluster, run
from tests.fix_proxy import serve_command
from tests.integration.rig import events, eventually, metric, problems, warnings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

ONLY_SHOP = {"upstream": {"databases": ["shop"]}}
PRODUCTION = policy_path("production")
STANDING = "critical findings of the doctor stand"


@pytest.fixture
def mortal(clusters: Clusters) -> Iterator[Cluster]:
    """A cluster of the test's own with a `shop`, and the shared clusters' logins."""
    cluster = new_cluster(bin_dir(17))
    cluster.start()
    try:
        logins = clusters.logins(17)
        furnish(cluster, logins)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def policy_with(folder: Path, *waivers: str) -> Path:
    text = PRODUCTION.read_text().replace(
        "\n  gate: true\n",
        "\n  gate: true\n  waive:\n" + "".join(f"    - {each}\n" for each in waivers),
    )
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def waiver(days: int, finding: str = "superuser") -> str:
    until = (datetime.now(UTC) + timedelta(days=days)).date()
    return f"{{finding: {finding}, login: reader, until: {until}, reason: a test}}"


def started(proxy: Proxy, *more: str) -> subprocess.CompletedProcess[str]:
    """`pgwarden serve` on the proxy's settings, until it ends by itself."""
    return subprocess.run(
        [*serve_command(proxy.settings_path), *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )


def make_strong(cluster: Cluster, clusters: Clusters, word: str = "SUPERUSER") -> None:
    run(cluster.dsn(), f"ALTER ROLE {clusters.logins(17).reader.user} {word}")


def test_production_serves_with_the_right_roles(
    start_proxy: StartProxy, mortal: Cluster
) -> None:
    proxy = start_proxy(mortal, policy=PRODUCTION, settings=ONLY_SHOP)
    eventually(lambda: not problems(proxy))
    with psycopg.connect(proxy.dsn("developer")) as developer:
        developer.execute("select 1")
    assert not events(proxy, "gate_is_closed")
    checked = started(proxy, "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "can be used" in checked.stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_a_critical_finding_refuses_the_start(
    start_proxy: StartProxy, mortal: Cluster, clusters: Clusters, workers: int
) -> None:
    proxy = start_proxy(
        mortal, policy=PRODUCTION, settings=ONLY_SHOP | {"workers": workers}
    )
    assert proxy.stop() == 0
    files = sorted(proxy.audit_folder.rglob("*.jsonl"))
    make_strong(mortal, clusters)
    for more in ((), ("--check",)):
        ended = started(proxy, *more)
        assert ended.returncode == 2
        assert ended.stderr.startswith(
            "pgwarden: critical findings of the doctor stand, so this is not served\n"
            "pgwarden: superuser: login reader (pgwarden_reader): "
        )
        assert "hint: `pgwarden doctor`" in ended.stderr
        assert "can be used" not in ended.stdout
    # Nobody could come in, and nothing was begun.
    assert sorted(proxy.audit_folder.rglob("*.jsonl")) == files
    make_strong(mortal, clusters, "NOSUPERUSER")
    assert started(proxy, "--check").returncode == 0


def test_waived_by_name_until_it_ends(
    start_proxy: StartProxy, mortal: Cluster, clusters: Clusters, tmp_path: Path
) -> None:
    make_strong(mortal, clusters)
    policy = policy_with(tmp_path, waiver(3), waiver(3, "lock-c"))
    proxy = start_proxy(mortal, policy=policy, settings=ONLY_SHOP)
    with psycopg.connect(proxy.dsn("developer")) as developer:
        developer.execute("select 1")
    told = {each["finding"] for each in events(proxy, "finding_waived")}
    assert told == {"superuser", "lock-c"}
    assert proxy.stop() == 0
    for first, said in (
        (waiver(-1), 'the waiver of "superuser" ended'),
        (waiver(400), "more than a year is none"),
        (waiver(3, "createrole"), "superuser: login reader"),
        (waiver(3).replace("reader", "migrator"), "superuser: login reader"),
        (waiver(3, "superusr"), 'no finding "superusr"; did you mean "superuser"?'),
    ):
        policy_with(tmp_path, first, waiver(3, "lock-c"))
        ended = started(proxy)
        assert ended.returncode == 2
        assert said in ended.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_is_down_at_the_start(
    start_proxy: StartProxy,
    mortal: Cluster,
    clusters: Clusters,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    """It starts, is not ready, lets nobody in; looks as soon as there is a database."""
    make_strong(mortal, clusters)
    port = mortal.port
    mortal.stop()
    proxy = start_proxy(
        mortal,
        policy=PRODUCTION,
        settings=ONLY_SHOP | {"workers": workers},
    )
    unexamined = "pgwarden's own logins to the database are not examined yet"
    assert unexamined in problems(proxy)
    with pytest.raises(psycopg.OperationalError, match="does not serve now"):
        psycopg.connect(proxy.dsn("developer"))
    monkeypatch.setattr("proxy.demo.postgres.free_port", lambda: port)
    mortal.start()
    eventually(lambda: problems(proxy) == [STANDING], 15)
    with pytest.raises(psycopg.OperationalError, match=STANDING) as refused:
        psycopg.connect(proxy.dsn("developer"))
    assert "superuser" not in str(refused.value)
    assert any(
        "superuser" in each["problem"] for each in events(proxy, "gate_is_closed")
    )
    # Mended, it opens by itself.
    make_strong(mortal, clusters, "NOSUPERUSER")
    eventually(lambda: not problems(proxy), 30)
    with psycopg.connect(proxy.dsn("developer")) as developer:
        developer.execute("select 1")
    assert len(events(proxy, "gate_is_open")) == workers
    assert proxy.stop() == 0


def test_a_changed_policy_is_examined_first(
    start_proxy: StartProxy, mortal: Cluster, clusters: Clusters, tmp_path: Path
) -> None:
    """A reload must not be the way round the gate."""
    make_strong(mortal, clusters)
    policy = policy_with(tmp_path, waiver(3), waiver(3, "lock-c"))
    proxy = start_proxy(mortal, policy=policy, settings=ONLY_SHOP)
    eventually(lambda: not problems(proxy))
    with psycopg.connect(proxy.dsn("developer"), autocommit=True) as before:
        policy_with(tmp_path, waiver(-1), waiver(3, "lock-c"))
        proxy.reload()
        eventually(lambda: problems(proxy) == [STANDING], 15)
        with pytest.raises(psycopg.OperationalError, match="does not serve now"):
            psycopg.connect(proxy.dsn("developer"))
        before.execute("select 1")  # who is in stays in
    assert 'the waiver of "superuser" ended' in str(events(proxy, "gate_is_closed"))
    policy_with(tmp_path, waiver(4), waiver(3, "lock-c"))
    proxy.reload()
    eventually(lambda: not problems(proxy), 30)
    psycopg.connect(proxy.dsn("developer")).close()


def test_a_server_that_hangs_at_the_start_does_not_hang_the_start(
    start_proxy: StartProxy, mortal: Cluster
) -> None:
    """The upstream's time-out counts; then it starts, closed."""
    proxy = start_proxy(
        mortal,
        policy=PRODUCTION,
        settings={"upstream": {"host": "10.255.255.1", "connect_timeout_s": 1.0}},
    )
    assert events(proxy, "gate_is_closed")
    assert proxy.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_grant_alarms_and_lets_nobody_down(
    start_proxy: StartProxy, mortal: Cluster, clusters: Clusters, workers: int
) -> None:
    """A slip of a DBA's must not be an outage."""
    settings = {
        "upstream": {"databases": ["shop"], "examine_every_s": 1},
        "workers": workers,
    }
    proxy = start_proxy(mortal, policy=PRODUCTION, settings=settings)
    eventually(lambda: not problems(proxy))
    reader = clusters.logins(17).reader.user
    with psycopg.connect(proxy.dsn("developer"), autocommit=True) as before:
        run(mortal.dsn("shop"), f"GRANT DELETE ON customers TO {reader}")
        eventually(lambda: len(events(proxy, "critical_findings")) == workers, 20)
        assert "writes-relations" in str(events(proxy, "critical_findings"))
        eventually(lambda: metric(proxy, "pgwarden_doctor_critical_findings") >= 1, 10)
        assert "critical findings" in warnings(proxy)[0]
        assert "writes-relations" not in warnings(proxy)[0]
        assert not problems(proxy)
        before.execute("select 1")
        psycopg.connect(proxy.dsn("developer")).close()
    # It tells once, and would not start so.
    assert len(events(proxy, "critical_findings")) == workers
    assert started(proxy, "--check").returncode == 2
    run(mortal.dsn("shop"), f"REVOKE DELETE ON customers FROM {reader}")
    proxy.reload()
    eventually(lambda: not warnings(proxy), 30)
    assert metric(proxy, "pgwarden_doctor_critical_findings") == 0
    assert len(events(proxy, "critical_findings_are_gone")) == workers


def test_a_port_that_is_taken_is_told_before_the_database_is_asked(
    start_proxy: StartProxy, mortal: Cluster
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        proxy = start_proxy(
            mortal,
            policy=PRODUCTION,
            settings={
                "listen": [address],
                "upstream": {"host": "10.255.255.1", "connect_timeout_s": 15.0},
            },
            wait=False,
        )
        assert proxy.process.wait(10) == 2
    said = proxy.log_path.read_text()
    assert address in said
    assert "gate_is_closed" not in said


def test_who_connects_while_it_starts_waits(
    start_proxy: StartProxy, mortal: Cluster
) -> None:
    port = free_port()
    proxy = start_proxy(
        mortal,
        policy=PRODUCTION,
        settings={
            "listen": [f"127.0.0.1:{port}"],
            "upstream": {"host": "10.255.255.1", "connect_timeout_s": 4.0},
        },
        wait=False,
    )

    def is_bound() -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return True
        return False

    eventually(is_bound, 20)
    assert not (proxy.folder / "ready.json").exists()
    proxy.port = port
    with pytest.raises(psycopg.OperationalError, match="does not serve now"):
        psycopg.connect(proxy.dsn("developer"), connect_timeout=25)
