"""Ask a server for the catalog of one of its databases.

Reads pg_catalog alone, in one read-only transaction, as a login of pgwarden's own. Each
answer comes as one value in JSON, which is decoded in C.
Next: `proxy.catalog.model`; `proxy.server.catalogs` calls it again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import json

from proxy.catalog import queries
from proxy.catalog.model import Catalog, Function, Hidden, Relation
from proxy.catalog.reviewed import unreviewed

if TYPE_CHECKING:
    from collections.abc import Awaitable


_IN_JSON: Final = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.row_to_json(q)), '[]') FROM ({}) q"
)


class Asker(Protocol):
    """A session to ask, such as `proxy.server.conversation`; it raises as it likes."""

    def ask(self, text: str) -> Awaitable[object]:
        """Run statements that answer nothing."""
        ...

    def value(self, text: str) -> Awaitable[str]:
        """The one value of a query."""
        ...


async def fingerprint(session: Asker) -> str:
    """A text that changes whenever the catalog may have changed."""
    return await session.value(queries.FINGERPRINT)


async def load(session: Asker) -> Catalog:
    """Everything statements can reach in the database of this session."""
    await session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    database = await session.value("SELECT pg_catalog.current_database()")
    version = await session.value("SELECT pg_catalog.current_setting('server_version')")
    functions = await _rows(session, queries.FUNCTIONS)
    built_in = await _rows(session, queries.BUILT_IN)
    operators = await _rows(session, queries.OPERATORS)
    types = await _rows(session, queries.TYPES)
    relations = await _rows(session, queries.RELATIONS)
    await session.ask("COMMIT")
    return Catalog(
        database=database,
        server_version=version.split(" ")[0],
        functions=(
            *unreviewed((row["name"], row["arguments"]) for row in built_in),
            *(_function(row) for row in functions),
        ),
        operators=tuple(Hidden(**row) for row in operators),
        types=tuple(Hidden(**row) for row in types),
        relations=tuple(_relation(row) for row in relations),
    )


async def _rows(session: Asker, query: str) -> list[dict[str, Any]]:
    """The rows of a query, in its order."""
    text = await session.value(_IN_JSON.format(query))
    found: list[dict[str, Any]] = json.decode(text)
    return found


def _function(row: dict[str, Any]) -> Function:
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


def _relation(row: dict[str, Any]) -> Relation:
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
