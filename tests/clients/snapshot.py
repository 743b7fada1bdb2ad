"""All there is in a database, as one value to compare before and after.

Read as superuser, past any proxy: every relation of every schema with its columns, and
the number and a digest of the rows of each table, materialised view and sequence.
"""

from __future__ import annotations

from typing import Any, Protocol

Snapshot = dict[str, tuple[object, ...]]

_RELATIONS = """
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relispopulated,
           (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '
                              ORDER BY attnum)
              FROM pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY 1
"""
_SELECT = {
    "r": "SELECT * FROM",
    "p": "SELECT * FROM",
    "m": "SELECT * FROM",
    "S": "SELECT last_value, is_called FROM",  # log_cnt is Postgres' own affair
}


class Asked(Protocol):
    """A database that can be asked past any proxy."""

    def fetch(self, query: str, /) -> list[tuple[Any, ...]]:
        """All rows of a query, as superuser."""


def snapshot(database: Asked) -> Snapshot:
    """Every relation's kind, columns, number of rows and digest of all rows."""
    found: Snapshot = {}
    for name, kind, is_populated, columns in database.fetch(_RELATIONS):
        rows: tuple[object, ...] = ()
        if kind in _SELECT and is_populated:
            (rows,) = database.fetch(
                "SELECT count(*), md5(string_agg(r::text, E'\\n' ORDER BY r::text))"
                f" FROM ({_SELECT[kind]} {name}) AS r"
            )
        found[name] = (kind, columns, *rows)
    return found
