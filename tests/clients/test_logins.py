"""Every way to log in by node-postgres, Prisma and pgjdbc, over TLS, right and wrong.

libpq's clients and asyncpg are in tests/integration (test_channel_binding.py,
test_client_certificates.py); the table is in docs/reference/protocol.md.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.clients import maven
from tests.clients.tools import bare_environment, program, run
from tests.fix_postgres import TEMPLATE
from tests.fix_proxy import Proxies
from tests.integration.certified import DEPLOY, Door, open_door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.demo.postgres import Cluster
    from tests.authority import Issued
    from tests.clients.prisma_project import PrismaProject
    from tests.fix_postgres import Clusters

    LogIn = Callable[[str, str, bool, Issued | None], str]

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def door(
    clusters: Clusters, postgres17: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    proxies = Proxies(clusters)
    yield open_door(proxies, postgres17, tmp_path_factory.mktemp("door"))
    proxies.stop()


def wish(
    door: Door, user: str, password: str, binds: bool, shown: Issued | None
) -> str:
    """What the Node scripts read from LOGIN."""
    values: dict[str, Any] = {
        "host": door.proxy.host,
        "port": door.proxy.port,
        "user": user,
        "password": password,
        "database": TEMPLATE,
        "binds": binds,
    }
    if shown is not None:
        values |= {"cert": str(shown.path), "key": str(shown.key)}
    return json.dumps(values)


@pytest.fixture
def node_postgres(door: Door, node_modules: Path, tmp_path: Path) -> LogIn:
    script = shutil.copy(_HERE / "node" / "login.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)

    def log_in(user: str, password: str, binds: bool, shown: Issued | None) -> str:
        login = wish(door, user, password, binds, shown)
        environment = {**bare_environment(), "LOGIN": login}
        done = run([program("node"), script], environment=environment, cwd=tmp_path)
        return done.ok().out.strip()

    return log_in


@pytest.fixture
def prisma_client(door: Door, prisma: PrismaProject) -> LogIn:
    shutil.copy(_HERE / "prisma" / "login.mjs", prisma.folder)
    prisma.cli("postgresql://nobody@localhost/nothing", "generate").ok()

    def log_in(user: str, password: str, binds: bool, shown: Issued | None) -> str:
        login = wish(door, user, password, binds, shown)
        environment = {**bare_environment(), "LOGIN": login}
        done = run(
            [program("node"), "login.mjs"], environment=environment, cwd=prisma.folder
        )
        return done.ok().out.strip()

    return log_in


@pytest.fixture
def pgjdbc(door: Door) -> LogIn:
    def log_in(user: str, password: str, binds: bool, shown: Issued | None) -> str:
        proxy = door.proxy
        properties = {
            "url": f"jdbc:postgresql://{proxy.host}:{proxy.port}/{TEMPLATE}",
            "user": user,
            "password": password,
            "sslmode": "require",
            "channelBinding": "require" if binds else "disable",
        }
        if shown is not None:
            properties |= {"sslcert": str(shown.path), "sslkey": str(pkcs8(shown))}
        return maven.log_in(properties)

    return log_in


def pkcs8(issued: Issued) -> Path:
    """The key in the form that every pgjdbc reads."""
    key = load_pem_private_key(issued.key.read_bytes(), None)
    path = issued.key.with_suffix(".pk8")
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


DRIVERS = ("node_postgres", "prisma_client", "pgjdbc")


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_way_right_and_wrong(
    request: pytest.FixtureRequest, door: Door, driver: str
) -> None:
    log_in: LogIn = request.getfixturevalue(driver)

    def how() -> str:
        starts = [r for r in door.proxy.records() if r["kind"] == "session.start"]
        return str(starts[-1]["authentication"])

    def is_in(user: str, password: str, binds: bool, shown: Issued | None) -> str:
        assert log_in(user, password, binds, shown) == "ok"
        return how()

    assert is_in("dev", "right", False, None) == "scram-sha-256"
    assert is_in("dev", "right", True, None) == "scram-sha-256-plus"
    assert is_in("bound", "right", True, None) == "scram-sha-256-plus"
    assert is_in("deploy", "", False, door.deploy()) == "certificate"
    both = door.both()
    assert is_in("both", "right", True, both) == "certificate+scram-sha-256-plus"

    wrong = 'password authentication failed for user "{}"'
    assert wrong.format("dev") in log_in("dev", "wrong", True, None)
    assert "must be bound" in log_in("bound", "right", False, None)
    assert wrong.format("deploy") in log_in("deploy", "any", False, None)
    assert wrong.format("both") in log_in("both", "wrong", True, both)
    assert wrong.format("both") in log_in("both", "right", True, None)
    other = door.authority.issue("deploy")
    assert wrong.format("deploy") in log_in("deploy", "any", False, other)
    foreign = door.other.issue("any", names=[DEPLOY])
    assert log_in("deploy", "any", False, foreign) != "ok"
    assert log_in("dev", "right", False, foreign) != "ok"
