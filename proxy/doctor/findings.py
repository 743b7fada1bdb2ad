"""What the doctor can find: ids, how bad each is for whom, and what it means.

`KINDS` is the one table behind the command, the gate and docs/reference/findings.md.
Pure. Next: `proxy.doctor.checks_roles`, the first of the files that find them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


class Severity(StrEnum):
    """How bad a finding is. Only a critical one closes the gate."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTE = "note"


CRITICAL: Final = Severity.CRITICAL
WARNING: Final = Severity.WARNING
NOTE: Final = Severity.NOTE

MAX_OBJECTS: Final = 20
"""Objects that a finding names; it counts them all, and its SQL mends them all."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    Attributes:
        reader: how bad it is for the login of a role that the policy calls read-only.
        writer: the same for any other; None where it is no finding.
        means: one sentence.
        mend: what its SQL does, or what to do where SQL can't.
        is_of_server: found once for a login, not once for each database.
    """

    reader: Severity
    writer: Severity | None
    means: str
    mend: str
    is_of_server: bool = False


_REVOKED: Final = (
    "REVOKE from whoever holds it: from PUBLIC (then grant it again to the roles that "
    "need it), from the login, or the membership that brings it."
)

KINDS: Final[dict[str, Kind]] = {
    # --- what the role is
    "superuser": Kind(
        CRITICAL, CRITICAL,
        "It is a superuser, or may become one: no privilege binds it.",
        "NOSUPERUSER, or REVOKE of the membership. The bootstrap superuser stays one: "
        "log in with another role.", is_of_server=True),
    "createrole": Kind(
        CRITICAL, CRITICAL, "It may create roles, and so help itself to more rights.",
        "NOCREATEROLE.", is_of_server=True),
    "createdb": Kind(
        CRITICAL, WARNING, "It may create databases, and drop those that it owns.",
        "NOCREATEDB. A migrator on staging may need it, for shadow databases.",
        is_of_server=True),
    "replication": Kind(
        CRITICAL, CRITICAL,
        "It may copy the whole server, and hold back its WAL until the disk is full.",
        "NOREPLICATION.", is_of_server=True),
    "bypassrls": Kind(
        WARNING, WARNING, "Row-level policies do not bind it.", "NOBYPASSRLS.",
        is_of_server=True),
    "predefined-role": Kind(
        CRITICAL, CRITICAL,
        "It holds a role that reaches beyond the database's own privileges. How bad "
        "that is depends on the role, see below.", "REVOKE of the membership.",
        is_of_server=True),
    "can-become": Kind(
        NOTE, NOTE, "It may act as other roles, and so do what they may do.",
        "None: what these roles may do is told as findings of its own.",
        is_of_server=True),
    "no-read-only-default": Kind(
        WARNING, None,
        "A session that somebody begins with it past pgwarden is not read-only.",
        "ALTER ROLE ... SET default_transaction_read_only = on.", is_of_server=True),
    "role-settings": Kind(
        WARNING, WARNING,
        "A setting of the role or the database changes what statements mean or are "
        "allowed.", "ALTER ROLE or ALTER DATABASE ... RESET.", is_of_server=True),
    "server-settings": Kind(
        WARNING, WARNING,
        "A setting of the whole server changes what statements mean or are allowed.",
        "ALTER SYSTEM SET, then pg_reload_conf().", is_of_server=True),
    "parameter-privileges": Kind(
        CRITICAL, WARNING,
        "It may change settings that are a superuser's, or the server's own "
        "configuration.", _REVOKED, is_of_server=True),
    "owns-server-objects": Kind(
        CRITICAL, NOTE,
        "It owns databases, tablespaces or other things of the whole server: it may "
        "drop them.",
        "ALTER ... OWNER TO the role pgwarden_keeper, which can't log in.",
        is_of_server=True),
    "creates-in-tablespaces": Kind(
        WARNING, NOTE, "It may put tables into a tablespace.", _REVOKED,
        is_of_server=True),
    # --- what it owns and may write in a database
    "owns-schemas": Kind(
        CRITICAL, NOTE, "It owns schemas: it may drop them with all they hold.",
        "REASSIGN OWNED, to the role pgwarden_keeper, which can't log in."),
    "owns-relations": Kind(
        CRITICAL, NOTE,
        "It owns tables, views or sequences: it may do anything to them.",
        "REASSIGN OWNED, to the role pgwarden_keeper, which can't log in."),
    "owns-functions": Kind(
        CRITICAL, NOTE, "It owns functions: it may put other code into them.",
        "REASSIGN OWNED, to the role pgwarden_keeper, which can't log in."),
    "owns-other": Kind(
        CRITICAL, NOTE,
        "It owns other things of the database: it may change or drop them.",
        "REASSIGN OWNED, to the role pgwarden_keeper, which can't log in."),
    "writes-relations": Kind(
        CRITICAL, NOTE,
        "It may write to relations (INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, "
        "TRIGGER, MAINTAIN).", _REVOKED),
    "writes-columns": Kind(
        CRITICAL, NOTE, "It may write to columns of relations.", _REVOKED),
    "reads-secrets": Kind(
        WARNING, WARNING,
        "It may read catalogs that Postgres keeps for superusers: stored passwords, or "
        "data past the privileges on its tables.", _REVOKED),
    "uses-sequences": Kind(
        CRITICAL, NOTE, "It may advance or set sequences.", _REVOKED),
    "writes-large-objects": Kind(
        CRITICAL, NOTE, "It may write to large objects.", _REVOKED),
    "creates-in-schemas": Kind(
        CRITICAL, NOTE,
        "It may create objects in schemas, functions that hijack a name among them.",
        _REVOKED),
    "creates-in-database": Kind(
        CRITICAL, NOTE, "It may create schemas.", _REVOKED),
    "temp-tables": Kind(
        WARNING, None,
        "It may create temporary tables, which fill the disk; a read-only transaction "
        "writes to them.", _REVOKED),
    "default-privileges": Kind(
        CRITICAL, NOTE, "Objects made in the future will be open to it for writing.",
        "ALTER DEFAULT PRIVILEGES ... REVOKE."),
    # --- what it may call and reach
    "dangerous-functions": Kind(
        CRITICAL, WARNING,
        "It may call functions that Postgres keeps for superusers, or that reach files "
        "or other servers.", _REVOKED),
    "public-functions": Kind(
        WARNING, NOTE,
        "It may call functions that change something, hold locks or signal its own "
        "kind, as everybody may on a fresh server. A read-only transaction stops some "
        "of them on some versions.", _REVOKED),
    "security-definer-superuser": Kind(
        CRITICAL, WARNING,
        "It may call functions that run with a superuser's rights (SECURITY DEFINER).",
        _REVOKED),
    "security-definer": Kind(
        WARNING, NOTE, "It may call functions that run with another role's rights.",
        _REVOKED),
    "dangerous-extensions": Kind(
        WARNING, WARNING,
        "An extension is here whose purpose is to reach files, programs, other servers "
        "or raw pages.", "DROP EXTENSION, if nobody needs it."),
    "untrusted-languages": Kind(
        WARNING, WARNING,
        "A language is here whose functions may do to the server whatever its "
        "operating system account may.",
        "DROP LANGUAGE or its extension, if nobody needs it."),
    "foreign-servers": Kind(
        WARNING, NOTE,
        "It may use foreign servers: with its own user mapping, or that of PUBLIC.",
        _REVOKED),
    "foreign-tables": Kind(
        WARNING, NOTE,
        "It may read foreign tables: on the other side with the rights of the user "
        "mapping, and no read-only session holds there.", _REVOKED),
    "foreign-data-wrappers": Kind(
        CRITICAL, WARNING, "It may define foreign servers, and so reach any address.",
        _REVOKED),
    "no-access": Kind(
        NOTE, NOTE, "It can't connect to a database that the settings name.",
        "GRANT CONNECT, if it should; otherwise take the name out of the settings."),
    # --- the server and the way to it
    "hba-trust": Kind(
        CRITICAL, CRITICAL, "pg_hba.conf lets somebody in without any proof.",
        "A line with scram-sha-256 instead, in pg_hba.conf.", is_of_server=True),
    "hba-open": Kind(
        WARNING, WARNING,
        "pg_hba.conf lets everybody, or pgwarden's own logins, connect past pgwarden.",
        "Name the roles and the addresses in pg_hba.conf.", is_of_server=True),
    "hba-unreadable": Kind(
        WARNING, WARNING,
        "Whether pg_hba.conf lets others in directly is not known: a login without "
        "privileges can't read it.", "Run its SQL as a superuser, and read.",
        is_of_server=True),
    "login-elsewhere": Kind(
        WARNING, WARNING,
        "Sessions of pgwarden's own login come from another address than pgwarden.",
        "Is that another pgwarden? If not: a new password, and a line in pg_hba.conf.",
        is_of_server=True),
    "logins-unlogged": Kind(
        WARNING, NOTE,
        "Postgres does not log who logs in, so a login that goes round pgwarden leaves "
        "no trace for `pgwarden door report`.",
        "ALTER SYSTEM SET log_connections, then pg_reload_conf().", is_of_server=True),
    "direct-sessions": Kind(
        NOTE, NOTE,
        "Sessions of other roles are in the served databases, past pgwarden: the "
        "application's, and perhaps people's.",
        "People's roles: NOLOGIN, or a line in pg_hba.conf.", is_of_server=True),
    "pooler": Kind(
        CRITICAL, CRITICAL,
        "A pooler stands between pgwarden and Postgres and hands one session's backend "
        "to another: no setting or prepared statement is the session's own.",
        "Point upstream.host and port to Postgres itself."),
    "between": Kind(
        NOTE, NOTE,
        "Something stands between pgwarden and Postgres; it keeps sessions apart.",
        "None, but Postgres itself is better: its reports are then first-hand."),
    "lock-b": Kind(
        CRITICAL, None,
        "A session begun as pgwarden begins it is not read-only: lock (b) fails.",
        "Point upstream.host and port to Postgres itself."),
    "lock-c": Kind(
        CRITICAL, None,
        "With read-only switched off, Postgres lets it write: lock (c) fails.",
        "The SQL of the findings that say why."),
    "not-checked": Kind(
        CRITICAL, CRITICAL,
        "A check could not be run, so what it looks for may be there. As bad as what "
        "it would have covered.", "Let it run: the reason is told."),
}  # fmt: skip
"""Every finding, in the order in which they are told."""

_ORDER: Final = {each: number for number, each in enumerate(KINDS)}
_WEIGHT: Final = {CRITICAL: 0, WARNING: 1, NOTE: 2}


@dataclass(frozen=True, slots=True)
class Login:
    """One of pgwarden's own logins, as the policy uses it.

    Attributes:
        name: in the settings.
        user: the role in Postgres.
        is_reader: some role of the policy that uses it is read-only.
        roles: the policy's roles that use it.
        identity: whose it is, where each identity has a role of its own.
    """

    name: str
    user: str
    is_reader: bool
    roles: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a login could do, or that stands open.

    Attributes:
        id: a key of `KINDS`.
        login: name in the settings; "" where it is about nobody's login.
        user: its role in Postgres.
        database: where; "" for the whole server.
        objects: the first of what it is about, as people read them.
        count: how many there are in all.
        sql: statements that mend it, run by a superuser in `database`.
        detail: what else to know, one sentence.
    """

    id: str
    severity: Severity
    login: str = ""
    user: str = ""
    database: str = ""
    objects: tuple[str, ...] = ()
    count: int = 0
    sql: tuple[str, ...] = field(default=(), repr=False)
    detail: str = ""

    @property
    def means(self) -> str:
        """What it means, in one sentence."""
        return KINDS[self.id].means


def finding(  # noqa: PLR0913 - the fields of a finding
    kind: str,
    login: Login,
    *,
    objects: Sequence[str] = (),
    sql: Sequence[str] = (),
    detail: str = "",
    severity: Severity | None = None,
    database: str = "",
) -> Finding | None:
    """A finding as bad as the table says; None where it is none for this login."""
    row = KINDS[kind]
    worth = severity or (row.reader if login.is_reader else row.writer)
    if worth is None:
        return None
    return Finding(
        kind,
        worth,
        login.name,
        login.user,
        database,
        tuple(objects[:MAX_OBJECTS]),
        len(objects),
        () if worth is NOTE else tuple(sql),
        detail,
    )


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first; then by kind, login and database."""
    return sorted(
        findings,
        key=lambda each: (
            _WEIGHT[each.severity],
            _ORDER[each.id],
            each.login,
            each.database,
        ),
    )
