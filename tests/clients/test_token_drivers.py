"""Tokens as the password of node-postgres, Prisma and pgjdbc: right, wrong, expired.

libpq's clients and asyncpg are in `test_tokens.py`; other ways in `test_logins.py`.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import maven
from tests.clients.token_rig import JOBS
from tests.clients.tools import bare_environment, program, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clients.prisma_project import PrismaProject
    from tests.clients.token_rig import Guard
    from tests.fix_postgres import Database

    LogIn = Callable[[str], str]

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

_HERE = Path(__file__).parent


def _by_node(guard: Guard, database: str, token: str, folder: Path) -> str:
    wish = {
        "host": "localhost",
        "port": guard.proxy.port,
        "user": "deploy",
        "password": token,
        "database": database,
        "binds": False,
    }
    environment = {**bare_environment(), "LOGIN": json.dumps(wish)}
    done = run([program("node"), "login.mjs"], environment=environment, cwd=folder)
    return done.ok().out.strip()


@pytest.fixture
def node_postgres(
    token_guard: Guard, shop17: Database, node_modules: Path, tmp_path: Path
) -> LogIn:
    shutil.copy(_HERE / "node" / "login.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    return lambda token: _by_node(token_guard, shop17.name, token, tmp_path)


@pytest.fixture
def prisma_client(token_guard: Guard, shop17: Database, prisma: PrismaProject) -> LogIn:
    shutil.copy(_HERE / "prisma" / "login.mjs", prisma.folder)
    prisma.cli("postgresql://nobody@localhost/nothing", "generate").ok()
    return lambda token: _by_node(token_guard, shop17.name, token, prisma.folder)


@pytest.fixture
def pgjdbc(token_guard: Guard, shop17: Database) -> LogIn:
    where = f"localhost:{token_guard.proxy.port}/{shop17.name}"
    return lambda token: maven.log_in(
        {
            "url": f"jdbc:postgresql://{where}",
            "user": "deploy",
            "password": token,
            "sslmode": "verify-full",
            "sslrootcert": str(token_guard.ca),
        }
    )


@pytest.mark.parametrize("driver", ["node_postgres", "prisma_client", "pgjdbc"])
def test_a_job_right_and_wrong(
    request: pytest.FixtureRequest, token_guard: Guard, shop17: Database, driver: str
) -> None:
    log_in: LogIn = request.getfixturevalue(driver)
    guard = token_guard
    assert log_in(guard.issuer.job_token(JOBS)) == "ok"
    assert guard.start("deploy", shop17.name)["authentication"] == "token"
    refused = 'token authentication failed for user "deploy"'
    assert refused in log_in(guard.issuer.job_token(JOBS, "fork"))
    past = guard.claims(exp=int(time.time()) - 60)
    assert refused in log_in(guard.issuer.key.sign(past).decode())
    assert refused in log_in("a password")
