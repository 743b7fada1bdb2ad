"""The doctor where each identity has a role of its own: every one is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.fix_postgres import run
from tests.fix_proxy import merged
from tests.integration.test_upstream_roles import Folder, folder, server

if TYPE_CHECKING:
    from proxy.demo.postgres import Cluster

__all__ = ["folder", "server"]
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


def report(folder: Folder, server: Cluster) -> tuple[int, dict[str, Any]]:
    """Exit status and findings of `pgwarden doctor --json`."""
    content = {
        "listen": ["127.0.0.1:0"],
        "policy": str(folder.policy),
        "audit": {"folder": str(folder.path / "audit")},
        "upstream": {
            "host": server.host,
            "port": server.port,
            "databases": ["app"],
            "tls": {"mode": "disable"},
            "catalog": {"login": "migrator"},
        },
    }
    file = folder.path / "pgwarden.yaml"
    settings = merged(content, folder.settings(is_personal=True))
    file.write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "proxy.cli.main", "doctor", "--json"),
            *("--config", str(file)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("PG")},
    )
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def of(told: dict[str, Any], finding: str) -> dict[str, dict[str, Any]]:
    """Findings of a kind by the role they are about."""
    return {
        each["user"]: each for each in told["findings"] if each["finding"] == finding
    }


def test_each_identity_is_looked_at(folder: Folder, server: Cluster) -> None:
    status, told = report(folder, server)
    assert status == 0
    looked = {each["user"]: each["databases"] for each in told["logins"]}
    assert looked == {
        "pgw_ana": ["app"],
        "pgw_bob": ["app"],
        "pgwarden_migrator": ["app"],
    }
    assert of(told, "writes-relations").keys() <= {"pgwarden_migrator"}


def test_what_one_of_them_may_is_told_of_that_one(
    folder: Folder, server: Cluster
) -> None:
    run(server.dsn("app"), "GRANT INSERT ON things TO pgw_bob")
    try:
        status, told = report(folder, server)
        assert status == 1
        for kind in ("writes-relations", "lock-c"):
            found = of(told, kind)
            assert found.keys() - {"pgwarden_migrator"} == {"pgw_bob"}
            assert found["pgw_bob"]["severity"] == "critical"
        for statement in of(told, "writes-relations")["pgw_bob"]["sql"]:
            run(server.dsn("app"), statement)
        assert report(folder, server)[0] == 0
    finally:
        run(server.dsn("app"), "REVOKE INSERT ON things FROM pgw_bob")


def test_what_the_shared_role_may_is_told_of_all(
    folder: Folder, server: Cluster
) -> None:
    run(server.dsn("app"), "GRANT DELETE ON things TO pgwarden_reader")
    try:
        status, told = report(folder, server)
        assert status == 1
        found = of(told, "writes-relations")
        assert found.keys() - {"pgwarden_migrator"} == {"pgw_ana", "pgw_bob"}
    finally:
        run(server.dsn("app"), "REVOKE DELETE ON things FROM pgwarden_reader")


def test_a_role_that_is_missing_keeps_out_only_its_own(
    folder: Folder, server: Cluster
) -> None:
    folder.write_identities("ana", "carl")
    (folder.path / "secrets" / "carl").write_text("of carl\n")
    status, told = report(folder, server)
    assert status == 0
    assert of(told, "no-access").keys() == {"pgw_carl"}
    looked = {each["user"]: each["databases"] for each in told["logins"]}
    assert looked == {"pgw_ana": ["app"], "pgw_carl": [], "pgwarden_migrator": ["app"]}
