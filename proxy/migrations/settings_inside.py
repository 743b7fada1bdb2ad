"""The settings of a session, as it sees them itself: those that a proof looks at. Pure.

Next: `proxy.migrations.proof`, which says which; `proxy.migrations.search_path`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import ConfigError
from proxy.migrations.proof import SETTINGS
from proxy.migrations.search_path import OWN_SCHEMA, meant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CURRENT_SCHEMA: Final = "current_schema"
"""Beside the settings: where the session makes what it names without a schema."""
_NAMES: Final = (*SETTINGS, "lock_timeout", "statement_timeout")
"""The time-outs are no part of a proof: they are put back behind CONCURRENTLY."""
QUESTION: Final = (
    "SELECT pg_catalog.json_build_array("
    + ", ".join(f"pg_catalog.current_setting('{name}', true)" for name in _NAMES)
    + f", pg_catalog.current_schema(), {OWN_SCHEMA})"
)


def settings_of(rows: Sequence[Sequence[str | None]]) -> Mapping[str, str]:
    """What the answer says; without those that the server does not know.

    Raises:
        ConfigError: it is no answer to `QUESTION`.
    """
    try:
        *values, own = msgspec.json.decode(rows[0][0] or "", type=list[str | None])
    except (IndexError, ValueError):
        raise ConfigError("the settings of the session could not be read") from None
    names = (*_NAMES, CURRENT_SCHEMA)
    if len(values) != len(names):
        raise ConfigError("the settings of the session could not be read")
    found = {n: v for n, v in zip(names, values, strict=True) if v is not None}
    return {**found, "search_path": meant(found.get("search_path", ""), own)}
