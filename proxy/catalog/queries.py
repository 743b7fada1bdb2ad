"""The questions to a database's own catalog. Every name is qualified.

They run with `search_path` set to pg_catalog alone, so that Postgres writes definitions
with qualified names, and nothing of the user's is called by asking.
Next: `proxy.catalog.load`.
"""

from __future__ import annotations

from typing import Final

FIRST_USER_OID: Final = 16384
"""Objects that `initdb` did not make have this oid or a higher one."""

SETTINGS: Final = {
    "search_path": "pg_catalog",
    "default_transaction_read_only": "on",
    "application_name": "pgwarden catalog",
    "statement_timeout": "60s",
    "lock_timeout": "5s",
}

FINGERPRINT: Final = """
SELECT pg_catalog.string_agg(part.sum::pg_catalog.text, ' ') FROM (
    SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        p.oid::pg_catalog.text || ' ' || p.xmin::pg_catalog.text, 0)) AS sum
        FROM pg_catalog.pg_proc p
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        c.oid::pg_catalog.text || ' ' || c.xmin::pg_catalog.text, 1))
        FROM pg_catalog.pg_class c WHERE c.relkind <> 'i'
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        a.attrelid::pg_catalog.text || ' ' || a.attnum::pg_catalog.text || ' '
        || a.xmin::pg_catalog.text, 2))
        FROM pg_catalog.pg_attribute a WHERE a.attrelid >= 16384
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        r.oid::pg_catalog.text || ' ' || r.xmin::pg_catalog.text, 3))
        FROM pg_catalog.pg_rewrite r
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        o.oid::pg_catalog.text || ' ' || o.xmin::pg_catalog.text, 4))
        FROM pg_catalog.pg_operator o
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        c.oid::pg_catalog.text || ' ' || c.xmin::pg_catalog.text, 5))
        FROM pg_catalog.pg_cast c
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        p.oid::pg_catalog.text || ' ' || p.xmin::pg_catalog.text, 6))
        FROM pg_catalog.pg_policy p
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        c.oid::pg_catalog.text || ' ' || c.xmin::pg_catalog.text, 7))
        FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        n.oid::pg_catalog.text || ' ' || n.xmin::pg_catalog.text, 8))
        FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_(temp|toast_temp)_'
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        i.inhrelid::pg_catalog.text || ' ' || i.inhparent::pg_catalog.text, 9))
        FROM pg_catalog.pg_inherits i
    UNION ALL SELECT pg_catalog.sum(pg_catalog.hashtextextended(
        t.oid::pg_catalog.text || ' ' || t.xmin::pg_catalog.text, 10))
        FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
) part
"""
"""Changes whenever something that the other queries tell may have changed."""

FUNCTIONS: Final = """
SELECT n.nspname::pg_catalog.text AS schema,
    p.proname::pg_catalog.text AS name,
    pg_catalog.oidvectortypes(p.proargtypes) AS arguments,
    p.provolatile <> 'v' AS is_stable,
    p.prosecdef AS is_definer,
    l.lanname::pg_catalog.text AS language,
    (l.lanpltrusted OR l.lanname = 'sql') AS is_trusted,
    pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text AS owner,
    COALESCE((SELECT e.extname::pg_catalog.text
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            AND d.objid = p.oid AND d.deptype = 'e'
            AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        LIMIT 1), '') AS extension,
    COALESCE(p.proconfig, '{}') AS settings,
    ARRAY(SELECT sn.nspname || '.' || s.proname
        FROM pg_catalog.pg_aggregate a
        JOIN pg_catalog.pg_proc s ON s.oid = ANY (ARRAY[a.aggtransfn::pg_catalog.oid,
            a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
            a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn])
        JOIN pg_catalog.pg_namespace sn ON sn.oid = s.pronamespace
        WHERE a.aggfnoid = p.oid) AS support,
    (p.prokind = 'f' AND p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute f
            WHERE f.attrelid = t.typrelid AND t.typrelid <> 0
                AND f.attname = p.proname AND NOT f.attisdropped)) AS of_row
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
WHERE p.oid >= 16384
    AND p.prorettype NOT IN (2279, 3838)
ORDER BY 1, 2, 3
"""
"""2279 and 3838 are trigger and event_trigger: SQL can't call what returns them."""

BUILT_IN: Final = """
SELECT p.proname::pg_catalog.text AS name,
    pg_catalog.oidvectortypes(p.proargtypes) AS arguments
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid < 16384 AND n.nspname = 'pg_catalog'
ORDER BY 1, 2
"""

OPERATORS: Final = """
SELECT n.nspname::pg_catalog.text AS schema,
    o.oprname::pg_catalog.text AS name,
    pn.nspname::pg_catalog.text AS function_schema,
    p.proname::pg_catalog.text AS function
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
JOIN pg_catalog.pg_proc p ON p.oid = ANY (ARRAY[o.oprcode::pg_catalog.oid,
    o.oprrest, o.oprjoin])
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
WHERE o.oid >= 16384
ORDER BY 1, 2, 3, 4
"""

TYPES: Final = """
WITH RECURSIVE contains AS MATERIALIZED (
    SELECT t.typbasetype AS part, t.oid AS whole
    FROM pg_catalog.pg_type t WHERE t.typbasetype <> 0
    UNION ALL
    SELECT t.typelem, t.oid FROM pg_catalog.pg_type t WHERE t.typelem <> 0
    UNION ALL
    SELECT a.atttypid, c.reltype
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
        AND c.reltype <> 0
    UNION ALL
    SELECT r.rngsubtype, r.rngtypid FROM pg_catalog.pg_range r
    UNION ALL
    SELECT r.rngtypid, r.rngmultitypid FROM pg_catalog.pg_range r
), checked AS (
    SELECT k.oid AS check, k.contypid AS type
    FROM pg_catalog.pg_constraint k
    WHERE k.contypid <> 0 AND k.contype = 'c' AND k.oid >= 16384
    UNION
    SELECT c.check, x.whole FROM checked c JOIN contains x ON x.part = c.type
)
SELECT n.nspname::pg_catalog.text AS schema,
    t.typname::pg_catalog.text AS name,
    pn.nspname::pg_catalog.text AS function_schema,
    p.proname::pg_catalog.text AS function,
    ''::pg_catalog.text AS expression
FROM pg_catalog.pg_cast c
JOIN pg_catalog.pg_type t ON t.oid = c.casttarget
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
WHERE c.oid >= 16384
UNION
SELECT n.nspname::pg_catalog.text, t.typname::pg_catalog.text, '', '',
    pg_catalog.pg_get_expr(k.conbin, 0)
FROM checked c
JOIN pg_catalog.pg_constraint k ON k.oid = c.check
JOIN pg_catalog.pg_type t ON t.oid = c.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
ORDER BY 1, 2, 3, 4, 5
"""
"""A domain's CHECK is evaluated for every type that the domain is a part of: a domain
over it, arrays, composite types, rows of tables, ranges."""

RELATIONS: Final = """
WITH RECURSIVE foreign_too AS (
    SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'f'
    UNION
    SELECT i.inhparent FROM pg_catalog.pg_inherits i
    JOIN foreign_too f ON f.oid = i.inhrelid
)
SELECT n.nspname::pg_catalog.text AS schema,
    c.relname::pg_catalog.text AS name,
    c.relkind::pg_catalog.text AS kind,
    CASE WHEN n.nspname IN ('pg_catalog', 'information_schema') THEN '{}'
        ELSE ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum) END AS columns,
    CASE WHEN c.relkind = 'v'
            AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        THEN COALESCE(pg_catalog.pg_get_viewdef(c.oid), '') ELSE '' END AS definition,
    CASE WHEN c.relrowsecurity THEN
        ARRAY(SELECT pg_catalog.pg_get_expr(y.polqual, y.polrelid)
            FROM pg_catalog.pg_policy y
            WHERE y.polrelid = c.oid AND y.polqual IS NOT NULL ORDER BY y.polname)
        ELSE '{}' END AS policies,
    EXISTS (SELECT FROM foreign_too f WHERE f.oid = c.oid) AS is_foreign,
    EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.objid = c.oid AND d.deptype = 'e') AS is_of_extension
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
    AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
ORDER BY 1, 2
"""
