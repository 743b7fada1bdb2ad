"""The schema as a session itself sees it, inside its own transaction.

What a migration has done is there before it is committed, and the session waits for no
lock of its own. All is asked in one Query: settings that it pins for the answer are as
before when Postgres next reports them, so the client is told of none. In an open
transaction a savepoint takes them back; nothing else is left of it.
Pure. Next: `proxy.migrations.schema`, whose questions these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations import schema_operators
from proxy.migrations.schema import IN_JSON, QUERIES, Snapshot, objects_of
from proxy.migrations.schema_sql import BEGIN, PINNED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.schema import Scope

_SAVEPOINT: Final = "SAVEPOINT pgwarden_schema"
_BACK: Final = (
    "ROLLBACK TO SAVEPOINT pgwarden_schema; RELEASE SAVEPOINT pgwarden_schema"
)
_FIRST: Final = (
    "SELECT pg_catalog.current_database()",
    "SELECT pg_catalog.current_setting('server_version')",
)


def question(scope: Scope, *, in_block: bool) -> str:
    """The Query that asks for all; one row with one column for each of its SELECTs.

    Args:
        scope: what of it.
        in_block: a transaction is open.
    """
    asked = [*_FIRST, *(_in_json(query, scope) for query in _queries(scope))]
    opening = _SAVEPOINT if in_block else BEGIN
    closing = _BACK if in_block else "COMMIT"
    return ";\n".join([opening, PINNED.strip(), *asked, closing])


def undone(*, in_block: bool) -> str:
    """What to send when the question has failed."""
    return _BACK if in_block else "ROLLBACK"


def snapshot_of(scope: Scope, rows: Sequence[Sequence[str | None]]) -> Snapshot:
    """What the answer says.

    Raises:
        ConfigError: it is no answer to `question`, or names two objects alike.
    """
    texts = [row[0] for row in rows if row and row[0] is not None]
    queries = _queries(scope)
    if len(texts) != len(_FIRST) + len(queries):
        raise ConfigError("the schema could not be read")
    try:
        answers: list[list[dict[str, Any]]] = [
            json.decode(text) for text in texts[len(_FIRST) :]
        ]
    except msgspec.MsgspecError:
        raise ConfigError("the schema could not be read") from None
    found = [row for answer in answers[: len(QUERIES)] for row in answer]
    if scope.privileges:
        found += [row for row in answers[-1] if row["grants"]]
    comments = {
        (each["class"], each["oid"], each["sub"]): each["comment"]
        for each in answers[len(QUERIES)]
    }
    return Snapshot(
        scope=scope,
        database=texts[0],
        server_version=texts[1].split(" ")[0],
        objects=objects_of(found, comments, scope),
    )


def _queries(scope: Scope) -> tuple[str, ...]:
    more = (schema_operators.PRIVILEGES,) if scope.privileges else ()
    return (*QUERIES, schema_operators.COMMENTS, *more)


def _in_json(query: str, scope: Scope) -> str:
    names = json.encode(scope.schemas).hex()
    return IN_JSON.format(query.replace("{schemas}", names))
