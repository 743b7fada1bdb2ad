"""Fixtures of the client tests: Node's packages, Prisma, bolder upstreams, an issuer.

Next: `tests.clients.npm`, `tests.clients.prisma_project`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.shipped import policy_path
from tests.clients import npm
from tests.clients.issuer import start_issuer
from tests.clients.prisma_project import PrismaProject
from tests.clients.token_rig import guarded
from tests.fix_proxy import Proxies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.clients.issuer import RealIssuer
    from tests.clients.token_rig import Guard
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


@pytest.fixture(scope="session")
def real_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealIssuer]:
    """A real issuer on loopback; whoever stops it starts it again."""
    issuer = start_issuer(tmp_path_factory.mktemp("issuer"))
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module")
def token_guard(
    clusters: Clusters,
    real_issuer: RealIssuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guard]:
    """A pgwarden that takes its tokens; the shared ones take none.

    A file's own: of many refusals within a minute its log tells the first alone.
    """
    with guarded(clusters, real_issuer, tmp_path_factory.mktemp("tokens")) as found:
        yield found
