"""A running `pgwarden serve` before a throw-away cluster.

`guard` and `guard17` are shared by all tests of a process and serve every database, so
that a test brings its own copy of the shop. `start_proxy` is for tests that need
settings of their own, or kill it. Next: `fix_postgres`, `proxy.demo.config`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from proxy.demo import children
from proxy.demo.config import entry_of, people
from proxy.demo.folder import Passwords
from proxy.demo.postgres import url
from proxy.settings import LimitSettings
from proxy.shipped import policy_path
from proxy.store.identities import entry_values
from tests.fix_postgres import Clusters, watch_log

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from proxy.demo.config import Person
    from proxy.demo.postgres import Cluster
    from proxy.demo.roles import Login

HOST = "127.0.0.1"
_START_S = 40.0
Settings = Mapping[str, Any]
UNTHROTTLED = {
    "failed_logins_per_identity": 100_000,
    "failed_logins_per_address": 100_000,
    "failed_logins_per_network": 100_000,
    "failed_login_delay_s": 0.0,
    "unfinished_logins_per_address": 200,
}
"""All tests come from one address. `THROTTLED` is what the settings have by default."""
THROTTLED = {
    name: LimitSettings.model_fields[name].get_default() for name in UNTHROTTLED
}


@dataclass(slots=True)
class Proxy:
    """One `pgwarden serve` and how to reach it."""

    folder: Path
    process: subprocess.Popen[bytes]
    passwords: Passwords = field(repr=False)
    port: int = 0
    admin_port: int = 0
    pids: tuple[int, ...] = ()
    host: str = HOST

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"

    @property
    def log_path(self) -> Path:
        return self.folder / "pgwarden.log"

    @property
    def settings_path(self) -> Path:
        return self.folder / "pgwarden.yaml"

    def user(self, identity: str = "developer") -> str:
        return self._person(identity).user

    def password(self, identity: str = "developer") -> str:
        return self._person(identity).password

    def dsn(self, identity: str = "developer", database: str = "shop") -> str:
        """The URL of `developer`, `migrator` or `auditor`, through the proxy."""
        person = self._person(identity)
        return url(person.user, person.password, self.port, database)

    def records(self) -> list[dict[str, Any]]:
        """Every audit record written so far, of all workers, in file order."""
        return [
            json.loads(line)
            for file in sorted(self.audit_folder.rglob("*.jsonl"))
            for line in whole_lines(file)
        ]

    def wait_ready(self) -> None:
        """Return when it listens; fail with its log if it ends instead."""
        ready = self.folder / "ready.json"
        deadline = time.monotonic() + _START_S
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = children.last_lines(self.log_path, 40)
                pytest.fail(f"pgwarden serve did not start:\n{said}", pytrace=False)
            time.sleep(0.02)
        told = json.loads(ready.read_text("utf-8"))
        self.port = int(told["listen"][0].rpartition(":")[2])
        self.admin_port = int(told["admin"].rpartition(":")[2])
        self.pids = tuple(told["pids"])

    def reload(self) -> None:
        """SIGHUP to the process that was started."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        children.stop(self.process, (signal.SIGTERM, 15.0))
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        for pid in {self.process.pid, *self.pids}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def _person(self, identity: str) -> Person:
        return next(one for one in people(self.passwords) if one.kind == identity)


def whole_lines(file: Path) -> list[str]:
    """Its lines, without one that is being written at this moment."""
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    return whole.decode().split("\n") if whole else []


def identities_document(persons: tuple[Person, ...]) -> str:
    """The same persons in a file, as most tests have them."""
    entries = [entry_values(entry_of(person)) for person in persons]
    return yaml.safe_dump({"version": 1, "identities": entries}, sort_keys=False)


def as_superuser(cluster: Cluster) -> Settings:
    """Settings under which developers are superusers upstream: lock (a), and (b)."""
    password = cluster.plan.work / "password-of-the-superuser"
    password.write_text(cluster.password + "\n")
    password.chmod(0o600)
    login = {"user": cluster.superuser, "password_file": str(password)}
    return {"upstream": {"logins": {"reader": login}}}


class Proxies:
    """Starts proxies and stops them all at the end."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._running: list[Proxy] = []

    def start(
        self,
        cluster: Cluster,
        *,
        policy: Path | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Proxy:
        """Start one in front of `cluster`.

        Args:
            cluster: The upstream.
            policy: Policy file; by default production's, without the doctor's gate:
                these servers have databases that come and go, and strong logins.
            settings: Merged over the settings file, nested sections too.
            environment: Further variables, such as PGWARDEN_LOG__LEVEL.
            wait: Return only when it listens.
        """
        folder = Path(tempfile.mkdtemp(prefix="pgwarden-proxy-"))
        (folder / "audit").mkdir(mode=0o700)
        passwords = Passwords()
        (folder / "identities.yaml").write_text(identities_document(people(passwords)))
        content = self._content(cluster, folder, policy or ungated(folder))
        (folder / "pgwarden.yaml").write_text(
            yaml.safe_dump(merged(content, settings or {}), sort_keys=False)
        )
        watch_log(folder / "pgwarden.log")
        process = children.spawn(
            serve_command(folder / "pgwarden.yaml"),
            folder / "pgwarden.log",
            environment={**_outside(), **(environment or {})},
        )
        proxy = Proxy(folder, process, passwords)
        self._running.append(proxy)
        if wait:
            proxy.wait_ready()
        return proxy

    def stop(self) -> None:
        for proxy in self._running:
            proxy.stop()
            shutil.rmtree(proxy.folder, ignore_errors=True)
        self._running.clear()

    def _content(self, cluster: Cluster, folder: Path, policy: Path) -> dict[str, Any]:
        logins = self._clusters.logins(cluster.major)
        return {
            "listen": [f"{HOST}:0"],
            "admin": f"{HOST}:0",
            "policy": str(policy),
            "identities": str(folder / "identities.yaml"),
            "audit": {"folder": str(folder / "audit")},
            "upstream": {
                "host": cluster.host,
                "port": cluster.port,
                "databases": ["*"],
                "tls": {"mode": "disable"},
                "logins": {
                    "reader": _login(folder, logins.reader),
                    "migrator": _login(folder, logins.migrator),
                },
            },
            "limits": {"drain_timeout_s": 2.0, **UNTHROTTLED},
            "ready_file": str(folder / "ready.json"),
        }


def ungated(folder: Path) -> Path:
    """Production's policy without the gate, in `folder`."""
    path = folder / "production.yaml"
    path.write_text(ungated_text(), "utf-8")
    return path


def ungated_text() -> str:
    """Its text: for tests of something else, whose logins the doctor would not like."""
    text = policy_path("production").read_text("utf-8")
    assert "\n  gate: true\n" in text
    return text.replace("\n  gate: true\n", "\n  gate: false\n")


def serve_command(settings: Path) -> list[str]:
    """The command line of `pgwarden serve`."""
    return [
        *(sys.executable, "-P", "-m", "proxy.cli.main"),
        *("serve", "--config", str(settings)),
    ]


def _outside() -> dict[str, str]:
    """Our environment without what steers the tests: to a server it is unknown."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PGWARDEN_")}


def merged(base: Settings, over: Settings) -> dict[str, Any]:
    """`over` laid on `base`, section by section."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def _login(folder: Path, login: Login) -> dict[str, str]:
    file = folder / f"password-{login.user}"
    file.write_text((login.password or "") + "\n")
    file.chmod(0o600)
    return {"user": login.user, "password_file": str(file)}


StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(clusters: Clusters) -> Iterator[StartProxy]:
    """`Proxies.start`; what it started is stopped after the test."""
    proxies = Proxies(clusters)
    yield proxies.start
    proxies.stop()


@pytest.fixture(scope="session")
def _shared_proxies(clusters: Clusters) -> Iterator[dict[int, Proxy]]:
    proxies = Proxies(clusters)
    yield _Lazy(proxies, clusters)
    proxies.stop()


class _Lazy(dict[int, Proxy]):
    """One shared proxy a major, started when first asked for."""

    def __init__(self, proxies: Proxies, clusters: Clusters) -> None:
        super().__init__()
        self._proxies = proxies
        self._clusters = clusters

    def __missing__(self, major: int) -> Proxy:
        self[major] = self._proxies.start(self._clusters.get(major))
        return self[major]


@pytest.fixture(scope="session")
def guard(postgres: Cluster, _shared_proxies: dict[int, Proxy]) -> Proxy:
    """A shared pgwarden before `postgres`, production policy, every database."""
    return _shared_proxies[postgres.major]


@pytest.fixture(scope="session")
def guard17(postgres17: Cluster, _shared_proxies: dict[int, Proxy]) -> Proxy:
    """A shared pgwarden before `postgres17`, production policy, every database."""
    return _shared_proxies[postgres17.major]
