"""Each client, for a list of logins: "ok" for each, or what its person is told.

All over TLS with the certificate verified, but where somebody stands in the middle.
What is not Python logs in from one process of its own. Next: `test_ways.py`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from psycopg.conninfo import make_conninfo

from tests.clients import maven
from tests.clients.issuer import LOGIN_CLIENT
from tests.clients.prisma_project import PrismaProject
from tests.clients.token_rig import OLGA
from tests.clients.tools import bare_environment, program, run
from tests.fix_postgres import bin_dir
from tests.integration.knocker import lenient
from tests.integration.rig import until_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.authority import Issued
    from tests.clients.token_rig import Guard
    from tests.clients.ways import Attempt
    from tests.fix_postgres import Database

    Driver = Callable[[Sequence[Attempt]], list[str]]

_HERE = Path(__file__).parent


class Drivers:
    """The clients of the table, before one pgwarden and one database."""

    def __init__(
        self, guard: Guard, database: Database, *, modules: Path, folder: Path
    ) -> None:
        self._guard = guard
        self._database = database
        self._modules = modules
        self._folder = folder

    def log_in(self, client: str, tries: Sequence[Attempt]) -> list[str]:
        """Try them in this order; how each ended."""
        by: dict[str, Driver] = {
            "psql 15": lambda tries: [self._psql(15, each) for each in tries],
            "psql 17": lambda tries: [self._psql(17, each) for each in tries],
            "psycopg": lambda tries: [self._psycopg(each) for each in tries],
            "asyncpg": lambda tries: asyncio.run(self._asyncpg(tries)),
            "node-postgres": self._node,
            "Prisma": self._prisma,
            "pgjdbc": self._pgjdbc,
        }
        return by[client](tries)

    # --- libpq ---------------------------------------------------------------

    def _libpq(self, one: Attempt) -> dict[str, Any]:
        options = self._guard.options(
            one.user,
            self._database,
            password=one.password,
            channel_binding="require" if one.binds else "disable",
        )
        if one.port:
            del options["sslrootcert"]
            options |= {"port": one.port, "sslmode": "require"}
        if one.shown is not None:
            options |= {"sslcert": str(one.shown.path), "sslkey": str(one.shown.key)}
        return options

    def _psql(self, major: int, one: Attempt) -> str:
        options = self._libpq(one)
        environment = bare_environment() | {"PGPASSWORD": options.pop("password")}
        psql, dsn = bin_dir(major) / "psql", make_conninfo(**options)
        done = run([psql, "-XAtwc", "select 'ok'", dsn], environment=environment)
        return done.out.strip() if done.code == 0 else done.err

    def _psycopg(self, one: Attempt) -> str:
        options = self._libpq(one)
        if one.way == "oauth":
            token = options.pop("password")
            said = by_libpq(self._guard, self._database, token, **options)
            return str(said.get("error", "ok"))
        try:
            with psycopg.connect(**options) as connection:
                row = connection.execute("select 'ok'").fetchone()
        except psycopg.OperationalError as error:
            return str(error)
        return str(row[0]) if row else "no row"

    # --- the others ------------------------------------------------------------

    async def _asyncpg(self, tries: Sequence[Attempt]) -> list[str]:
        return [await self._by_asyncpg(each) for each in tries]

    async def _by_asyncpg(self, one: Attempt) -> str:
        chain = None if one.shown is None else one.shown.chain
        context = lenient(chain)
        if not one.port:
            context = ssl.create_default_context(cafile=str(self._guard.ca))
            if chain is not None:
                context.load_cert_chain(*chain)
        try:
            link = await asyncpg.connect(
                host="localhost",
                port=one.port or self._guard.proxy.port,
                user=one.user,
                password=one.password,
                database=self._database.name,
                ssl=context,
                timeout=20,
            )
        except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError) as error:
            await until_closed()
            return f"{type(error).__name__}: {error}"
        said = str(await link.fetchval("select 'ok'"))
        await link.close()
        return said

    def _node(self, tries: Sequence[Attempt]) -> list[str]:
        shutil.copy(_HERE / "node" / "login.mjs", self._folder)
        (self._folder / "node_modules").symlink_to(self._modules)
        return self._by_script(self._folder, tries)

    def _prisma(self, tries: Sequence[Attempt]) -> list[str]:
        project = PrismaProject.create(self._folder / "project", self._modules)
        shutil.copy(_HERE / "prisma" / "login.mjs", project.folder)
        project.cli("postgresql://nobody@localhost/nothing", "generate").ok()
        return self._by_script(project.folder, tries)

    def _by_script(self, folder: Path, tries: Sequence[Attempt]) -> list[str]:
        done = run(
            [program("node"), "login.mjs"],
            environment=bare_environment(),
            cwd=folder,
            text=json.dumps([self._wish(each) for each in tries]),
            timeout_s=120,
        )
        said: list[str] = json.loads(done.ok().out)
        return said

    def _wish(self, one: Attempt) -> dict[str, Any]:
        """What the Node scripts read."""
        values: dict[str, Any] = {
            "host": "localhost",
            "port": one.port or self._guard.proxy.port,
            "user": one.user,
            "password": one.password,
            "database": self._database.name,
            "binds": one.binds,
        }
        if not one.port:
            values |= {"ca": str(self._guard.ca)}
        if one.shown is not None:
            values |= {"cert": str(one.shown.path), "key": str(one.shown.key)}
        return values

    def _pgjdbc(self, tries: Sequence[Attempt]) -> list[str]:
        return maven.log_in([self._properties(each) for each in tries])

    def _properties(self, one: Attempt) -> dict[str, str]:
        port = one.port or self._guard.proxy.port
        properties = {
            "url": f"jdbc:postgresql://localhost:{port}/{self._database.name}",
            "user": one.user,
            "password": one.password,
            "channelBinding": "require" if one.binds else "disable",
        }
        if one.port:
            properties |= {"sslmode": "require"}
        else:
            root = str(self._guard.ca)
            properties |= {"sslmode": "verify-full", "sslrootcert": root}
        if one.shown is not None:
            shown = one.shown
            properties |= {"sslcert": str(shown.path), "sslkey": str(_pkcs8(shown))}
        return properties


def by_libpq(
    guard: Guard, database: Database, token: str, **change: Any
) -> dict[str, Any]:
    """What libpq 18 makes of a token that its hook has, in a process of its own."""
    options = guard.options(
        OLGA, database, oauth_issuer=guard.issuer.url, oauth_client_id=LOGIN_CLIENT
    )
    dsn = make_conninfo(**options | change)
    done = run(
        [sys.executable, "-m", "tests.clients.bearer", dsn],
        environment={**bare_environment(), "PYTHONPATH": ":".join(sys.path)},
        text=token,
    )
    answer: dict[str, Any] = json.loads(done.ok().out)
    assert answer["version"] >= 180000
    return answer


def _pkcs8(issued: Issued) -> Path:
    """The key in the form that every pgjdbc reads."""
    key = load_pem_private_key(issued.key.read_bytes(), None)
    path = issued.key.with_suffix(".pk8")
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    return path
