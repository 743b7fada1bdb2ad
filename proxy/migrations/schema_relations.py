"""Questions about tables, views, indexes, sequences, and what hangs on them.

Next: `proxy.migrations.schema`, which asks them.
"""

from __future__ import annotations

from typing import Final

from proxy.migrations.schema_sql import (
    WANTED,
    collation,
    columns,
    own,
    qualified,
)

RELATIONS: Final = f"""
SELECT 'pg_class' AS class, c.oid::pg_catalog.int8 AS oid,
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
    ARRAY[n.nspname, c.relname] AS parts,
    ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
    c.relpersistence = 'u' AS is_unlogged,
    (SELECT m.amname FROM pg_catalog.pg_am m
        WHERE m.oid = c.relam AND m.amname <> 'heap') AS access_method,
    CASE WHEN c.reloftype <> 0 THEN
        pg_catalog.format_type(c.reloftype, NULL) END AS of_type,
    ARRAY(SELECT {qualified("pn.nspname", "p.relname")}
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
    pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_bound,
    CASE WHEN c.relkind = 'p' THEN
        pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
    c.relrowsecurity AS has_row_security,
    c.relforcerowsecurity AS forces_row_security,
    CASE WHEN c.relkind IN ('r', 'p', 'm') THEN
        NULLIF(c.relreplident::pg_catalog.text, 'd') END AS replica_identity,
    ARRAY(SELECT o FROM pg_catalog.unnest(c.reloptions) o
        WHERE c.relkind = 'v' ORDER BY o) AS view_options,
    CASE WHEN c.relkind IN ('v', 'm') THEN
        pg_catalog.pg_get_viewdef(c.oid) END AS query,
    (SELECT s.srvname FROM pg_catalog.pg_foreign_table f
        JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
        WHERE f.ftrelid = c.oid) AS server,
    ARRAY(SELECT o FROM pg_catalog.pg_foreign_table f
        CROSS JOIN pg_catalog.unnest(f.ftoptions) o
        WHERE f.ftrelid = c.oid ORDER BY o) AS foreign_options
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {WANTED}
    AND {own("pg_class", "c.oid")}
"""

COLUMNS: Final = f"""
SELECT 'pg_class' AS class, c.oid::pg_catalog.int8 AS oid, a.attnum AS sub,
    CASE c.relkind WHEN 'c' THEN 'attribute' ELSE 'column' END AS kind,
    ARRAY[n.nspname, c.relname, a.attname] AS parts,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
    CASE WHEN a.attcollation <> t.typcollation THEN
        {collation("a.attcollation")} END AS collation,
    a.attnotnull AS is_not_null,
    (k.conoid IS NOT NULL AND NOT k.convalidated) AS is_not_null_unvalidated,
    k.connoinherit AS is_not_null_uninherited,
    CASE WHEN a.attgenerated = '' THEN
        pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS "default",
    CASE a.attgenerated WHEN '' THEN NULL WHEN 's' THEN 'stored'
        WHEN 'v' THEN 'virtual' ELSE a.attgenerated::pg_catalog.text END AS generated,
    CASE WHEN a.attgenerated <> '' THEN
        pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS generation,
    CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END
        AS identity,
    ARRAY(SELECT o FROM pg_catalog.unnest(a.attfdwoptions) o ORDER BY o)
        AS foreign_options
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN LATERAL (SELECT s.oid AS conoid, s.convalidated, s.connoinherit
    FROM pg_catalog.pg_constraint s
    WHERE s.conrelid = a.attrelid AND s.contype = 'n' AND s.conkey = ARRAY[a.attnum]
    LIMIT 1) k ON true
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0
    AND NOT a.attisdropped AND {WANTED} AND {own("pg_class", "c.oid")}
"""
"""18 keeps NOT NULL as a named constraint as well. Its name is no part of the digest,
for 15 forgets it; that it is not valid, or not inherited, is."""

CONSTRAINTS: Final = f"""
SELECT 'pg_constraint' AS class, k.oid::pg_catalog.int8 AS oid,
    'constraint' AS kind, ARRAY[n.nspname, c.relname, k.conname] AS parts,
    CASE k.contype WHEN 'c' THEN 'check' WHEN 'p' THEN 'primary key'
        WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'x' THEN 'exclude'
        ELSE k.contype::pg_catalog.text END AS type,
    {columns("k.conkey", "k.conrelid")} AS columns,
    pg_catalog.pg_get_expr(k.conbin, k.conrelid) AS "check",
    (SELECT {qualified("fn.nspname", "f.relname")} FROM pg_catalog.pg_class f
        JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
        WHERE f.oid = k.confrelid) AS "references",
    {columns("k.confkey", "k.confrelid")} AS referenced_columns,
    CASE WHEN k.contype = 'f' THEN NULLIF(k.confupdtype::pg_catalog.text, 'a') END
        AS on_update,
    CASE WHEN k.contype = 'f' THEN NULLIF(k.confdeltype::pg_catalog.text, 'a') END
        AS on_delete,
    CASE WHEN k.contype = 'f' THEN NULLIF(k.confmatchtype::pg_catalog.text, 's') END
        AS match,
    {columns("k.confdelsetcols", "k.conrelid")} AS on_delete_sets,
    ARRAY(SELECT {qualified("opn.nspname", "op.oprname")}
        FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS u(oid, place)
        JOIN pg_catalog.pg_operator op ON op.oid = u.oid
        JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace
        ORDER BY u.place) AS operators,
    k.condeferrable AS is_deferrable, k.condeferred AS is_deferred,
    NOT k.convalidated AS is_unvalidated,
    (k.contype = 'c' AND k.connoinherit) AS is_uninherited,
    pg_catalog.to_jsonb(k) ->> 'conenforced' = 'false' AS is_unenforced,
    pg_catalog.to_jsonb(k) ->> 'conperiod' = 'true' AS is_period,
    (SELECT pg_catalog.bool_or(g.tgenabled <> 'O') FROM pg_catalog.pg_trigger g
        WHERE g.tgconstraint = k.oid AND g.tgisinternal) AS has_disabled_triggers
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('c', 'p', 'u', 'f', 'x') AND k.conparentid = 0 AND {WANTED}
    AND {own("pg_class", "c.oid")}
"""
"""What a partition has from its parent (conparentid) follows from the parent."""

INDEXES: Final = f"""
SELECT 'pg_class' AS class, c.oid::pg_catalog.int8 AS oid,
    'index' AS kind, ARRAY[n.nspname, c.relname] AS parts,
    {qualified("tn.nspname", "t.relname")} AS "table",
    m.amname AS method,
    ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, s.number, false)
        FROM pg_catalog.generate_series(1, i.indnatts) s(number) ORDER BY s.number)
        AS keys,
    NULLIF(i.indnkeyatts, i.indnatts) AS key_count,
    ARRAY(SELECT {qualified("on_.nspname", "oc.opcname")}
        FROM pg_catalog.unnest(i.indclass) WITH ORDINALITY AS u(oid, place)
        JOIN pg_catalog.pg_opclass oc ON oc.oid = u.oid
        JOIN pg_catalog.pg_namespace on_ ON on_.oid = oc.opcnamespace
        ORDER BY u.place) AS operator_classes,
    ARRAY(SELECT COALESCE({collation("u.oid")}, '')
        FROM pg_catalog.unnest(i.indcollation) WITH ORDINALITY AS u(oid, place)
        ORDER BY u.place) AS collations,
    i.indoption::pg_catalog.text AS "order",
    ARRAY(SELECT a.attnum || ' ' || o FROM pg_catalog.pg_attribute a
        CROSS JOIN pg_catalog.unnest(a.attoptions) o
        WHERE a.attrelid = i.indexrelid
            AND a.attoptions IS NOT NULL ORDER BY a.attnum, o)
        AS class_options,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
    i.indisunique AS is_unique, i.indnullsnotdistinct AS is_nulls_not_distinct,
    i.indisprimary AS is_primary, i.indisreplident AS is_replica_identity,
    NOT (i.indisvalid AND i.indisready AND i.indislive) AS is_invalid,
    (SELECT {qualified("pn.nspname", "p.relname")} FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE h.inhrelid = c.oid) AS parent
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE {WANTED} AND {own("pg_class", "t.oid")}
"""

SEQUENCES: Final = f"""
SELECT 'pg_class' AS class, c.oid::pg_catalog.int8 AS oid,
    'sequence' AS kind, ARRAY[n.nspname, c.relname] AS parts,
    pg_catalog.format_type(s.seqtypid, NULL) AS type,
    s.seqstart::pg_catalog.text AS start, s.seqincrement::pg_catalog.text AS increment,
    s.seqmin::pg_catalog.text AS min, s.seqmax::pg_catalog.text AS max,
    s.seqcache::pg_catalog.text AS cache, s.seqcycle AS cycles,
    c.relpersistence = 'u' AS is_unlogged,
    o.owner AS owned_by, o.relation AS "table"
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT
        pg_catalog.format('%I.%I.%I', tn.nspname, t.relname, a.attname) AS owner,
        {qualified("tn.nspname", "t.relname")} AS relation
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 LIMIT 1) o ON true
WHERE {WANTED} AND {own("pg_class", "c.oid")}
"""
"""How it counts, never where it stands."""

TRIGGERS: Final = f"""
SELECT 'pg_trigger' AS class, g.oid::pg_catalog.int8 AS oid,
    'trigger' AS kind, ARRAY[n.nspname, c.relname, g.tgname] AS parts,
    pg_catalog.pg_get_triggerdef(g.oid, false) AS statement,
    NULLIF(g.tgenabled::pg_catalog.text, 'O') AS enabled,
    g.tgparentid <> 0 AS is_inherited
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND {WANTED} AND {own("pg_class", "c.oid")}
"""

RULES: Final = f"""
SELECT 'pg_rewrite' AS class, r.oid::pg_catalog.int8 AS oid,
    'rule' AS kind, ARRAY[n.nspname, c.relname, r.rulename] AS parts,
    pg_catalog.pg_get_ruledef(r.oid) AS statement,
    NULLIF(r.ev_enabled::pg_catalog.text, 'O') AS enabled
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND {WANTED} AND {own("pg_class", "c.oid")}
"""

POLICIES: Final = f"""
SELECT 'pg_policy' AS class, y.oid::pg_catalog.int8 AS oid,
    'policy' AS kind, ARRAY[n.nspname, c.relname, y.polname] AS parts,
    y.polcmd AS command, NOT y.polpermissive AS is_restrictive,
    ARRAY(SELECT COALESCE(r.rolname::pg_catalog.text, 'public')
        FROM pg_catalog.unnest(y.polroles) u
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = u ORDER BY 1) AS roles,
    pg_catalog.pg_get_expr(y.polqual, y.polrelid) AS using,
    pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid) AS with_check
FROM pg_catalog.pg_policy y
JOIN pg_catalog.pg_class c ON c.oid = y.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {WANTED} AND {own("pg_class", "c.oid")}
"""

ALL: Final = (
    RELATIONS,
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    SEQUENCES,
    TRIGGERS,
    RULES,
    POLICIES,
)
