"""Somebody's own server behind `--upstream`: made ready, and put back as it was.

Creates roles with names nobody else has, and the database `shop` unless `--database`
names one that exists. At the end exactly these go; what the migrator made in a database
that stays is handed to the database's owner, never dropped. Imports `sample`, `roles`,
`dsn`. Next: `proxy.demo.run`.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import asyncpg

from proxy.demo import roles, sample
from proxy.demo.ground import Served
from proxy.demo.roles import Login
from proxy.doctor.quoting import quote_name
from proxy.errors import ConfigError, PgwardenError, UnavailableError

if TYPE_CHECKING:
    from proxy.demo.dsn import Dsn

READER_PASSWORD: Final = "PGWARDEN_DEMO_READER_PASSWORD"  # noqa: S105 - a variable's name
_OLDEST: Final = 130000  # DROP DATABASE ... WITH (FORCE)
_MAX_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class ForeignPlan:
    """What the person asked for.

    Attributes:
        dsn: A superuser's.
        database: One that exists, served as it is; None to create `shop`.
        reader_role: A role that exists, for developers; None to create one.
    """

    dsn: Dsn
    database: str | None = None
    reader_role: str | None = None


class ForeignGround:
    """A server that was there before the demo and stays after it."""

    def __init__(self, plan: ForeignPlan) -> None:
        self._plan = plan
        self._dsn = plan.dsn
        self._database = plan.database or sample.DATABASE
        suffix = f"_{secrets.token_hex(4)}"
        logins = roles.new_logins(suffix)
        if plan.reader_role is not None:
            logins = replace(logins, reader=_named_reader(plan, plan.reader_role))
        self._logins = logins
        self._writer = Login(roles.WRITER + suffix, secrets.token_urlsafe(24))
        self._created_roles: tuple[str, ...] = ()
        # Until it is whole and ours by oid, the database has a name nobody else has.
        self._birth_name = sample.DATABASE + suffix
        self._created_database = 0
        self._granted = False

    async def prepare(self) -> Served:
        """Create roles, then fill the shop or grant in the database that exists."""
        async with sample.connection(self._dsn.url()) as superuser:
            version = await _check_server(superuser)
            known = await superuser.fetchval(
                "SELECT oid FROM pg_database WHERE datname = $1", self._database
            )
            self._check_database(exists=known is not None)
            await self._create_roles(superuser)
            if known is None:
                await self._create_database(superuser)
        async with sample.connection(self._dsn.url(self._database)) as superuser:
            self._granted = True
            await superuser.execute(
                sample.shop_script(self._logins)
                if self._plan.database is None
                else self._grants()
            )
            await superuser.execute(
                roles.grant_connect(self._database, (self._writer.user,))
                + roles.grant_writing(self._writer, self._logins.migrator)
            )
            warnings = await self._warnings(superuser)
        return Served(
            host=self._dsn.host,
            port=self._dsn.port,
            database=self._database,
            version=version,
            superuser_url=self._dsn.url(self._database),
            reader=self._logins.reader,
            migrator=self._logins.migrator,
            writer=self._writer,
            is_sample=self._plan.database is None,
            tls_mode=self._dsn.tls_mode,
            tls_ca=self._dsn.tls_ca,
            allows_old_passwords=True,
            warnings=warnings,
        )

    async def restore(self) -> list[str]:
        """Remove what `prepare` made, and tell who got what the migrator left."""
        told: list[str] = []
        if not self._created_roles:
            return told
        try:
            if self._plan.database is not None and self._granted:
                told += await self._restore_database()
            async with sample.connection(self._dsn.url()) as superuser:
                await self._drop_database(superuser)
                await superuser.execute(roles.drop_roles(self._created_roles))
        except (PgwardenError, asyncpg.PostgresError, OSError) as error:
            left = ", ".join(quote_name(name) for name in self._created_roles)
            told.append(
                f"could not remove everything from the upstream: {error}\n"
                f"look for the roles {left}"
            )
        return told

    def trouble(self) -> str | None:
        """Never: a foreign server may go and come back, the proxy copes with it."""
        return None

    def _check_database(self, *, exists: bool) -> None:
        if self._plan.database is None and exists:
            raise ConfigError(
                f'the upstream has a database "{sample.DATABASE}" already; '
                "the demo would have to remove it at the end",
                hint=f"serve it as it is: --database {sample.DATABASE}",
            )
        if self._plan.database is not None and not exists:
            raise ConfigError(
                f'the upstream has no database "{self._plan.database}"',
                hint="without --database the demo creates one with sample data",
            )

    async def _create_roles(self, superuser: asyncpg.Connection) -> None:
        # Noted before it happens: cancelled in between, `restore` must know the names.
        self._created_roles = (self._logins.migrator.user, self._writer.user)
        await superuser.execute(roles.create_migrator(self._logins.migrator))
        await superuser.execute(roles.create_writer(self._writer))
        if self._plan.reader_role is None:
            self._created_roles += (self._logins.reader.user,)
            await superuser.execute(roles.create_reader(self._logins.reader))

    async def _create_database(self, superuser: asyncpg.Connection) -> None:
        born = self._birth_name
        create, fence = sample.database_script(born, self._logins)
        await superuser.execute(create)
        self._created_database = await superuser.fetchval(
            "SELECT oid FROM pg_database WHERE datname = $1", born
        )
        await superuser.execute(fence)
        await superuser.execute(
            f"ALTER DATABASE {quote_name(born)} RENAME TO {quote_name(self._database)}"
        )

    def _grants(self) -> str:
        both = [roles.grant_migrating(self._logins)]
        both.append(roles.grant_connect(self._database, self._created_roles))
        if self._plan.reader_role is None:
            both.append(roles.grant_reading(self._logins))
        return f"BEGIN; {' '.join(both)} COMMIT;"

    async def _warnings(self, superuser: asyncpg.Connection) -> tuple[str, ...]:
        role = self._plan.reader_role
        if role is None:
            return ()
        async with sample.connection(
            self._reader_url(), who=f'"{role}" (set {READER_PASSWORD} to its password)'
        ):
            pass
        is_superuser = await superuser.fetchval(
            "SELECT rolsuper FROM pg_roles WHERE rolname = $1", role
        )
        strength = "A SUPERUSER" if is_superuser else "a role of yours"
        return (
            f'DEVELOPERS REACH POSTGRES AS "{role}", {strength.upper()}.\n'
            "Lock (c), an upstream role without write privileges, is not in place:\n"
            "what pgwarden lets through, that role may do. For a trial only.",
        )

    def _reader_url(self) -> str:
        reader = self._logins.reader
        login = replace(self._dsn, user=reader.user, password=reader.password)
        return login.url(self._database)

    async def _restore_database(self) -> list[str]:
        migrator = self._logins.migrator.user
        async with sample.connection(self._dsn.url(self._database)) as superuser:
            heir = await superuser.fetchval(
                "SELECT pg_get_userbyid(datdba) FROM pg_database"
                " WHERE datname = current_database()"
            )
            owned = await superuser.fetch(_OWNED, migrator)
            await superuser.execute(
                roles.remove_from_database(self._logins, heir, self._created_roles)
            )
        if not owned:
            return []
        listed = ", ".join(row["what"] for row in owned[:_MAX_LISTED])
        more = (
            f" and {len(owned) - _MAX_LISTED} more" if len(owned) > _MAX_LISTED else ""
        )
        return [f'what deploy jobs created now belongs to "{heir}": {listed}{more}']

    async def _drop_database(self, superuser: asyncpg.Connection) -> None:
        # By oid: if somebody replaced it meanwhile, the new one is not ours.
        name = await superuser.fetchval(
            "SELECT datname FROM pg_database WHERE oid = $1 OR datname = $2",
            self._created_database,
            self._birth_name,
        )
        if name is not None:
            await superuser.execute(f"DROP DATABASE {quote_name(name)} WITH (FORCE)")


# What a role owns in this database; parts of other objects (indexes, row types) left
# out.
_OWNED: Final = """
    SELECT pg_describe_object(classid, objid, objsubid) AS what
    FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
      AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)
      AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid <> 'pg_default_acl'::regclass
    ORDER BY 1
"""


def _named_reader(plan: ForeignPlan, role: str) -> Login:
    if password := os.environ.get(READER_PASSWORD):
        return Login(role, password)
    return Login(role, plan.dsn.password if role == plan.dsn.user else None)


async def _check_server(superuser: asyncpg.Connection) -> str:
    row = await superuser.fetchrow(
        "SELECT rolsuper, current_setting('server_version') AS version,"
        " current_setting('server_version_num')::int AS number,"
        " pg_is_in_recovery() AS standby FROM pg_roles WHERE rolname = current_user"
    )
    if row is None or not row["rolsuper"]:
        raise ConfigError(
            "the upstream DSN must be a superuser's: the demo creates roles",
            hint="to guard a database without one, see: pgwarden serve --help",
        )
    if row["number"] < _OLDEST:
        raise ConfigError(
            f"the upstream is Postgres {row['version']}; 13 is the oldest"
        )
    if row["standby"]:
        raise UnavailableError(
            "the upstream is a standby, where no role can be created"
        )
    version: str = row["version"]
    return version
