"""Look at everything: each login in use, in each database that it serves.

One connection for a login and database, and a second one for a moment to look for a
pooler. Raises only where nobody could be asked; whatever else fails is a finding.
Next: `proxy.doctor.gate`, `proxy.cli.doctor`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from proxy.doctor import (
    checks_code,
    checks_objects,
    checks_roles,
    checks_server,
    probes,
)
from proxy.doctor.conversation import Conversation, QueryError
from proxy.doctor.findings import Login, finding, in_order
from proxy.doctor.mending import Patient
from proxy.doctor.quoting import one_line
from proxy.doctor.reach import Reach
from proxy.errors import (
    CANNOT_CONNECT_NOW,
    CONNECTION_REJECTED,
    DENIED,
    GATE_UNSATISFIED,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
    UnavailableError,
)
from proxy.server.health import UpstreamError
from proxy.server.upstream_users import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from proxy.doctor.check import Check
    from proxy.doctor.findings import Finding
    from proxy.policy.evaluate import Policy
    from proxy.server.dial import Dialler
    from proxy.server.upstream_users import Key
    from proxy.settings import UpstreamSettings

_OF_ONE_DATABASE: Final = {INVALID_CATALOG_NAME, DENIED, GATE_UNSATISFIED}
_OF_THE_SERVER: Final = {CONNECTION_REJECTED, CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS}
_MAINTENANCE: Final = ("postgres", "template1")
"""Where to ask for the names of databases when the settings name none."""
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
    "SET LOCAL search_path = ''; SET LOCAL statement_timeout = '30s'; "
    "SET LOCAL lock_timeout = '2s'"
)
_DATABASES: Final = """
    SELECT coalesce(pg_catalog.json_agg(d.datname), '[]')
    FROM (SELECT datname FROM pg_catalog.pg_database
          WHERE datallowconn
            AND pg_catalog.has_database_privilege(SESSION_USER, oid, 'CONNECT')
          ORDER BY datname) d
"""
_STANDBY: Final = "SELECT pg_catalog.pg_is_in_recovery()"


def logins_of(policy: Policy, users: dict[str, str]) -> list[Login]:
    """The logins that roles of the policy use, by name.

    One that a read-only role uses is measured as a reader's, whoever else uses it.

    Args:
        policy: in force.
        users: the role in Postgres of each login of the settings.
    """
    found: dict[str, Login] = {}
    for name in policy.roles:
        role = policy.role(name)
        if not role.may_login or role.upstream not in users:
            # A role that is only lent may do without a login: then nobody borrows it.
            continue
        known = found.get(role.upstream)
        found[role.upstream] = Login(
            role.upstream,
            users[role.upstream],
            is_reader=role.read_only or (known is not None and known.is_reader),
            roles=(*(known.roles if known else ()), name),
        )
    return [found[name] for name in sorted(found)]


def each_login(
    logins: Iterable[Login], settings: UpstreamSettings, keys: Iterable[Key]
) -> Iterator[Login]:
    """The same logins, with one for each identity where each has its own role.

    Args:
        logins: by name, as the policy uses them.
        settings: the upstream's.
        keys: whose logins there are.
    """
    personal = [key for key in keys if key.identity]
    for login in logins:
        own = settings.logins[login.name]
        if own.is_per_identity:
            for key in personal:
                if key.login == login.name:
                    user = resolved(own, key.identity).user
                    yield replace(login, user=user, identity=key.identity)
        else:
            yield login


@dataclass(slots=True)
class Report:
    """What one examination found.

    Attributes:
        logins: who was looked at.
        databases: where, for each login.
        findings: the worst first.
    """

    logins: list[Login]
    databases: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


async def examine(
    dialler: Dialler,
    logins: Sequence[Login],
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Everything that the doctor can find.

    Args:
        dialler: reaches the upstream as sessions do.
        logins: whose.
        tell: hears where it is.

    Raises:
        UpstreamError: a login does not get in anywhere.
        UnavailableError: there is no database to look at.
    """
    report = Report(list(logins))
    users = frozenset(login.user for login in logins)
    for login in logins:
        found = await _Examination(dialler, login, users, tell).run()
        report.databases[login.user] = found.databases
        report.findings += found.findings
    report.findings = in_order(report.findings)
    return report


class _Examination:
    """That of one login."""

    def __init__(
        self,
        dialler: Dialler,
        login: Login,
        users: frozenset[str],
        tell: Callable[[str], None],
    ) -> None:
        self._dialler = dialler
        self._login = login
        self._users = users
        self._tell = tell
        self.databases: list[str] = []
        self.findings: list[Finding] = []

    async def run(self) -> _Examination:
        for database in await self._served():
            self._tell(f"{self._login.user} in {database}")
            try:
                session = await self._begin(database)
            except UpstreamError as error:
                is_of_one = error.report.sqlstate in _OF_ONE_DATABASE
                # A role that one person lacks keeps only that person out.
                if not (is_of_one or self._login.identity):
                    raise
                self._add(
                    finding(
                        "no-access",
                        self._login,
                        database=database,
                        detail=one_line(error.note),
                    )
                )
                continue
            async with session:
                await self._look(session, database)
            self.databases.append(database)
        if not (self.databases or self._login.identity):
            raise UnavailableError(
                f'login "{self._login.name}" gets into none of the databases that '
                "upstream.databases names"
            )
        return self

    def _add(self, *found: Finding | None) -> None:
        self.findings += [each for each in found if each is not None]

    async def _begin(self, database: str) -> Conversation:
        """A session as pgwarden starts it; if that is refused, a plain one."""
        try:
            return await self._dial(database, is_read_only=self._login.is_reader)
        except UpstreamError as error:
            sqlstate = error.report.sqlstate
            is_about_it = error.reason in {"login", "protocol"} and (
                sqlstate not in _OF_ONE_DATABASE | _OF_THE_SERVER
            )
            if not (self._login.is_reader and is_about_it):
                raise
            try:
                session = await self._dial(database, is_read_only=False)
            except UpstreamError:
                raise error from None
            self._add(
                finding(
                    "lock-b",
                    self._login,
                    database=database,
                    detail=f"it can't even be begun: {one_line(error.note)}",
                )
            )
            return session

    async def _dial(self, database: str, *, is_read_only: bool) -> Conversation:
        plan = self._dialler.own_plan(
            self._login.name,
            database,
            identity=self._login.identity,
            is_read_only=is_read_only,
        )
        return Conversation(await self._dialler.connect(plan))

    async def _served(self) -> list[str]:
        """The databases that the settings name, wildcards by asking the server."""
        settings = self._dialler.settings
        named = [name for name in settings.databases if not set(name) & set("*?[")]
        if len(named) == len(settings.databases):
            return named
        error: UpstreamError | None = None
        for database in (*named, *_MAINTENANCE):
            try:
                async with await self._dial(database, is_read_only=False) as session:
                    known: list[str] = json.loads(await session.value(_DATABASES))
            except UpstreamError as problem:
                if problem.report.sqlstate not in _OF_ONE_DATABASE:
                    raise
                error = error or problem
                continue
            except QueryError as problem:
                raise UnavailableError(problem.message) from problem
            found = [name for name in known if settings.serves(name)]
            return list(dict.fromkeys([*named, *found]))
        raise error or UnavailableError("no database to ask")

    # --- one database ------------------------------------------------------------

    async def _look(self, session: Conversation, database: str) -> None:
        is_first = not self.databases
        login = self._login
        try:
            if is_first or await self._is_indirect(session):
                self._add(
                    await probes.pooler(
                        session,
                        lambda: self._dial(database, is_read_only=False),
                        login,
                        database,
                    )
                )
            if login.is_reader:
                await self._try_locks(session, database)
            patient = await self._patient(session, database)
            if is_first:
                self._add(*checks_roles.attributes(patient))
                self._add(*checks_roles.memberships(patient))
                for check in (*checks_roles.CHECKS, *checks_server.CHECKS):
                    await self._run(session, patient, check)
            for check in (*checks_objects.CHECKS, *checks_code.CHECKS):
                await self._run(session, patient, check)
            await session.ask("ROLLBACK")
        except QueryError as error:
            self._add(
                finding(
                    "not-checked",
                    login,
                    objects=["everything that was still to come"],
                    database=database,
                    detail=one_line(error.message),
                )
            )

    async def _is_indirect(self, session: Conversation) -> bool:
        return str(session.ready.pid) != await session.value(probes.BACKEND)

    async def _try_locks(self, session: Conversation, database: str) -> None:
        login = self._login
        if not any(
            (each.id, each.database) == ("lock-b", database) for each in self.findings
        ):
            self._add(await probes.lock_b(session, login, database))
        if await session.value(_STANDBY) == "f":
            # A standby refuses every write, and BEGIN READ WRITE with them.
            self._add(await probes.lock_c(session, login, database))

    async def _patient(self, session: Conversation, database: str) -> Patient:
        await session.ask(_BEGIN)
        found: dict[str, Any] = json.loads(await session.value(checks_roles.ROLES))
        roles = map(checks_roles.role_of, found["roles"])
        members = map(checks_roles.membership_of, found["members"] or [])
        return Patient(
            self._login,
            Reach(found["login"], {role.oid: role for role in roles}, members),
            found["version"],
            database=database,
            database_owner=found["database_owner"],
            owner_role=found["owner_role"],
            own_users=self._users,
            serves=self._dialler.settings.serves,
        )

    async def _run(self, session: Conversation, patient: Patient, check: Check) -> None:
        if patient.version < check.since:
            return
        await session.ask("SAVEPOINT look")
        try:
            rows = json.loads(
                await session.value(
                    "SELECT coalesce(pg_catalog.json_agg(q), '[]') "
                    f"FROM ({check.query(patient)}) q"
                )
            )
        except QueryError as error:
            if error.sqlstate.startswith("08"):
                raise
            await session.ask("ROLLBACK TO look")
            self._add(
                check.not_run(
                    patient,
                    one_line(error.message),
                    is_denied=error.sqlstate == DENIED,
                )
            )
        else:
            self._add(*check.findings(patient, rows))
