"""What the login owns and may write in one database.

Pure. Next: `proxy.doctor.checks_code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.doctor.check import Check
from proxy.doctor.findings import finding
from proxy.doctor.grants import grant_findings, grant_of, told
from proxy.doctor.mending import KEEPER, NEW_KEEPER, cut
from proxy.doctor.quoting import qualified, quote_name
from proxy.doctor.reach import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.doctor.check import Row, Rows
    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Grant, Patient

# --- ownership -----------------------------------------------------------------

_OWNED: Final = """
    SELECT s.classid::pg_catalog.regclass::text AS class, s.refobjid::bigint AS owner,
           pg_catalog.pg_describe_object(s.classid, s.objid, 0) AS shown
    FROM pg_catalog.pg_shdepend s
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND s.deptype = 'o' AND s.refobjid IN (@roles)
      AND s.dbid = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
      AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
    ORDER BY 1, 3
"""
_OWNED_KINDS: Final = {
    "pg_namespace": "owns-schemas",
    "pg_class": "owns-relations",
    "pg_proc": "owns-functions",
}


def _owned(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    by_kind: dict[str, Rows] = {}
    for row in rows:
        kind = _OWNED_KINDS.get(row["class"], "owns-other")
        by_kind.setdefault(kind, []).append(row)
    for kind, found in by_kind.items():
        sql: list[str] = []
        for owner in dict.fromkeys(row["owner"] for row in found):
            if owner == patient.reach.login:
                name = quote_name(patient.reach.name(owner))
                sql += [NEW_KEEPER, f"REASSIGN OWNED BY {name} TO {KEEPER};"]
            else:
                sql += cut(patient, patient.reach.first_steps(owner))
        yield finding(
            kind,
            patient.login,
            objects=[_owned_as(patient, row) for row in found],
            sql=sql,
            database=patient.database,
        )


def _owned_as(patient: Patient, row: Row) -> str:
    if row["owner"] == patient.reach.login:
        return str(row["shown"])
    return f"{row['shown']} (as {quote_name(patient.reach.name(row['owner']))})"


# --- privileges ----------------------------------------------------------------

# pg_settings: everybody may UPDATE it, which is SET by another name.
_RELATIONS: Final = """
    SELECT c.relkind::text AS kind, n.nspname AS schema, c.relname AS name,
           a.privilege_type AS privilege, a.grantee::bigint, a.grantor::bigint,
           c.relowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> c.relowner
      AND a.privilege_type <> 'SELECT'
      AND n.nspname !~ '^pg_(temp|toast)'
      AND NOT (n.nspname = 'pg_catalog' AND c.relname = 'pg_settings')
    ORDER BY 2, 3, 5, 4
"""
_COLUMNS: Final = """
    SELECT n.nspname AS schema, c.relname AS name, t.attname AS column,
           a.privilege_type AS privilege, a.grantee::bigint, a.grantor::bigint,
           c.relowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_attribute t
    JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
    WHERE NOT t.attisdropped AND a.grantee IN (@holders) AND a.grantee <> c.relowner
      AND a.privilege_type <> 'SELECT' AND n.nspname !~ '^pg_(temp|toast)'
    ORDER BY 1, 2, 3, 5, 4
"""
# What initdb takes from everybody (system_views.sql), by relation or column.
_SECRETS: Final = """
    SELECT n.nspname AS schema, c.relname AS name, NULL AS column,
           a.privilege_type AS privilege, a.grantee::bigint, a.grantor::bigint,
           c.relowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
    WHERE @closed
    UNION ALL
    SELECT n.nspname, c.relname, t.attname, a.privilege_type, a.grantee::bigint,
           a.grantor::bigint, c.relowner::bigint, a.is_grantable
    FROM pg_catalog.pg_attribute t
    JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
    WHERE @closed AND (c.relname <> 'pg_subscription' OR t.attname = 'subconninfo')
    ORDER BY 2, 3, 5
""".replace(
    "@closed",
    """a.grantee IN (@holders) AND a.grantee <> c.relowner
      AND a.privilege_type = 'SELECT' AND n.nspname = 'pg_catalog'
      AND c.relname IN ('pg_authid', 'pg_shadow', 'pg_user_mapping', 'pg_largeobject',
                        'pg_statistic', 'pg_statistic_ext_data', 'pg_subscription')""",
)
_LARGE_OBJECTS: Final = """
    SELECT m.oid::bigint AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, m.lomowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_largeobject_metadata m
    CROSS JOIN LATERAL pg_catalog.aclexplode(m.lomacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> m.lomowner
      AND a.privilege_type <> 'SELECT'
    ORDER BY 1
"""
_SCHEMAS: Final = """
    SELECT n.nspname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, n.nspowner::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_namespace n
    CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> n.nspowner
      AND a.privilege_type = 'CREATE' AND n.nspname !~ '^pg_(temp|toast)'
    ORDER BY 1
"""
_DATABASE: Final = """
    SELECT d.datname AS name, a.privilege_type AS privilege, a.grantee::bigint,
           a.grantor::bigint, d.datdba::bigint AS owner, a.is_grantable
    FROM pg_catalog.pg_database d
    CROSS JOIN LATERAL pg_catalog.aclexplode(
      coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE d.datname = pg_catalog.current_database() AND a.grantee IN (@holders)
      AND a.grantee <> d.datdba AND a.privilege_type IN ('CREATE', 'TEMPORARY')
    ORDER BY 2, 3
"""
_DEFAULTS: Final = """
    SELECT f.defaclrole::bigint AS owner, n.nspname AS schema,
           f.defaclobjtype::text AS kind, a.privilege_type AS privilege,
           a.grantee::bigint
    FROM pg_catalog.pg_default_acl f
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.defaclnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(f.defaclacl) a
    WHERE a.grantee IN (@holders) AND a.grantee <> f.defaclrole
      AND (f.defaclobjtype IN ('r', 'S', 'L') AND a.privilege_type <> 'SELECT'
           OR f.defaclobjtype = 'n' AND a.privilege_type = 'CREATE')
    ORDER BY 1, 2, 3, 4
"""
_DEFAULT_WORDS: Final = {
    "r": "TABLES", "S": "SEQUENCES", "n": "SCHEMAS", "L": "LARGE OBJECTS",
}  # fmt: skip


def _relations(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    def grants(*, are_sequences: bool) -> Finding | None:
        word = "SEQUENCE" if are_sequences else "TABLE"
        return told(
            "uses-sequences" if are_sequences else "writes-relations",
            patient,
            (
                grant_of(row, word, name)
                for row in rows
                if (row["kind"] == "S") == are_sequences
                for name in [qualified(row["schema"], row["name"])]
            ),
        )

    yield grants(are_sequences=False)
    yield grants(are_sequences=True)


def _on_column(row: Row) -> Grant:
    table = qualified(row["schema"], row["name"])
    return grant_of(
        row,
        "TABLE",
        table,
        shown=qualified(row["schema"], row["name"], row["column"]),
        privilege=f"{row['privilege']} ({quote_name(row['column'])})",
    )


def _columns(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    yield told("writes-columns", patient, map(_on_column, rows))


def _secrets(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    grants = [
        _on_column(row)
        if row["column"]
        else grant_of(row, "TABLE", qualified(row["schema"], row["name"]))
        for row in rows
    ]
    yield told("reads-secrets", patient, grants)


def _large_objects(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    yield told(
        "writes-large-objects",
        patient,
        (grant_of(row, "LARGE OBJECT", str(row["name"])) for row in rows),
    )


def _database(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    for kind, privilege in (
        ("creates-in-database", "CREATE"),
        ("temp-tables", "TEMPORARY"),
    ):
        found = [row for row in rows if row["privilege"] == privilege]
        yield from grant_findings(kind, "DATABASE")(patient, found)


def _defaults(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    if not rows:
        return
    reach = patient.reach
    sql: list[str] = []
    shown: list[str] = []
    for row in rows:
        owner, word = reach.name(row["owner"]), _DEFAULT_WORDS[row["kind"]]
        where = f" IN SCHEMA {quote_name(row['schema'])}" if row["schema"] else ""
        shown.append(f"{row['privilege']} on {word.lower()} of {quote_name(owner)}")
        if row["grantee"] not in {PUBLIC, reach.login}:
            sql += cut(patient, reach.first_steps(row["grantee"]))
            continue
        holder = (
            "PUBLIC"
            if row["grantee"] == PUBLIC
            else quote_name(reach.name(reach.login))
        )
        sql.append(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote_name(owner)}{where} "
            f"REVOKE {row['privilege']} ON {word} FROM {holder};"
        )
    yield finding(
        "default-privileges",
        patient.login,
        objects=shown,
        sql=list(dict.fromkeys(sql)),
        database=patient.database,
    )


CHECKS: Final = (
    Check(
        name="what it owns",
        kinds=("owns-schemas", "owns-relations", "owns-functions", "owns-other"),
        sql=_OWNED,
        judge=_owned,
    ),
    Check(
        name="privileges on relations",
        kinds=("writes-relations", "uses-sequences"),
        sql=_RELATIONS,
        judge=_relations,
    ),
    Check(
        name="privileges on columns",
        kinds=("writes-columns",),
        sql=_COLUMNS,
        judge=_columns,
    ),
    Check(
        name="privileges on secrets",
        kinds=("reads-secrets",),
        sql=_SECRETS,
        judge=_secrets,
    ),
    Check(
        name="privileges on large objects",
        kinds=("writes-large-objects",),
        sql=_LARGE_OBJECTS,
        judge=_large_objects,
    ),
    Check(
        name="privileges on schemas",
        kinds=("creates-in-schemas",),
        sql=_SCHEMAS,
        judge=grant_findings("creates-in-schemas", "SCHEMA"),
    ),
    Check(
        name="privileges on the database",
        kinds=("creates-in-database", "temp-tables"),
        sql=_DATABASE,
        judge=_database,
    ),
    Check(
        name="default privileges",
        kinds=("default-privileges",),
        sql=_DEFAULTS,
        judge=_defaults,
    ),
)
"""Run in each database."""
