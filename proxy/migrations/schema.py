"""The schema as it is: asked of a server, object by object.

A `Snapshot` holds what Postgres said; what of it counts, and how two of them differ,
is `proxy.migrations.schema_digest`. Asks in one read-only transaction as whatever role
may log in: the catalog is open to all. (Postgres' pg_get_... functions look at the
catalog of now, not of the transaction's snapshot: so ask while nobody changes it.)
Next: `schema_relations`, `schema_code` and `schema_operators`, which are asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations import schema_code, schema_operators, schema_relations
from proxy.migrations.schema_sql import BEGIN, PINNED

if TYPE_CHECKING:
    from proxy.catalog.load import Asker

Value = str | int | bool | list[str]
Attributes = dict[str, Value]

IN_JSON: Final = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.row_to_json(q)), '[]') FROM ({}) q"
)
QUERIES: Final = (*schema_relations.ALL, *schema_code.ALL, *schema_operators.ALL)
_BOOKKEEPING_KINDS: Final = frozenset(
    {"table", "column", "constraint", "index", "sequence", "privileges"}
)
"""What is not looked at of a tool's own table, unless it calls code of the database's
own. Its triggers, rules and policies always are: each migration would run them."""
_CALLS: Final = frozenset(
    {
        "type",
        "default",
        "generation",
        "check",
        "references",
        "keys",
        "predicate",
        "operator_classes",
        "operators",
    }
)
"""Attributes through which a row that is written may run something."""
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")
_BUILT_IN: Final = '"pg_catalog".'
MAX_SCHEMAS: Final = 200
_SIMPLE: Final = re.compile(r"[a-z_][a-z0-9_]*")


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a digest is of. Digests of different scopes say nothing of each other.

    Attributes:
        schemas: their names, sorted.
        bookkeeping: tables of migration tools, as "public._prisma_migrations": left
            out, for they come and go with the tool and not with a migration.
        privileges: whether grants count. Off by default, for the names of roles
            differ between staging and production.
    """

    schemas: tuple[str, ...]
    bookkeeping: tuple[str, ...] = ()
    privileges: bool = False

    @classmethod
    def of(
        cls,
        schemas: tuple[str, ...] | list[str],
        *,
        bookkeeping: tuple[str, ...] | list[str] = (),
        privileges: bool = False,
    ) -> Self:
        """A scope, whatever the order of the names.

        Raises:
            ConfigError: no schema, or one of Postgres' own.
        """
        names = tuple(sorted(set(schemas)))
        if not names:
            raise ConfigError("a schema digest needs the name of a schema")
        if len(names) > MAX_SCHEMAS:
            raise ConfigError(f"a schema digest is of {MAX_SCHEMAS} schemas at most")
        for name in names:
            if name.startswith("pg_") or name == "information_schema" or not name:
                raise ConfigError(f'"{name}" is no schema of yours')
        tables = tuple(sorted(set(bookkeeping)))
        return cls(schemas=names, bookkeeping=tables, privileges=privileges)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server said of its schema.

    Attributes:
        scope: what was asked about.
        database: its name.
        server_version: as in "17.2".
        objects: attributes by the object's name, `table public.orders`.
    """

    scope: Scope
    database: str
    server_version: str
    objects: dict[str, Attributes]


async def read(
    session: Asker, scope: Scope, *, lock_timeout_s: float | None = None
) -> Snapshot:
    """Ask the server of this session, which must be in no transaction.

    Postgres reads a definition under an ACCESS SHARE lock on whatever it is of, so this
    waits for whoever has altered or locked a table of the scope and did not commit yet.

    Args:
        session: whom to ask.
        scope: what of.
        lock_timeout_s: how long each such wait may take, instead of the usual 5 s.

    Raises:
        ConfigError: what it said has two objects of one name.
        Exception: whatever the session raises when a query of ours fails.
    """
    await session.ask(BEGIN)
    await session.ask(PINNED)
    if lock_timeout_s is not None:
        limit_ms = max(1, round(lock_timeout_s * 1000))  # 0 would be for ever
        await session.ask(f"SET LOCAL lock_timeout = {limit_ms}")
    database = await session.value("SELECT pg_catalog.current_database()")
    version = await session.value("SELECT pg_catalog.current_setting('server_version')")
    rows = [row for query in QUERIES for row in await _rows(session, query, scope)]
    comments = {
        (each["class"], each["oid"], each["sub"]): each["comment"]
        for each in await _rows(session, schema_operators.COMMENTS, scope)
    }
    if scope.privileges:
        granted = await _rows(session, schema_operators.PRIVILEGES, scope)
        rows += [row for row in granted if row["grants"]]
    await session.ask("COMMIT")
    return Snapshot(
        scope=scope,
        database=database,
        server_version=version.split(" ")[0],
        objects=objects_of(rows, comments, scope),
    )


async def _rows(session: Asker, query: str, scope: Scope) -> list[dict[str, Any]]:
    names = json.encode(scope.schemas).hex()
    text = await session.value(IN_JSON.format(query.replace("{schemas}", names)))
    found: list[dict[str, Any]] = json.decode(text)
    return found


def objects_of(
    rows: list[dict[str, Any]],
    comments: dict[tuple[str, int, int], str],
    scope: Scope,
) -> dict[str, Attributes]:
    """What rows of the questions' answers tell, by the names of the objects.

    Raises:
        ConfigError: two objects have one name.
    """
    ours = {_quoted(*each.split(".", 1)) for each in scope.bookkeeping}
    found: dict[str, Attributes] = {}
    for row in rows:
        kind, parts = row.pop("kind"), row.pop("parts")
        place = (row.pop("class", ""), row.pop("oid", 0), row.pop("sub", 0))
        is_tools = kind in _BOOKKEEPING_KINDS and _is_of(ours, kind, parts, row)
        if is_tools and not _calls_own_code(row):
            continue
        name = object_name(kind, parts, row.pop("signature", None))
        if name in found:
            # One would hide the other; no catalog that we know of has two.
            raise ConfigError(f"the catalog has {name} twice, so it has no digest")
        comment = comments.get(place)
        found[name] = {
            key: value for key, value in {**row, "comment": comment}.items() if value
        }
    return dict(sorted(found.items()))


def _is_of(tables: set[str], kind: str, parts: list[str], row: dict[str, Any]) -> bool:
    if kind == "privileges":
        parts = parts[1:]
    table = row["table"] if kind in {"index", "sequence"} else _quoted(*parts[:2])
    return table in tables or (kind == "sequence" and _quoted(*parts[:2]) in tables)


def _calls_own_code(row: dict[str, Any]) -> bool:
    """Whether a column, constraint or index names anything outside pg_catalog.

    Every name is quoted, and qualified unless it is Postgres' own, so a dot behind a
    quote is enough to look for; in a literal it is the sequence of a nextval.
    """
    for key in _CALLS:
        value = row.get(key) or ""
        for text in [value] if isinstance(value, str) else value:
            if '".' in _LITERAL.sub("", text).replace(_BUILT_IN, ""):
                return True
    return False


def _quoted(*parts: str) -> str:
    """As Postgres' format('%I.%I') does where all identifiers are quoted."""
    return ".".join('"' + each.replace('"', '""') + '"' for each in parts)


def object_name(kind: str, parts: list[str], signature: str | None) -> str:
    """What an object is called in a snapshot: quoted only where it must be."""
    plain = kind == "cast"
    names = [
        each if plain or _SIMPLE.fullmatch(each) else _quoted(each) for each in parts
    ]
    name = " as ".join(names) if plain else ".".join(names)
    return f"{kind} {name}" + ("" if signature is None else f"({signature})")
