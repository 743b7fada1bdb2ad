"""Which code the login may run in one database, and what that code may reach.

Names of functions with effects come from `proxy.sql.functions`. Pure.
Next: `proxy.doctor.checks_server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.doctor.check import Check
from proxy.doctor.findings import finding
from proxy.doctor.grants import grant_findings, grant_of, told
from proxy.doctor.quoting import qualified, quote_name, quote_text
from proxy.doctor.risky import RISKY_FUNCTIONS
from proxy.sql.facts import Effect
from proxy.sql.functions import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.doctor.check import Row, Rows
    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Grant, Patient

EXTENSIONS: Final = {
    "adminpack": "reads and writes server files",
    "aws_lambda": "calls out",
    "aws_s3": "copies to and from other machines",
    "dblink": "runs SQL in sessions of its own, past pgwarden",
    "file_fdw": "reads server files and programs",
    "http": "calls out",
    "lo": "deletes large objects",
    "mysql_fdw": "reaches other servers",
    "oracle_fdw": "reaches other servers",
    "orafce": "reads and writes server files (utl_file)",
    "pageinspect": "reads raw pages, deleted rows too",
    "pg_background": "runs SQL in sessions of its own, past pgwarden",
    "pg_cron": "runs SQL later, past pgwarden",
    "pg_net": "calls out",
    "pg_surgery": "destroys rows",
    "pg_tle": "installs code",
    "plperlu": "code with the rights of the server's account",
    "plpython3u": "code with the rights of the server's account",
    "plsh": "runs programs",
    "pltclu": "code with the rights of the server's account",
    "postgres_fdw": "reaches other servers",
    "tds_fdw": "reaches other servers",
}
"""Extensions whose purpose is to reach further, and what they do."""

_OUTSIDE: Final = frozenset({Effect.FILE, Effect.NETWORK})

_FUNCTION: Final = """
    SELECT n.nspname AS schema, p.proname AS name,
           coalesce((SELECT pg_catalog.string_agg(
                       pg_catalog.format_type(t.type, NULL), ', ' ORDER BY t.at)
                     FROM pg_catalog.unnest(p.proargtypes)
                          WITH ORDINALITY AS t(type, at)), '') AS arguments,
           a.privilege_type AS privilege, a.grantee::bigint, a.grantor::bigint,
           p.proowner::bigint AS owner, a.is_grantable, e.extname AS extension,
           i.initprivs IS NOT NULL AND NOT EXISTS (
             SELECT FROM pg_catalog.aclexplode(i.initprivs) j
             WHERE j.grantee = a.grantee) AS is_added,
           o.rolsuper AS is_superusers, o.rolname AS owner_name
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
    LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
         AND d.deptype = 'e'
         AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    LEFT JOIN pg_catalog.pg_init_privs i
      ON i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid
         AND i.objsubid = 0
    CROSS JOIN LATERAL pg_catalog.aclexplode(
      coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    WHERE a.grantee IN (@holders) AND a.grantee <> p.proowner AND @which
    ORDER BY 1, 2, 3, 5
"""
_NAMES: Final = ", ".join(quote_text(name) for name in sorted(EFFECTS))
_WITH_EFFECTS: Final = _FUNCTION.replace(
    "@which",
    f"p.proname IN ({_NAMES}) AND (n.nspname = 'pg_catalog' OR e.oid IS NOT NULL)",
)
# A function that nobody can name can't be called either: its schema has to be open.
_DEFINERS: Final = _FUNCTION.replace(
    "@which",
    """p.prosecdef AND p.proowner NOT IN (@roles)
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND (n.nspowner IN (@roles) OR EXISTS (
        SELECT FROM pg_catalog.aclexplode(
          coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) u
        WHERE u.grantee IN (@holders) AND u.privilege_type = 'USAGE'))""",
)


def _function(row: Row) -> Grant:
    # format_type has quoted the types.
    name = f"{qualified(row['schema'], row['name'])}({row['arguments']})"
    return grant_of(row, "ROUTINE", name)


def _with_effects(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    dangerous, public = [], []
    for row in rows:
        is_outside = EFFECTS[row["name"]] in _OUTSIDE and row["extension"] is not None
        if row["is_added"] or is_outside:
            dangerous.append(_function(row))
        elif row["name"] in RISKY_FUNCTIONS:
            public.append(_function(row))
    yield told("dangerous-functions", patient, dangerous)
    yield told("public-functions", patient, public)


def _definers(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    for kind, is_superusers in (
        ("security-definer-superuser", True),
        ("security-definer", False),
    ):
        found = [row for row in rows if row["is_superusers"] == is_superusers]
        owners = sorted({quote_name(row["owner_name"]) for row in found})
        yield told(
            kind,
            patient,
            map(_function, found),
            detail=f"they run as {', '.join(owners)}",
        )


_EXTENSIONS: Final = """
    SELECT e.extname AS name FROM pg_catalog.pg_extension e ORDER BY 1
"""
_LANGUAGES: Final = """
    SELECT l.lanname AS name, e.extname AS extension FROM pg_catalog.pg_language l
    LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_language'::pg_catalog.regclass AND d.objid = l.oid
         AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c')
    ORDER BY 1
"""
_WRAPPERS: Final = """
    SELECT w.fdwname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, w.fdwowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_foreign_data_wrapper w
    CROSS JOIN LATERAL pg_catalog.aclexplode(w.fdwacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> w.fdwowner
    ORDER BY 1
"""
_SERVERS: Final = """
    SELECT s.srvname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, s.srvowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_foreign_server s
    CROSS JOIN LATERAL pg_catalog.aclexplode(s.srvacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> s.srvowner
    ORDER BY 1
"""
# Whoever reads one needs no USAGE on its server, only a mapping of one's own or of
# PUBLIC; file_fdw needs none.
_FOREIGN_TABLES: Final = """
    SELECT n.nspname AS schema, c.relname AS name, a.privilege_type AS privilege,
           a.grantee::bigint, a.grantor::bigint, c.relowner::bigint AS owner,
           a.is_grantable
    FROM pg_catalog.pg_foreign_table t
    JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
    JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> c.relowner
      AND a.privilege_type = 'SELECT'
      AND (w.fdwname = 'file_fdw' OR EXISTS (
        SELECT FROM pg_catalog.pg_user_mappings m
        WHERE m.srvid = s.oid AND m.umuser IN (@holders)))
    ORDER BY 1, 2, 4
"""


def _foreign_tables(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    yield told(
        "foreign-tables",
        patient,
        (grant_of(row, "TABLE", qualified(row["schema"], row["name"])) for row in rows),
    )


def _extensions(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    found = [row["name"] for row in rows if row["name"] in EXTENSIONS]
    if found:
        yield finding(
            "dangerous-extensions",
            patient.login,
            objects=[f"{name}: {EXTENSIONS[name]}" for name in found],
            sql=[f"DROP EXTENSION {quote_name(name)};" for name in found],
            database=patient.database,
        )


def _languages(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    if rows:
        yield finding(
            "untrusted-languages",
            patient.login,
            objects=[row["name"] for row in rows],
            sql=[
                f"DROP EXTENSION {quote_name(row['extension'])};"
                if row["extension"]
                else f"DROP LANGUAGE {quote_name(row['name'])};"
                for row in rows
            ],
            database=patient.database,
        )


CHECKS: Final = (
    Check(
        name="functions with effects",
        kinds=("dangerous-functions", "public-functions"),
        sql=_WITH_EFFECTS,
        judge=_with_effects,
    ),
    Check(
        name="functions that run as their owner",
        kinds=("security-definer-superuser", "security-definer"),
        sql=_DEFINERS,
        judge=_definers,
    ),
    Check(
        name="extensions",
        kinds=("dangerous-extensions",),
        sql=_EXTENSIONS,
        judge=_extensions,
    ),
    Check(
        name="languages",
        kinds=("untrusted-languages",),
        sql=_LANGUAGES,
        judge=_languages,
    ),
    Check(
        name="foreign-data wrappers",
        kinds=("foreign-data-wrappers",),
        sql=_WRAPPERS,
        judge=grant_findings("foreign-data-wrappers", "FOREIGN DATA WRAPPER"),
    ),
    Check(
        name="foreign servers",
        kinds=("foreign-servers",),
        sql=_SERVERS,
        judge=grant_findings("foreign-servers", "FOREIGN SERVER"),
    ),
    Check(
        name="foreign tables",
        kinds=("foreign-tables",),
        sql=_FOREIGN_TABLES,
        judge=_foreign_tables,
    ),
)
"""Run in each database."""
