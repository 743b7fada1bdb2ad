"""Which statements have a way back that brings the same schema and data.

Next: `proxy.migrations.check`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Flag, Kind

if TYPE_CHECKING:
    from proxy.sql.facts import Facts

_HAS_NO_WAY_BACK: Final = (
    "drop database",
    "drop schema",
    "drop owned",
    "drop table",
    "drop materialized view",
    "drop foreign table",
    "drop sequence",
    "alter table drop column",
    "alter table drop identity",
    "alter table alter column type",
    "alter table set column expression",
    "alter type add value*",
    "refresh materialized view with no data",
)
_CHANGES_ROWS: Final = frozenset(
    {Kind.DELETE, Kind.UPDATE, Kind.TRUNCATE, Kind.MERGE, Kind.PROCEDURE}
)


def is_one_way(facts: Facts) -> bool:
    """Whether what it takes away is nowhere but in a backup."""
    return (
        Flag.CASCADE in facts.flags
        or not facts.kinds.isdisjoint(_CHANGES_ROWS)
        or any(
            fnmatchcase(action, pattern)
            for action in facts.actions
            for pattern in _HAS_NO_WAY_BACK
        )
    )
