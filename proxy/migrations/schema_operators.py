"""Questions about operators and casts, about schemas as such, and about privileges.

Next: `proxy.migrations.schema`, which asks them.
"""

from __future__ import annotations

from typing import Final

from proxy.migrations.schema_sql import WANTED, function, own, qualified

OPERATORS: Final = f"""
SELECT 'pg_operator' AS class, o.oid::pg_catalog.int8 AS oid,
    'operator' AS kind, ARRAY[n.nspname, o.oprname] AS parts,
    pg_catalog.concat_ws(', ',
        CASE WHEN o.oprleft = 0 THEN 'none'
            ELSE pg_catalog.format_type(o.oprleft, NULL) END,
        pg_catalog.format_type(o.oprright, NULL)) AS signature,
    pg_catalog.format_type(o.oprresult, NULL) AS result,
    {function("o.oprcode")} AS function,
    (SELECT {qualified("cn.nspname", "co.oprname")} FROM pg_catalog.pg_operator co
        JOIN pg_catalog.pg_namespace cn ON cn.oid = co.oprnamespace
        WHERE co.oid = o.oprcom) AS commutator,
    (SELECT {qualified("cn.nspname", "co.oprname")} FROM pg_catalog.pg_operator co
        JOIN pg_catalog.pg_namespace cn ON cn.oid = co.oprnamespace
        WHERE co.oid = o.oprnegate) AS negator,
    {function("o.oprrest")} AS restrict, {function("o.oprjoin")} AS "join",
    o.oprcanhash AS hashes, o.oprcanmerge AS merges
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE {WANTED} AND {own("pg_operator", "o.oid")}
"""

OPERATOR_CLASSES: Final = f"""
SELECT 'pg_opclass' AS class, o.oid::pg_catalog.int8 AS oid,
    'operator class' AS kind, ARRAY[n.nspname, o.opcname, m.amname] AS parts,
    pg_catalog.format_type(o.opcintype, NULL) AS type,
    CASE WHEN o.opckeytype <> 0 THEN
        pg_catalog.format_type(o.opckeytype, NULL) END AS storage,
    o.opcdefault AS is_default,
    {qualified("fn.nspname", "f.opfname")} AS family
FROM pg_catalog.pg_opclass o
JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace
WHERE {WANTED} AND {own("pg_opclass", "o.oid")}
"""

OPERATOR_FAMILIES: Final = f"""
SELECT 'pg_opfamily' AS class, f.oid::pg_catalog.int8 AS oid,
    'operator family' AS kind, ARRAY[n.nspname, f.opfname, m.amname] AS parts,
    ARRAY(SELECT pg_catalog.concat_ws(' ', o.amopstrategy, o.amoppurpose,
            o.amopopr::pg_catalog.regoperator) FROM pg_catalog.pg_amop o
        WHERE o.amopfamily = f.oid ORDER BY 1) AS operators,
    ARRAY(SELECT pg_catalog.concat_ws(' ', o.amprocnum,
            pg_catalog.format_type(o.amproclefttype, NULL),
            pg_catalog.format_type(o.amprocrighttype, NULL),
            o.amproc::pg_catalog.oid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_amproc o WHERE o.amprocfamily = f.oid ORDER BY 1)
        AS functions
FROM pg_catalog.pg_opfamily f
JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod
WHERE {WANTED} AND {own("pg_opfamily", "f.oid")}
"""

CASTS: Final = f"""
SELECT 'pg_cast' AS class, k.oid::pg_catalog.int8 AS oid,
    'cast' AS kind, ARRAY[pg_catalog.format_type(k.castsource, NULL),
        pg_catalog.format_type(k.casttarget, NULL)] AS parts,
    {function("k.castfunc")} AS function, k.castcontext AS context,
    k.castmethod AS method
FROM pg_catalog.pg_cast k
WHERE EXISTS (SELECT FROM pg_catalog.pg_type t
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid IN (k.castsource, k.casttarget) AND {WANTED}
            AND {own("pg_type", "t.oid")} AND t.typtype <> 'm')
    AND {own("pg_cast", "k.oid")}
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngtypid = k.castsource
        AND r.rngmultitypid = k.casttarget)
"""

SCHEMAS: Final = f"""
SELECT 'schema' AS kind, ARRAY[n.nspname] AS parts
FROM pg_catalog.pg_namespace n WHERE {WANTED}
"""

EXTENSIONS: Final = f"""
SELECT 'extension' AS kind, ARRAY[n.nspname, x.extname] AS parts
FROM pg_catalog.pg_extension x
JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
WHERE {WANTED}
"""
"""That it is there: the version is the provider's, and differs between majors."""

EVENT_TRIGGERS: Final = f"""
SELECT 'pg_event_trigger' AS class, e.oid::pg_catalog.int8 AS oid,
    'event trigger' AS kind, ARRAY[e.evtname] AS parts,
    e.evtevent AS event, {function("e.evtfoid")} AS function,
    NULLIF(e.evtenabled::pg_catalog.text, 'O') AS enabled,
    ARRAY(SELECT t FROM pg_catalog.unnest(e.evttags) t ORDER BY t) AS tags
FROM pg_catalog.pg_event_trigger e
JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE {WANTED} AND {own("pg_event_trigger", "e.oid")}
"""

COMMENTS: Final = """
SELECT c.relname AS class, d.objoid::pg_catalog.int8 AS oid, d.objsubid AS sub,
    d.description AS comment
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.classoid
WHERE d.objoid >= 16384
"""

_ACL: Final = """ARRAY(SELECT pg_catalog.concat_ws(' ',
        COALESCE(r.rolname::pg_catalog.text, 'public'), x.privilege_type,
        CASE WHEN x.is_grantable THEN 'with grant option' END)
    FROM pg_catalog.aclexplode({acl}) x
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE x.grantee <> {owner} ORDER BY 1)"""


def _acl(acl: str, owner: str) -> str:
    return _ACL.replace("{acl}", acl).replace("{owner}", owner)


PRIVILEGES: Final = f"""
SELECT 'privileges' AS kind, ARRAY['schema', n.nspname] AS parts,
    {_acl("n.nspacl", "n.nspowner")} AS grants
FROM pg_catalog.pg_namespace n WHERE {WANTED}
UNION ALL
SELECT 'privileges', ARRAY['relation', n.nspname, c.relname],
    {_acl("c.relacl", "c.relowner")}
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {WANTED} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND {own("pg_class", "c.oid")}
UNION ALL
SELECT 'privileges', ARRAY['column', n.nspname, c.relname, a.attname],
    {_acl("a.attacl", "c.relowner")}
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {WANTED} AND a.attnum > 0 AND NOT a.attisdropped
    AND {own("pg_class", "c.oid")}
UNION ALL
SELECT 'privileges', ARRAY['function', n.nspname, p.proname,
        pg_catalog.pg_get_function_identity_arguments(p.oid)],
    {_acl("COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))", "p.proowner")}
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE {WANTED} AND {own("pg_proc", "p.oid")}
UNION ALL
SELECT 'privileges', ARRAY['type', n.nspname, t.typname],
    {_acl("COALESCE(t.typacl, pg_catalog.acldefault('T', t.typowner))", "t.typowner")}
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE {WANTED} AND t.typtype IN ('e', 'd', 'r') AND {own("pg_type", "t.oid")}
UNION ALL
SELECT 'privileges', ARRAY['default', n.nspname, d.defaclobjtype::pg_catalog.text],
    ARRAY(SELECT o FROM (SELECT pg_catalog.unnest({_acl("b.defaclacl", "b.defaclrole")})
        AS o FROM pg_catalog.pg_default_acl b WHERE b.defaclnamespace = n.oid
            AND b.defaclobjtype = d.defaclobjtype) q ORDER BY 1)
FROM (SELECT DISTINCT defaclnamespace, defaclobjtype FROM pg_catalog.pg_default_acl) d
JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace WHERE {WANTED}
"""
"""Grants to others than the owner; owners differ between staging and production."""

ALL: Final = (
    OPERATORS,
    OPERATOR_CLASSES,
    OPERATOR_FAMILIES,
    CASTS,
    SCHEMAS,
    EXTENSIONS,
    EVENT_TRIGGERS,
)
