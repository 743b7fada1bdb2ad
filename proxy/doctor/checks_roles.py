"""What the login is: attributes, memberships, settings, rights on the whole server.

Pure. Next: `proxy.doctor.checks_objects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.doctor.check import Check
from proxy.doctor.findings import CRITICAL, NOTE, WARNING, Severity, finding
from proxy.doctor.grants import grant_findings
from proxy.doctor.mending import KEEPER, NEW_KEEPER, cut
from proxy.doctor.quoting import qualified, quote_name
from proxy.doctor.reach import Membership, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.doctor.check import Row, Rows
    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Patient

ROLES: Final = """
    SELECT pg_catalog.json_build_object(
      'version', pg_catalog.current_setting('server_version_num')::int,
      'login', (SELECT oid::bigint FROM pg_catalog.pg_roles
                WHERE rolname = SESSION_USER),
      'database_owner', (SELECT datdba::bigint FROM pg_catalog.pg_database
                         WHERE datname = pg_catalog.current_database()),
      'owner_role', (SELECT oid::bigint FROM pg_catalog.pg_roles
                     WHERE rolname = 'pg_database_owner'),
      'roles', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(oid::bigint,
                  rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication,
                  rolbypassrls)) FROM pg_catalog.pg_roles),
      'members', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                    roleid::bigint, member::bigint, grantor::bigint, admin_option))
                  FROM pg_catalog.pg_auth_members)) AS found
"""
"""Everything that `Reach` is made of, in one row."""

BOOTSTRAP: Final = 10
"""oid of the superuser that initdb made; it can't be anything less."""

PREDEFINED: Final[dict[str, tuple[Severity, Severity, str]]] = {
    "pg_checkpoint": (WARNING, WARNING, "may have the server write a checkpoint"),
    "pg_create_subscription": (CRITICAL, CRITICAL, "may copy from other servers"),
    "pg_execute_server_program": (CRITICAL, CRITICAL, "may run programs on the server"),
    "pg_maintain": (CRITICAL, NOTE, "may VACUUM, REINDEX and LOCK every table"),
    "pg_monitor": (WARNING, NOTE, "sees what every session runs, and server files"),
    "pg_read_all_data": (WARNING, WARNING, "reads every table, pg_authid too"),
    "pg_read_all_settings": (WARNING, NOTE, "sees all settings"),
    "pg_read_all_stats": (WARNING, NOTE, "sees what every session runs"),
    "pg_read_server_files": (CRITICAL, CRITICAL, "reads any file of the server"),
    "pg_signal_autovacuum_worker": (WARNING, NOTE, "may stop an autovacuum"),
    "pg_signal_backend": (CRITICAL, WARNING, "may end other roles' sessions"),
    "pg_stat_scan_tables": (WARNING, NOTE, "may scan whole tables for statistics"),
    "pg_use_reserved_connections": (WARNING, WARNING, "takes the last connections"),
    "pg_write_all_data": (CRITICAL, WARNING, "writes to every table"),
    "pg_write_server_files": (CRITICAL, CRITICAL, "writes any file of the server"),
    "azure_pg_admin": (CRITICAL, CRITICAL, "administers the server (Azure)"),
    "cloudsqlsuperuser": (CRITICAL, CRITICAL, "administers the server (Google)"),
    "rds_replication": (CRITICAL, CRITICAL, "may copy the server (Amazon)"),
    "rds_superuser": (CRITICAL, CRITICAL, "administers the server (Amazon)"),
    "supabase_admin": (CRITICAL, CRITICAL, "administers the server (Supabase)"),
}
"""Roles that come with Postgres or a provider: how bad for a reader, for a writer, why.
https://www.postgresql.org/docs/18/predefined-roles.html"""

_UNKNOWN: Final = (CRITICAL, CRITICAL, "not known to this version of pgwarden")

_ATTRIBUTES: Final[dict[str, tuple[str, Callable[[Role], bool]]]] = {
    "superuser": ("NOSUPERUSER", lambda role: role.is_superuser),
    "createrole": ("NOCREATEROLE", lambda role: role.createrole),
    "createdb": ("NOCREATEDB", lambda role: role.createdb),
    "replication": ("NOREPLICATION", lambda role: role.replication),
    "bypassrls": ("NOBYPASSRLS", lambda role: role.bypassrls),
}


def role_of(row: list[int | str | bool]) -> Role:
    """A role, from a row of `ROLES`."""
    oid, name, *flags = row
    return Role(int(oid), str(name), *map(bool, flags))


def membership_of(row: list[int]) -> Membership:
    """A membership, from a row of `ROLES`."""
    role, member, grantor, admin = row
    return Membership(role, member, grantor, bool(admin))


def attributes(patient: Patient) -> Iterator[Finding | None]:
    """What the login's own row says, and those of the roles it may become."""
    reach = patient.reach
    for kind, (word, has) in _ATTRIBUTES.items():
        holders = [
            reach.roles[oid] for oid in sorted(reach.oids) if has(reach.roles[oid])
        ]
        if not holders:
            continue
        sql: list[str] = []
        for holder in holders:
            if holder.oid == reach.login:
                own = f"ALTER ROLE {quote_name(holder.name)} {word};"
                sql += [] if holder.oid == BOOTSTRAP else [own]
            elif patient.login.is_reader:
                sql += cut(patient, reach.first_steps(holder.oid))
            elif holder.is_superuser:
                sql += cut(patient, reach.last_steps(holder.oid))
            else:
                sql.append(f"ALTER ROLE {quote_name(holder.name)} {word};")
        others = [f'as "{each.name}"' for each in holders if each.oid != reach.login]
        own_words = ["itself"] if reach.login in {each.oid for each in holders} else []
        is_first = kind == "superuser" and reach.login == BOOTSTRAP
        yield finding(
            kind,
            patient.login,
            objects=own_words + others,
            sql=list(dict.fromkeys(sql)),
            detail="it is the bootstrap superuser: log in with another role"
            if is_first
            else "",
        )


def memberships(patient: Patient) -> Iterator[Finding | None]:
    """Roles that it holds: predefined ones by how bad they are, others as a note."""
    by_severity: dict[Severity, list[Role]] = {}
    plain: list[str] = []
    for role in patient.reach.others:
        if role.name not in PREDEFINED and not role.name.startswith("pg_"):
            plain.append(f'"{role.name}"')
            continue
        reader, writer, _ = PREDEFINED.get(role.name, _UNKNOWN)
        severity = reader if patient.login.is_reader else writer
        by_severity.setdefault(severity, []).append(role)
    for severity, roles in by_severity.items():
        sql = [
            statement
            for role in roles
            for statement in cut(
                patient,
                patient.reach.first_steps(role.oid)
                if patient.login.is_reader
                else patient.reach.last_steps(role.oid),
            )
        ]
        yield finding(
            "predefined-role",
            patient.login,
            objects=[
                f"{role.name}: {PREDEFINED.get(role.name, _UNKNOWN)[2]}"
                for role in roles
            ],
            sql=list(dict.fromkeys(sql)),
            severity=severity,
        )
    if plain:
        yield finding("can-become", patient.login, objects=plain)


# --- settings ----------------------------------------------------------------

_SETTINGS: Final = """
    SELECT s.setrole::bigint AS role, coalesce(d.datname, '') AS database,
           pg_catalog.split_part(c.config, '=', 1) AS name,
           pg_catalog.substr(c.config, pg_catalog.strpos(c.config, '=') + 1) AS value
    FROM pg_catalog.pg_db_role_setting s
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(config)
    WHERE s.setrole IN (0, @login)
    ORDER BY 2, 1, 3
"""
_ON: Final = {"on", "true", "yes", "1", "t", "y"}
_READ_ONLY: Final = "default_transaction_read_only"


def _is_risky(patient: Patient, name: str, value: str) -> Severity | None:
    """How bad a default setting is, None where it is not."""
    is_on = value.lower() in _ON
    is_reader = patient.login.is_reader
    bad = {
        "row_security": not is_on,
        "session_replication_role": value.lower() != "origin",
        "allow_system_table_mods": is_on,
        "zero_damaged_pages": is_on,
        "search_path": _hides_the_catalog(value),
        "role": is_reader and value.lower() != "none",
        _READ_ONLY: is_reader and not is_on,
        "session_preload_libraries": bool(value),
        "local_preload_libraries": bool(value),
        "dynamic_library_path": True,
    }
    if name == "lo_compat_privileges" and is_on:
        # Every large object may then be written by everybody.
        return CRITICAL if is_reader else WARNING
    return WARNING if bad.get(name, False) else None


def _hides_the_catalog(value: str) -> bool:
    """pg_catalog is first unless it is named behind another schema."""
    path = [part.strip().strip('"') for part in value.split(",")]
    return "pg_catalog" in path[1:]


def _settings(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    name = quote_name(patient.login.user)
    by_severity: dict[Severity, list[Row]] = {}
    is_default = False
    for row in rows:
        setting = row["name"].lower()
        severity = _is_risky(patient, setting, row["value"])
        if severity is not None:
            by_severity.setdefault(severity, []).append(row)
        elif setting == _READ_ONLY and row["role"] and not row["database"]:
            is_default = True
    for severity, found in by_severity.items():
        yield finding(
            "role-settings",
            patient.login,
            objects=[_shown(row) for row in found],
            sql=[_reset(name, row) for row in found],
            severity=severity,
        )
    if not is_default:
        yield finding(
            "no-read-only-default",
            patient.login,
            sql=[f"ALTER ROLE {name} SET {_READ_ONLY} = on;"],
        )


def _shown(row: Row) -> str:
    whose = "the role" if row["role"] else "everybody"
    where = f' in "{row["database"]}"' if row["database"] else ""
    return f"{row['name']} = {row['value']} (of {whose}{where})"


def _reset(name: str, row: Row) -> str:
    setting = qualified(*row["name"].split("."))
    database = quote_name(row["database"])
    if not row["role"]:
        whose = f"DATABASE {database}" if row["database"] else "ROLE ALL"
        return f"ALTER {whose} RESET {setting};"
    where = f" IN DATABASE {database}" if row["database"] else ""
    return f"ALTER ROLE {name}{where} RESET {setting};"


# Settings of the role have a source of their own, and are told above.
_SERVER_SETTINGS: Final = """
    SELECT s.name, s.reset_val AS value
    FROM pg_catalog.pg_settings s
    WHERE s.source IN ('configuration file', 'command line', 'environment variable')
    ORDER BY 1
"""
_SOUND: Final = {
    "allow_system_table_mods": "off",
    "lo_compat_privileges": "off",
    "row_security": "on",
    "session_replication_role": "origin",
    "zero_damaged_pages": "off",
}
"""What these settings should be on any server."""


def _server_settings(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    by_severity: dict[Severity, list[Row]] = {}
    for row in rows:
        if row["name"] in _SOUND:
            severity = _is_risky(patient, row["name"], row["value"])
            if severity is not None:
                by_severity.setdefault(severity, []).append(row)
    for severity, found in by_severity.items():
        yield finding(
            "server-settings",
            patient.login,
            objects=[f"{row['name']} = {row['value']}" for row in found],
            sql=[
                *(
                    f"ALTER SYSTEM SET {row['name']} = {_SOUND[row['name']]};"
                    for row in found
                ),
                "SELECT pg_catalog.pg_reload_conf();",
            ],
            severity=severity,
        )


# --- rights on the whole server ----------------------------------------------

_PARAMETERS: Final = """
    SELECT p.parname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, 10 AS owner, a.is_grantable
    FROM pg_catalog.pg_parameter_acl p
    CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> 10
    ORDER BY 1, 2
"""
_TABLESPACES: Final = """
    SELECT t.spcname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, t.spcowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_tablespace t
    CROSS JOIN LATERAL pg_catalog.aclexplode(t.spcacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> t.spcowner
    ORDER BY 1
"""
_SHARED: Final = """
    SELECT s.classid::pg_catalog.regclass::text AS class, s.refobjid::bigint AS owner,
           pg_catalog.pg_describe_object(s.classid, s.objid, 0) AS shown,
           coalesce(d.datname, t.spcname) AS name
    FROM pg_catalog.pg_shdepend s
    LEFT JOIN pg_catalog.pg_database d
      ON s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.oid = s.objid
    LEFT JOIN pg_catalog.pg_tablespace t
      ON s.classid = 'pg_catalog.pg_tablespace'::pg_catalog.regclass AND t.oid = s.objid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND s.deptype = 'o' AND s.dbid = 0 AND s.refobjid IN (@roles)
    ORDER BY 3
"""
_CLASSES: Final = {
    "pg_database": "DATABASE",
    "pg_tablespace": "TABLESPACE",
}


def _shared(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    if not rows:
        return
    sql: list[str] = []
    for row in rows:
        word = _CLASSES.get(row["class"])
        if row["owner"] != patient.reach.login:
            sql += cut(patient, patient.reach.first_steps(row["owner"]))
        elif word:
            name = quote_name(row["name"])
            sql += [NEW_KEEPER, f"ALTER {word} {name} OWNER TO {KEEPER};"]
        else:
            owner = quote_name(patient.login.user)
            sql += [NEW_KEEPER, f"REASSIGN OWNED BY {owner} TO {KEEPER};"]
    yield finding(
        "owns-server-objects",
        patient.login,
        objects=[row["shown"] for row in rows],
        sql=list(dict.fromkeys(sql)),
    )


CHECKS: Final = (
    Check(
        name="settings of the role",
        kinds=("role-settings", "no-read-only-default"),
        sql=_SETTINGS,
        judge=_settings,
    ),
    Check(
        name="settings of the server",
        kinds=("server-settings",),
        sql=_SERVER_SETTINGS,
        judge=_server_settings,
    ),
    Check(
        name="privileges on parameters",
        kinds=("parameter-privileges",),
        sql=_PARAMETERS,
        judge=grant_findings("parameter-privileges", "PARAMETER", is_dotted=True),
        since=150000,
    ),
    Check(
        name="privileges on tablespaces",
        kinds=("creates-in-tablespaces",),
        sql=_TABLESPACES,
        judge=grant_findings("creates-in-tablespaces", "TABLESPACE"),
    ),
    Check(
        name="what it owns of the server",
        kinds=("owns-server-objects",),
        sql=_SHARED,
        judge=_shared,
    ),
)
"""Run once for a login, in whichever database."""
