"""What a tool's own history table calls applied, for a baseline.

Reads only. The names of tables and columns are the tools' own.
Next: `proxy.cli.migration_schema`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations.proof import Applied

if TYPE_CHECKING:
    from proxy.catalog.load import Asker


class History(NamedTuple):
    """A tool's table: what to select of it, and which rows are applied."""

    table: str
    name: str
    checksum: str
    condition: str
    order: str


HISTORIES: Final = {
    "prisma": History(
        "_prisma_migrations",
        "migration_name",
        "checksum",
        "finished_at IS NOT NULL AND rolled_back_at IS NULL",
        "started_at",
    ),
    "alembic": History("alembic_version", "version_num", "''", "true", "version_num"),
    "django": History("django_migrations", "app || '.' || name", "''", "true", "id"),
    "rails": History("schema_migrations", "version", "''", "true", "version"),
    "dbmate": History("schema_migrations", "version", "''", "true", "version"),
    "flyway": History(
        "flyway_schema_history",
        "COALESCE(version, description)",
        "COALESCE(checksum::pg_catalog.text, '')",
        "success",
        "installed_rank",
    ),
    "knex": History("knex_migrations", "name", "''", "true", "id"),
    "liquibase": History(
        "databasechangelog",
        "filename || '::' || id || '::' || author",
        "COALESCE(md5sum, '')",
        "true",
        "orderexecuted",
    ),
}
_QUERY: Final = """
SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', q.name, 'checksum', q.checksum) ORDER BY q.place), '[]')
FROM (SELECT ({name})::pg_catalog.text AS name,
        ({checksum})::pg_catalog.text AS checksum,
        pg_catalog.row_number() OVER (ORDER BY {order}) AS place
    FROM "{schema}".{table} WHERE {condition}) q
"""


async def applied(session: Asker, tool: str, schema: str) -> tuple[Applied, ...]:
    """What a tool has applied, in its order.

    Args:
        session: in no transaction, as a login that may read the table.
        tool: one of `HISTORIES`.
        schema: of its table.

    Raises:
        ConfigError: no such tool.
        Exception: whatever the session raises, as where there is no such table.
    """
    history = HISTORIES.get(tool)
    if history is None:
        known = ", ".join(sorted(HISTORIES))
        raise ConfigError(f'no history table of "{tool}" is known; of {known}')
    if not schema.replace("_", "").isalnum():
        raise ConfigError(f'"{schema}" is no plain name of a schema')
    text = await session.value(_QUERY.format(schema=schema, **history._asdict()))
    return tuple(json.decode(text, type=list[Applied]))
