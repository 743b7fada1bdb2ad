"""What a tool's own history table calls applied, for a baseline.

Reads only. The names of tables and columns are those of the tool's profile.
Next: `proxy.cli.migration_schema`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations.profile_history import histories
from proxy.migrations.proof import Applied

if TYPE_CHECKING:
    from proxy.catalog.load import Asker
    from proxy.migrations.profile import History

_QUERY: Final = """
SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', q.name, 'checksum', q.checksum) ORDER BY q.place), '[]')
FROM (SELECT {name} AS name, {checksum} AS checksum,
        pg_catalog.row_number() OVER (ORDER BY {order}) AS place
    FROM "{schema}"."{table}" WHERE {condition}) q
"""


async def applied(session: Asker, tool: str, schema: str = "") -> tuple[Applied, ...]:
    """What a tool has applied, in its order.

    Args:
        session: in no transaction, as a login that may read the table.
        tool: one of `histories`.
        schema: of its table; "" for where the tool puts it by itself.

    Raises:
        ConfigError: no such tool.
        Exception: whatever the session raises, as where there is no such table.
    """
    history = histories().get(tool)
    if history is None:
        known = ", ".join(sorted(histories()))
        raise ConfigError(f'no history table of "{tool}" is known; of {known}')
    if schema and not schema.replace("_", "").isalnum():
        raise ConfigError(f'"{schema}" is no plain name of a schema')
    text = await session.value(_query(history, schema))
    return tuple(json.decode(text, type=list[Applied]))


def _query(history: History, schema: str) -> str:
    """The query; all that goes into it are plain names and words of a closed set."""
    usual, _, table = history.tables[0].partition(".")
    name = f" || '{history.separator}' || ".join(map(_text, history.name))
    if history.without_name:
        name = f"COALESCE({name}, {_text(history.without_name)})"
    checksum = f"COALESCE({_text(history.checksum)}, '')" if history.checksum else "''"
    condition = " AND ".join(f'"{key}" {word}' for key, word in history.applied.items())
    return _QUERY.format(
        name=name,
        checksum=checksum,
        order=", ".join(f'"{each}"' for each in history.order),
        schema=schema or usual,
        table=table,
        condition=condition or "true",
    )


def _text(column: str) -> str:
    return f'"{column}"::pg_catalog.text'
