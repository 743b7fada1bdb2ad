"""Questions about functions, types, statistics, collations and text search.

Next: `proxy.migrations.schema`, which asks them.
"""

from __future__ import annotations

from typing import Final

from proxy.migrations.schema_sql import WANTED, collation, function, own, qualified

FUNCTIONS: Final = f"""
SELECT 'pg_proc' AS class, p.oid::pg_catalog.int8 AS oid,
    CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure'
        WHEN 'w' THEN 'window function' ELSE 'function' END AS kind,
    ARRAY[n.nspname, p.proname] AS parts,
    pg_catalog.pg_get_function_identity_arguments(p.oid) AS signature,
    pg_catalog.pg_get_function_arguments(p.oid) AS arguments,
    pg_catalog.pg_get_function_result(p.oid) AS result,
    l.lanname AS language,
    CASE WHEN p.prosqlbody IS NULL AND p.prokind <> 'a' THEN p.prosrc END AS body,
    pg_catalog.pg_get_function_sqlbody(p.oid) AS sql_body,
    p.probin AS library,
    p.provolatile AS volatility, p.proparallel AS parallel,
    p.proisstrict AS is_strict, p.prosecdef AS is_definer,
    p.proleakproof AS is_leakproof,
    p.procost::pg_catalog.text AS cost, NULLIF(p.prorows, 0)::pg_catalog.text AS rows,
    ARRAY(SELECT s FROM pg_catalog.unnest(p.proconfig) s ORDER BY s) AS settings,
    {function("p.prosupport")} AS support,
    CASE WHEN g.aggfnoid IS NOT NULL THEN pg_catalog.concat_ws(' ',
        g.aggkind, g.aggnumdirectargs,
        'transition', {function("g.aggtransfn")},
        'final', {function("g.aggfinalfn")},
        'combine', {function("g.aggcombinefn")},
        'serial', {function("g.aggserialfn")},
        'deserial', {function("g.aggdeserialfn")},
        'moving', {function("g.aggmtransfn")}, {function("g.aggminvtransfn")},
        {function("g.aggmfinalfn")},
        'extra', g.aggfinalextra, g.aggmfinalextra,
        'modifies', g.aggfinalmodify, g.aggmfinalmodify,
        'sorts', (SELECT {qualified("sn.nspname", "so.oprname")}
            FROM pg_catalog.pg_operator so
            JOIN pg_catalog.pg_namespace sn ON sn.oid = so.oprnamespace
            WHERE so.oid = g.aggsortop),
        'state', pg_catalog.format_type(g.aggtranstype, NULL), g.aggtransspace,
        CASE WHEN g.aggmtranstype <> 0 THEN
            pg_catalog.format_type(g.aggmtranstype, NULL) END, g.aggmtransspace,
        'initial', pg_catalog.quote_nullable(g.agginitval),
        pg_catalog.quote_nullable(g.aggminitval)) END AS aggregate
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid = p.oid
WHERE {WANTED} AND {own("pg_proc", "p.oid")}
"""

TYPES: Final = f"""
SELECT 'pg_type' AS class, t.oid::pg_catalog.int8 AS oid,
    CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range'
        WHEN 'c' THEN 'composite type' ELSE 'type' END AS kind,
    ARRAY[n.nspname, t.typname] AS parts,
    ARRAY(SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum e
        WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels,
    CASE WHEN t.typtype = 'd' THEN
        pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS base,
    t.typnotnull AS is_not_null,
    CASE WHEN t.typdefaultbin IS NOT NULL THEN
        pg_catalog.pg_get_expr(t.typdefaultbin, 0) END AS "default",
    CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation THEN
        {collation("t.typcollation")} END AS collation,
    CASE WHEN c.oid IS NOT NULL THEN
        ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum) END AS columns,
    CASE WHEN r.rngtypid IS NOT NULL THEN pg_catalog.concat_ws(' ',
        pg_catalog.format_type(r.rngsubtype, NULL),
        'multirange', pg_catalog.format_type(r.rngmultitypid, NULL),
        'collation', {collation("r.rngcollation")},
        'class', (SELECT {qualified("on_.nspname", "oc.opcname")}
            FROM pg_catalog.pg_opclass oc
            JOIN pg_catalog.pg_namespace on_ ON on_.oid = oc.opcnamespace
            WHERE oc.oid = r.rngsubopc),
        'canonical', {function("r.rngcanonical")},
        'difference', {function("r.rngsubdiff")}) END AS range,
    CASE WHEN t.typtype = 'b' THEN pg_catalog.concat_ws(' ',
        t.typlen, t.typbyval, t.typcategory, t.typispreferred, t.typdelim, t.typalign,
        t.typstorage, 'input', {function("t.typinput")},
        'output', {function("t.typoutput")}, 'receive', {function("t.typreceive")},
        'send', {function("t.typsend")}, 'modifier', {function("t.typmodin")},
        {function("t.typmodout")}, 'analyze', {function("t.typanalyze")},
        'subscript', {function("t.typsubscript")},
        'element', NULLIF(t.typelem, 0)::pg_catalog.regtype,
        'default', pg_catalog.quote_nullable(t.typdefault)) END AS base_type,
    NOT t.typisdefined AS is_shell
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
WHERE t.typtype IN ('e', 'd', 'r', 'c', 'b', 'p') AND (t.typtype <> 'c' OR c.oid > 0)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
    AND {WANTED} AND {own("pg_type", "t.oid")}
"""

DOMAIN_CONSTRAINTS: Final = f"""
SELECT 'pg_constraint' AS class, k.oid::pg_catalog.int8 AS oid,
    'domain constraint' AS kind, ARRAY[n.nspname, t.typname, k.conname] AS parts,
    pg_catalog.pg_get_expr(k.conbin, 0) AS "check",
    NOT k.convalidated AS is_unvalidated
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_type t ON t.oid = k.contypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE k.contype = 'c' AND {WANTED} AND {own("pg_type", "t.oid")}
"""

STATISTICS: Final = f"""
SELECT 'pg_statistic_ext' AS class, x.oid::pg_catalog.int8 AS oid,
    'statistics' AS kind, ARRAY[n.nspname, x.stxname] AS parts,
    pg_catalog.pg_get_statisticsobjdef(x.oid) AS statement
FROM pg_catalog.pg_statistic_ext x
JOIN pg_catalog.pg_namespace n ON n.oid = x.stxnamespace
WHERE {WANTED} AND {own("pg_statistic_ext", "x.oid")}
"""

COLLATIONS: Final = f"""
SELECT 'pg_collation' AS class, l.oid::pg_catalog.int8 AS oid,
    'collation' AS kind, ARRAY[n.nspname, l.collname] AS parts,
    l.collprovider AS provider, NOT l.collisdeterministic AS is_nondeterministic,
    l.collcollate AS "collate", l.collctype AS ctype,
    COALESCE(pg_catalog.to_jsonb(l) ->> 'colllocale',
        pg_catalog.to_jsonb(l) ->> 'colliculocale') AS locale,
    pg_catalog.to_jsonb(l) ->> 'collicurules' AS rules
FROM pg_catalog.pg_collation l
JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
WHERE {WANTED} AND {own("pg_collation", "l.oid")}
"""

TEXT_SEARCH: Final = f"""
SELECT 'pg_ts_config' AS class, f.oid::pg_catalog.int8 AS oid,
    'text search configuration' AS kind, ARRAY[n.nspname, f.cfgname] AS parts,
    {qualified("pn.nspname", "p.prsname")} AS parser,
    ARRAY(SELECT pg_catalog.concat_ws(' ', m.maptokentype, m.mapseqno,
            {qualified("dn.nspname", "d.dictname")}) FROM pg_catalog.pg_ts_config_map m
        JOIN pg_catalog.pg_ts_dict d ON d.oid = m.mapdict
        JOIN pg_catalog.pg_namespace dn ON dn.oid = d.dictnamespace
        WHERE m.mapcfg = f.oid ORDER BY m.maptokentype, m.mapseqno) AS mappings,
    NULL AS template, NULL AS options
FROM pg_catalog.pg_ts_config f
JOIN pg_catalog.pg_namespace n ON n.oid = f.cfgnamespace
JOIN pg_catalog.pg_ts_parser p ON p.oid = f.cfgparser
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.prsnamespace
WHERE {WANTED} AND {own("pg_ts_config", "f.oid")}
UNION ALL
SELECT 'pg_ts_dict', d.oid::pg_catalog.int8, 'text search dictionary',
    ARRAY[n.nspname, d.dictname], NULL, NULL,
    {qualified("tn.nspname", "t.tmplname")}, d.dictinitoption
FROM pg_catalog.pg_ts_dict d
JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.tmplnamespace
WHERE {WANTED} AND {own("pg_ts_dict", "d.oid")}
"""

CONVERSIONS: Final = f"""
SELECT 'pg_conversion' AS class, v.oid::pg_catalog.int8 AS oid,
    'conversion' AS kind, ARRAY[n.nspname, v.conname] AS parts,
    pg_catalog.pg_encoding_to_char(v.conforencoding) AS "from",
    pg_catalog.pg_encoding_to_char(v.contoencoding) AS "to",
    {function("v.conproc")} AS function, v.condefault AS is_default
FROM pg_catalog.pg_conversion v
JOIN pg_catalog.pg_namespace n ON n.oid = v.connamespace
WHERE {WANTED} AND {own("pg_conversion", "v.oid")}
"""

ALL: Final = (
    FUNCTIONS,
    TYPES,
    DOMAIN_CONSTRAINTS,
    STATISTICS,
    COLLATIONS,
    TEXT_SEARCH,
    CONVERSIONS,
)
