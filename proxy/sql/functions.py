"""What calling a function by name may do, by the tables in `proxy/sql/data`.

An allow-list: `functions.txt` names the built-in functions that only return a value,
and `effects.txt` those that do more, with the reason. Any other name is UNKNOWN, as is
one in a schema of the user's. A user's function of a built-in's name may still be
chosen for its argument types; that takes the catalog to tell.

Reads the two files once, at import. Next: `proxy.sql.parts`, which asks for each call.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from proxy.sql.facts import Effect, FunctionUse

_INFORMATION_SCHEMA: Final = (
    "_pg_char_max_length",
    "_pg_char_octet_length",
    "_pg_datetime_precision",
    "_pg_expandarray",
    "_pg_index_position",
    "_pg_interval_type",
    "_pg_numeric_precision",
    "_pg_numeric_precision_radix",
    "_pg_numeric_scale",
    "_pg_truetypid",
    "_pg_truetypmod",
)
"""Functions behind the information_schema's views; JDBC calls some by name."""


def _lines(name: str) -> list[list[str]]:
    text = (files("proxy.sql") / "data" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split(maxsplit=2) for line in lines]


EFFECTS: Final = {name: Effect(effect) for effect, name, *_ in _lines("effects.txt")}
"""Functions that do more than return a value, by name."""

HARMLESS: Final = frozenset(name for name, *_ in _lines("functions.txt"))
"""Built-in functions that only return a value, in all supported majors."""

_EFFECT_OF: Final = dict.fromkeys(HARMLESS, Effect.NONE) | EFFECTS

KNOWN: Final[dict[tuple[str, str], FunctionUse]] = (
    {
        (schema, name): FunctionUse(schema, name, effect)
        for name, effect in _EFFECT_OF.items()
        for schema in ("", "pg_catalog")
    }
    | {
        # The grammar writes "pg_catalog" before json_object(...), whoever called it; on
        # PostgreSQL 15 the name is looked up like any other.
        ("pg_catalog", "json_object"): FunctionUse("", "json_object", Effect.NONE)
    }
    | {
        # Extensions live in any schema; a name that is known for harm keeps it there.
        ("public", name): FunctionUse("public", name, effect)
        for name, effect in EFFECTS.items()
    }
    | {
        ("information_schema", name): FunctionUse(
            "information_schema", name, Effect.NONE
        )
        for name in _INFORMATION_SCHEMA
    }
)
"""(schema, name) to the one shared fact about a call of it."""

SAMPLING: Final = frozenset({"bernoulli", "system"})
"""The built-in TABLESAMPLE methods."""

TAKES_CONNECTION_STRING: Final = frozenset(
    {"dblink", "dblink_connect", "dblink_connect_u", "dblink_exec", "dblink_send_query"}
)
"""Functions whose arguments may hold a password."""


def use_of(schema: str, name: str) -> FunctionUse:
    """The fact about a call of `schema.name`; `schema` is "" where none is written."""
    known = KNOWN.get((schema, name))
    return FunctionUse(schema, name, Effect.UNKNOWN) if known is None else known
