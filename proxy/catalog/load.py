"""Ask a server for the catalog of one of its databases.

Reads pg_catalog alone, in one read-only transaction, as a login of pgwarden's own.
Next: `proxy.catalog.model`; `proxy.server.catalogs` calls it again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.catalog import queries
from proxy.catalog.model import Catalog, Function, Hidden, Relation
from proxy.catalog.reviewed import unreviewed

if TYPE_CHECKING:
    import asyncpg


async def fingerprint(connection: asyncpg.Connection[Any]) -> str:
    """A text that changes whenever the catalog may have changed."""
    return str(await connection.fetchval(queries.FINGERPRINT))


async def load(connection: asyncpg.Connection[Any]) -> Catalog:
    """Everything statements can reach in the database of this connection.

    Raises:
        asyncpg.PostgresError: the server refuses to tell.
        OSError: it is gone.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        database = await connection.fetchval("SELECT pg_catalog.current_database()")
        version = await connection.fetchval(
            "SELECT pg_catalog.current_setting('server_version')"
        )
        functions = await connection.fetch(queries.FUNCTIONS)
        built_in = await connection.fetch(queries.BUILT_IN)
        operators = await connection.fetch(queries.OPERATORS)
        types = await connection.fetch(queries.TYPES)
        relations = await connection.fetch(queries.RELATIONS)
    return Catalog(
        database=str(database),
        server_version=str(version).split(" ")[0],
        functions=(
            *unreviewed((row["name"], row["arguments"]) for row in built_in),
            *(_function(row) for row in functions),
        ),
        operators=tuple(Hidden(**dict(row)) for row in operators),
        types=tuple(Hidden(**dict(row)) for row in types),
        relations=tuple(_relation(row) for row in relations),
    )


def _function(row: Any) -> Function:  # noqa: ANN401 - an asyncpg.Record
    settings = [text.partition("=") for text in row["settings"]]
    return Function(
        schema=row["schema"],
        name=row["name"],
        arguments=row["arguments"],
        is_stable=row["is_stable"],
        is_definer=row["is_definer"],
        language=row["language"],
        is_trusted=row["is_trusted"],
        owner=row["owner"],
        extension=row["extension"],
        settings=tuple((name, value) for name, _, value in settings),
        support=tuple(_split(name) for name in row["support"]),
        of_row=bool(row["of_row"]),
    )


def _split(name: str) -> tuple[str, str]:
    schema, _, own = name.partition(".")
    return schema, own


def _relation(row: Any) -> Relation:  # noqa: ANN401 - an asyncpg.Record
    return Relation(
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        columns=tuple(row["columns"]),
        definition=row["definition"],
        policies=tuple(row["policies"]),
        is_foreign=row["is_foreign"],
        is_of_extension=row["is_of_extension"],
    )
