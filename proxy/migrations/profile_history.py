"""The tables in which the known tools write what they have applied, by their profiles.

A new tool is one profile: nothing of it stands here. Read once, and only when asked
for. Next: `proxy.migrations.history`, which asks a database by them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from proxy.migrations.profile_load import shipped_profiles

if TYPE_CHECKING:
    from proxy.migrations.profile import History


@cache
def _known() -> dict[str, History]:
    return {
        each.tool: each.model.history
        for each in shipped_profiles()
        if each.is_on and each.model.history is not None
    }


def histories() -> dict[str, History]:
    """Of each tool whose history can be read, by the id of its profile.

    Raises:
        ConfigError: an installation without profiles, or with wrong ones.
    """
    return {tool: history for tool, history in _known().items() if history.name}


def bookkeeping() -> tuple[str, ...]:
    """The tables of all tools, as `schema.table`, sorted: part of a schema digest.

    Raises:
        ConfigError: as `histories`.
    """
    return tuple(sorted({table for each in _known().values() for table in each.tables}))
