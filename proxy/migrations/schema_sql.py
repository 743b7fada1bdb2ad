"""What the questions to a catalog share: pinned settings, and pieces of SQL.

Each row of an answer names its object (`kind`, `parts`) and tells what it is in further
columns. One that is null, false or empty is left out of the digest, so that what a
newer major adds says nothing until somebody uses it. Columns that older majors lack are
read through `to_jsonb`. Every name is qualified.
Next: `schema_relations`, `schema_code` and `schema_operators`, with the questions.
"""

from __future__ import annotations

from typing import Final

PINNED: Final = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL quote_all_identifiers = on;
SET LOCAL standard_conforming_strings = on;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex';
SET LOCAL lc_monetary = 'C';
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s'
"""
"""Whatever decides how Postgres writes a definition. All identifiers are quoted because
which words need quotes differs between majors (`json` does from 17 on)."""

BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

WANTED: Final = """n.nspname = ANY (ARRAY(SELECT
    pg_catalog.json_array_elements_text(pg_catalog.convert_from(
        pg_catalog.decode('{schemas}', 'hex'), 'UTF8')::pg_catalog.json)))"""
"""The schemas, as the hex digits of a JSON list: no quoting to get wrong."""

_OWN: Final = """NOT EXISTS (SELECT FROM pg_catalog.pg_depend de
    WHERE de.classid = 'pg_catalog.{table}'::pg_catalog.regclass
        AND de.objid = {oid} AND de.deptype = 'e')"""
"""Not of an extension: those are their provider's to move."""


def own(table: str, oid: str) -> str:
    """Not an object of an extension."""
    return _OWN.replace("{table}", table).replace("{oid}", oid)


def qualified(schema: str, name: str) -> str:
    """An object with its schema, quoted."""
    return f"pg_catalog.format('%I.%I', {schema}, {name})"


_REGPROC: Final = """(SELECT pg_catalog.format('%I.%I', fn.nspname, fp.proname)
    FROM pg_catalog.pg_proc fp
    JOIN pg_catalog.pg_namespace fn ON fn.oid = fp.pronamespace WHERE fp.oid = {oid})"""
_COLUMNS_OF: Final = """ARRAY(SELECT ca.attname::pg_catalog.text
    FROM pg_catalog.unnest({numbers}) WITH ORDINALITY AS u(number, place)
    JOIN pg_catalog.pg_attribute ca ON ca.attrelid = {table} AND ca.attnum = u.number
    ORDER BY u.place)"""
_COLLATION: Final = """(SELECT pg_catalog.format('%I.%I', ln.nspname, l.collname)
    FROM pg_catalog.pg_collation l
    JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = {oid})"""


def function(oid: str) -> str:
    """The name of a function, by its oid."""
    return _REGPROC.replace("{oid}", oid)


def columns(numbers: str, table: str) -> str:
    """The names of columns, by their numbers."""
    return _COLUMNS_OF.replace("{numbers}", numbers).replace("{table}", table)


def collation(oid: str) -> str:
    """The name of a collation, by its oid."""
    return _COLLATION.replace("{oid}", oid)
