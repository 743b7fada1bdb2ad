"""A server with the roles of `doctor --fix-sql`, and the doctor looking at it.

Every name in it is one that would end its own quotes, if it could.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.doctor.examine import Report, examine
from proxy.doctor.findings import Finding, Login
from proxy.doctor.script import roles_script
from proxy.server.dial import Dialler
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key
from proxy.settings_upstream import UpstreamSettings
from tests.fix_postgres import bin_dir, new_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from proxy.demo.postgres import Cluster

READER = "rea\"d'er $$ \\ \n;--"
MIGRATOR = "mi'gr\"ator"
OWNER = "own\"er'$x$"
DATABASE = "a\"p'p $$ %s"
PASSWORD = "doctor's own"


@dataclass(frozen=True, slots=True)
class Ward:
    """The server, its one served database, and the folder of the passwords."""

    cluster: Cluster
    password_file: Path

    def run(self, *statements: str, database: str = DATABASE) -> None:
        """As superuser, one by one; `{reader}`, `{owner}`, `{database}` are quoted."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(self.text(statement))

    def mend(self, finding: Finding) -> None:
        """Run a finding's SQL, exactly as it is printed."""
        with self.connect(finding.database or DATABASE) as connection:
            connection.execute("\n".join(finding.sql).encode())

    def text(self, statement: str) -> str:
        names = {
            "{reader}": READER,
            "{migrator}": MIGRATOR,
            "{owner}": OWNER,
            "{database}": DATABASE,
            "{evil}": "x\"; DROP TABLE users; --\n'$$\\",
        }
        for word, name in names.items():
            statement = statement.replace(word, sql.Identifier(name).as_string(None))
        return statement

    def connect(self, database: str = DATABASE) -> psycopg.Connection:
        return psycopg.connect(
            host=self.cluster.host,
            port=self.cluster.port,
            user=self.cluster.superuser,
            password=self.cluster.password,
            dbname=database,
            autocommit=True,
        )

    def settings(self, **changed: Any) -> UpstreamSettings:
        login = {"password_file": str(self.password_file)}
        return UpstreamSettings.model_validate(
            {
                "host": self.cluster.host,
                "port": self.cluster.port,
                "databases": [DATABASE],
                "tls": {"mode": "disable"},
                "logins": {
                    "reader": {"user": READER, **login},
                    "migrator": {"user": MIGRATOR, **login},
                },
            }
            | changed
        )

    def report(self, logins: Sequence[Login] | None = None, **changed: Any) -> Report:
        """Have the doctor look."""
        chosen = logins or [AS_READER]
        login = {"password_file": str(self.password_file)}
        changed.setdefault(
            "logins", {each.name: {"user": each.user, **login} for each in chosen}
        )

        async def look() -> Report:
            settings = self.settings(**changed)
            keys = [Key(each.name) for each in chosen]
            dialler = Dialler(settings, tasks=Tasks(), keys=keys)
            return await examine(dialler, chosen)

        return asyncio.run(look())

    def found(self, *logins: Login, **changed: Any) -> dict[str, list[Finding]]:
        """The findings by id."""
        by_id: dict[str, list[Finding]] = {}
        for each in self.report(logins or None, **changed).findings:
            by_id.setdefault(each.id, []).append(each)
        return by_id


AS_READER = Login("reader", READER, is_reader=True, roles=("developer",))
AS_MIGRATOR = Login("migrator", MIGRATOR, is_reader=False, roles=("migrator",))


@contextmanager
def ward_of(major: int, folder: Path, **settings: str) -> Iterator[Ward]:
    """A server of its own, gone afterwards."""
    cluster = new_cluster(bin_dir(major), **settings)
    cluster.start()
    file = folder / "password"
    file.write_text(PASSWORD + "\n")
    ward = Ward(cluster, file)
    try:
        ward.run(
            "CREATE ROLE {owner} NOLOGIN",
            "CREATE DATABASE {database} OWNER {owner}",
            database="postgres",
        )
        ward.run(
            "SET ROLE {owner}",
            "CREATE TABLE users (id int, name text)",
            "CREATE SCHEMA {evil} CREATE TABLE {evil}.{evil} ({evil} int)",
            "CREATE SEQUENCE numbers",
        )
        run_script(ward, folder)
        yield ward
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def run_script(ward: Ward, folder: Path, *more: str) -> None:
    """What `doctor --fix-sql` prints, by psql."""
    script = folder / "roles.sql"
    script.write_text(roles_script([AS_READER, AS_MIGRATOR]))
    variables = {"owner": OWNER} | {
        f"{name}_secret": make_secret(
            PASSWORD, salt=secrets.token_bytes(SALT_LENGTH)
        ).encode()
        for name in ("reader", "migrator")
    }
    done = subprocess.run(
        [
            bin_dir(17) / "psql",
            "--no-psqlrc",
            "--quiet",
            f"--dbname={ward.cluster.dsn(DATABASE)}",
            *(f"--set={name}={text}" for name, text in variables.items()),
            *more,
            f"--file={script}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
