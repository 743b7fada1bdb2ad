"""What a database says of its functions, operators, casts and relations. Plain values.

Loaded from the server by `proxy.catalog.load`, or read from a file that `pgwarden
catalog export` wrote, so that `pgwarden check` answers as the wire does. Only what
statements can reach by name is here; the built-in functions that were reviewed are left
out, they are in `proxy/sql/data`. Next: `proxy.catalog.effects`.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import DecodeError, Struct, ValidationError, json, to_builtins

from proxy.errors import ConfigError

FORMAT: Final = 1
"""Of the exported file; another one is refused."""

SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})
"""Schemas whose relations come with the server and are judged by name alone."""


class Function(Struct, frozen=True, gc=False):
    """One overload of a function, procedure or aggregate that is not a reviewed one.

    Attributes:
        schema: where it lives.
        name: its name.
        arguments: its input types, as Postgres writes them.
        is_stable: IMMUTABLE or STABLE; Postgres lets it write nothing by itself.
        is_definer: SECURITY DEFINER, so it runs with its owner's rights.
        language: "sql", "plpgsql", "c", ...
        is_trusted: whether the language confines what its functions do to SQL.
        owner: the role that owns it.
        extension: the extension that brought it, or "".
        settings: (name, value) of its SET clauses.
        support: (schema, name) of the functions that an aggregate calls.
        of_row: it can be called as `row.name` or `(value).name`, whatever type its one
            argument has.
    """

    schema: str
    name: str
    arguments: str
    is_stable: bool
    is_definer: bool
    language: str
    is_trusted: bool
    owner: str = ""
    extension: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    support: tuple[tuple[str, str], ...] = ()
    of_row: bool = False


class Hidden(Struct, frozen=True, gc=False):
    """An operator, or a type one can cast to: using it calls a function.

    `function` is "" where nothing is called but `expression` evaluated (a domain's
    CHECK).
    """

    schema: str
    name: str
    function_schema: str = ""
    function: str = ""
    expression: str = ""


class Relation(Struct, frozen=True, gc=False):
    """A relation, with what reading it runs.

    Attributes:
        schema: where it lives.
        name: its name.
        kind: pg_class.relkind: r, p (partitioned), v, m, f (foreign), S ...
        columns: names in order; () for relations of the system.
        definition: of a view, its query with every name qualified.
        policies: expressions of its row-level policies, qualified.
        is_foreign: it, or a partition or child of it, is a foreign table.
        is_of_extension: an extension brought it; its author answers for what it runs.
    """

    schema: str
    name: str
    kind: str
    columns: tuple[str, ...] = ()
    definition: str = ""
    policies: tuple[str, ...] = ()
    is_foreign: bool = False
    is_of_extension: bool = False


class Catalog(Struct, frozen=True, gc=False):
    """One database at one moment.

    Attributes:
        database: its name.
        server_version: as the server reports it, "17.10".
        functions: see `Function`.
        operators: operators outside pg_catalog.
        types: casts outside pg_catalog, domains, and what has a domain in it, by the
            type's name.
        relations: everything that can be read from, the system's included.
        format: see `FORMAT`.
    """

    database: str
    server_version: str
    functions: tuple[Function, ...] = ()
    operators: tuple[Hidden, ...] = ()
    types: tuple[Hidden, ...] = ()
    relations: tuple[Relation, ...] = ()
    format: int = FORMAT

    @property
    def version(self) -> str:
        """Tells one state from another: the first digits of a SHA-256."""
        return hashlib.sha256(encode(self)).hexdigest()[:12]


def encode(catalog: Catalog) -> bytes:
    """The catalog as JSON, the same bytes for equal catalogs."""
    return json.encode(to_builtins(catalog), order="sorted")


def decode(data: bytes, *, source: str) -> Catalog:
    """The catalog in an exported file.

    Raises:
        ConfigError: it is not one, or of another format.
    """
    try:
        catalog = json.decode(data, type=Catalog)
    except ValidationError as error:
        raise ConfigError(f"{source}: not an exported catalog: {error}") from None
    except DecodeError as error:
        raise ConfigError(f"{source}: not JSON: {error}") from None
    if catalog.format != FORMAT:
        raise ConfigError(
            f"{source}: catalog format {catalog.format} is not {FORMAT}; export it "
            "again with this pgwarden"
        )
    return catalog
