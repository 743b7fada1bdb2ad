"""Ways out of the database, tried on staging's policy with all that it permits.

The first proxy logs in as the superuser, so nothing but the decision stands between a
statement and the server's files; each way is walked directly first, to show that it
leads somewhere. The second one has the logins of deploy/roles.sql.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.shipped import policy_path
from tests.fix_proxy import Proxies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

pytestmark = pytest.mark.postgres

WAYS = {
    "a file": "COPY (SELECT 1) TO '{file}'",
    "a program": "COPY (SELECT 1) TO PROGRAM 'touch {file}'",
    "a large object": "SELECT lo_export(4711, '{file}')",
    "an innocent name": "CREATE FUNCTION tidy(oid, text) RETURNS int"
    " LANGUAGE internal STRICT AS 'be_lo_export';"
    " SELECT tidy(4711, '{file}'); DROP FUNCTION tidy",
    "two acts in a text": "SELECT 1; COPY (SELECT 1) TO '{file}'",
    "a prepared statement": "PREPARE p(oid) AS SELECT lo_export($1, '{file}');"
    " EXECUTE p(4711); DEALLOCATE p",
}
IN_A_BLOCK = "DO $$BEGIN COPY (SELECT 1) TO '{file}'; END$$"


@pytest.fixture
def target() -> Iterator[Path]:
    """A file that the server may write."""
    folder = Path(tempfile.mkdtemp(prefix="pgwarden-out-"))
    folder.chmod(0o777)  # the server may run as another user
    yield folder / "file"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def proxies(clusters: Clusters) -> Iterator[Proxies]:
    started = Proxies(clusters)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def bold(
    proxies: Proxies, postgres17: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Proxy:
    """Staging's policy, and an upstream login that may do everything."""
    password = tmp_path_factory.mktemp("bold") / "password"
    password.write_text(postgres17.password)
    password.chmod(0o600)
    login = {"user": postgres17.superuser, "password_file": str(password)}
    logins = {"reader": login, "migrator": login}
    return proxies.start(
        postgres17,
        policy=policy_path("staging"),
        settings={"upstream": {"logins": logins}},
    )


@pytest.fixture(scope="module")
def staging(proxies: Proxies, postgres17: Cluster) -> Proxy:
    return proxies.start(postgres17, policy=policy_path("staging"))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("identity", ["developer", "migrator"])
def test_no_way_leads_out(
    bold: Proxy, shop17: Database, target: Path, way: str, identity: str
) -> None:
    statement = way.format(file=target)
    shop17.execute("SELECT lo_from_bytea(4711, 'x')")
    shop17.execute(statement)
    assert target.exists(), "the way leads nowhere, so it proves nothing"
    target.unlink()
    url = bold.dsn(identity, shop17.name)
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            connection.execute(statement.encode())
        assert "rule staging.server" in (caught.value.diag.message_detail or "")
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not target.exists()


def test_inside_a_block_the_login_is_the_wall(
    bold: Proxy, staging: Proxy, shop17: Database, target: Path
) -> None:
    """Why staging's upstream login must be no superuser; see policies/staging.yaml."""
    statement = IN_A_BLOCK.format(file=target).encode()
    with psycopg.connect(bold.dsn("developer", shop17.name)) as connection:
        connection.execute(statement)
    assert target.exists()
    target.unlink()
    with (
        psycopg.connect(staging.dsn("developer", shop17.name)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege) as caught,
    ):
        connection.execute(statement)
    assert "rule" not in (caught.value.diag.message_detail or "")
    assert not target.exists()
