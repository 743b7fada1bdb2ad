"""Fixtures of the client tests: Node's packages, a Prisma project, bolder upstreams.

Next: `tests.clients.npm`, `tests.clients.prisma_project`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.shipped import policy_path
from tests.clients import npm
from tests.clients.prisma_project import PrismaProject
from tests.fix_proxy import Proxies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where the Node clients are installed."""
    return npm.node_modules()


@pytest.fixture
def prisma(node_modules: Path, tmp_path: Path) -> PrismaProject:
    """A project of one test, with the shop's schema and its migrations."""
    return PrismaProject.create(tmp_path / "project", node_modules)


@pytest.fixture(scope="session")
def lone_guard(
    clusters: Clusters,
    postgres17: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """Production's policy, and upstream logins that may do everything.

    Behind it nothing but the proxy's own decision stands between a statement and the
    data: both upstream logins are the superuser.
    """
    password = tmp_path_factory.mktemp("lone") / "password"
    password.write_text(postgres17.password)
    password.chmod(0o600)
    login = {"user": postgres17.superuser, "password_file": str(password)}
    logins = {"reader": login, "migrator": login}
    proxies = Proxies(clusters)
    yield proxies.start(postgres17, settings={"upstream": {"logins": logins}})
    proxies.stop()


@pytest.fixture(scope="session")
def staging_guard(clusters: Clusters, postgres17: Cluster) -> Iterator[Proxy]:
    """A proxy with staging's policy."""
    proxies = Proxies(clusters)
    yield proxies.start(postgres17, policy=policy_path("staging"))
    proxies.stop()
