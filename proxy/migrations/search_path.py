"""A search_path as what it means here: two ways to write one path are one path.

Prisma's native engine asks for `"public"`, its other one for nothing and so has
`"$user", public`; where no schema is called like the user, both mean the same. And
where there is one, the same setting means something else than on staging. Pure.
Source: recomputeNamespacePath in PostgreSQL src/backend/catalog/namespace.c, and
SplitIdentifierString in src/backend/utils/adt/varlena.c.
"""

from __future__ import annotations

import re
from typing import Final

OWN_SCHEMA: Final = (
    "CASE WHEN pg_catalog.to_regnamespace(pg_catalog.quote_ident(CURRENT_USER))"
    " IS NOT NULL THEN CURRENT_USER::pg_catalog.text END"
)
"""Asks for the schema that "$user" stands for; NULL where there is none."""
_NAME: Final = r'\s*(?:"((?:[^"]|"")*)"|([A-Za-z_$][A-Za-z0-9_$]*))\s*'
_NAMES: Final = re.compile(rf"{_NAME}(?:,{_NAME})*")
_ONE: Final = re.compile(_NAME)
_SIMPLE: Final = re.compile(r"[a-z_][a-z0-9_]*")


def meant(setting: str, own_schema: str | None) -> str:
    """The path with "$user" resolved and each name written in one way.

    Args:
        setting: as `current_setting` gives it.
        own_schema: see `OWN_SCHEMA`.

    Returns:
        the setting itself where it can't be read: it then fits only itself.
    """
    if not _NAMES.fullmatch(setting):
        return setting
    names: list[str] = []
    for found in _ONE.finditer(setting):
        quoted, plain = found.groups()
        name = plain.lower() if quoted is None else quoted.replace('""', '"')
        if name != "$user":
            names.append(name)
        elif own_schema is not None:
            names.append(own_schema)
    return ", ".join(map(_written, names))


def _written(name: str) -> str:
    if _SIMPLE.fullmatch(name):
        return name
    quoted = name.replace('"', '""')
    return f'"{quoted}"'
