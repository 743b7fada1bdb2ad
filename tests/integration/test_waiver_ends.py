"""A waiver's last day passes while `pgwarden serve` runs: an alarm, and no outage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.demo import children
from tests.fix_postgres import bin_dir, furnish, new_cluster
from tests.fix_proxy import serve_command
from tests.integration.rig import events, eventually, metric, problems, warnings
from tests.integration.test_gate import ONLY_SHOP, make_strong, policy_with, waiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

LATER = Path(__file__).with_name("later.py")
FINDINGS = "pgwarden_doctor_critical_findings"


@pytest.fixture
def strong(clusters: Clusters) -> Iterator[Cluster]:
    """A server whose reader is a superuser, which its DBA must answer for."""
    cluster = new_cluster(bin_dir(17))
    try:
        cluster.start()
        furnish(cluster, clusters.logins(17))
        make_strong(cluster, clusters)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def living_later(proxy: Proxy, days: Path) -> list[str]:
    """Its command, for a doctor whose clock is ahead."""
    python, _, _, _, *rest = serve_command(proxy.settings_path)
    return [python, "-P", str(LATER), str(days), *rest]


def test_a_waivers_last_day_passes(
    start_proxy: StartProxy, strong: Cluster, tmp_path: Path
) -> None:
    policy = policy_with(tmp_path, waiver(3), waiver(9, "lock-c"))
    days = tmp_path / "days"
    days.write_text("0")
    proxy = start_proxy(strong, policy=policy, settings=ONLY_SHOP, wait=False)
    proxy.kill()
    (proxy.folder / "ready.json").unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = living_later(proxy, days)
    proxy.process = children.spawn(command, proxy.log_path, environment=environment)
    proxy.wait_ready()
    eventually(lambda: not problems(proxy), 15)
    assert {each["finding"] for each in events(proxy, "finding_waived")} == {
        "superuser",
        "lock-c",
    }
    with psycopg.connect(proxy.dsn("developer"), autocommit=True) as before:
        days.write_text("4")
        eventually(lambda: events(proxy, "critical_findings"), 15)
        (told,) = events(proxy, "critical_findings")
        assert "superuser: login reader" in told["problem"]
        assert 'the waiver of "superuser" ended' in told["problem"]
        assert "lock-c" not in told["problem"]
        eventually(lambda: metric(proxy, FINDINGS) == 1)
        assert "critical findings" in warnings(proxy)[0]
        # Nobody is let down: who is in stays, and others come.
        assert not problems(proxy)
        before.execute("select 1")
        psycopg.connect(proxy.dsn("developer")).close()
        # But so it would not start.
        checked = subprocess.run(
            [*command, "--check"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )
        assert checked.returncode == 2
        assert 'the waiver of "superuser" ended' in checked.stderr
        # Somebody answers for it again.
        policy_with(tmp_path, waiver(9), waiver(9, "lock-c"))
        proxy.reload()
        eventually(lambda: not warnings(proxy), 30)
        eventually(lambda: not problems(proxy), 30)
        assert metric(proxy, FINDINGS) == 0
        before.execute("select 1")
        psycopg.connect(proxy.dsn("developer")).close()
