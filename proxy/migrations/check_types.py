"""Whether a column's new type may cut its values. Pure.

What is known to keep every value is listed; what is not listed may lose some.
Source: src/include/catalog/pg_cast.dat and each type's own documentation.
Next: `proxy.migrations.check_columns`, which knows the old types.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from msgspec import Struct
from typing_extensions import override


class ColumnType(Struct, frozen=True):
    """A type as the text gives it: its name without schema, and its modifiers."""

    name: str
    modifiers: tuple[int, ...] = ()
    dimensions: int = 0

    @override
    def __str__(self) -> str:
        inside = f"({', '.join(map(str, self.modifiers))})" if self.modifiers else ""
        return f"{_WORDS.get(self.name, self.name)}{inside}{'[]' * self.dimensions}"


class Change(Enum):
    """What becomes of the values."""

    KEEPS = "keeps"
    MAY_CUT = "may cut"


_WORDS: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}
_WIDER: Final = {
    "int2": {"int4", "int8", "numeric", "float4", "float8"},
    "int4": {"int8", "numeric", "float8"},
    "int8": {"numeric"},
    "float4": {"float8"},
    "date": {"timestamp"},
    "char": {"varchar"},
    "name": {"varchar"},
    "json": {"text"},
    "uuid": {"text"},
    "cidr": {"inet"},
}
"""Without modifiers on the new one. jsonb loses order and duplicates, so it is not
here; timestamp to timestamptz hangs on the session's zone."""
_TEXTS: Final = frozenset({"text", "varchar"})
_SPELLED: Final = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
    "bpchar": "char",
    "decimal": "numeric",
}
_SAME_FAMILY: Final = frozenset(
    {"varchar", "char", "varbit", "time", "timetz", "timestamp", "timestamptz"}
)
"""One modifier: more of it keeps all."""


def type_of(node: dict[str, Any]) -> ColumnType | None:
    """The type in a TypeName of the tree; None where its modifiers are no numbers."""
    name = node["names"][-1]["String"]["sval"]
    modifiers = []
    for each in node.get("typmods", ()):
        value = each.get("A_Const", {}).get("ival")
        if value is None:
            return None
        modifiers.append(value.get("ival", 0))
    return ColumnType(
        _SPELLED.get(name, name), tuple(modifiers), len(node.get("arrayBounds", ()))
    )


def change(old: ColumnType, new: ColumnType) -> Change:
    """Whether every value of the old type is one of the new type."""
    if old == new:
        return Change.KEEPS
    keeps = old.dimensions == new.dimensions and (
        _keeps_modifiers(old, new)
        if old.name == new.name
        else not new.modifiers and _is_wider(old.name, new.name)
    )
    return Change.KEEPS if keeps else Change.MAY_CUT


def _is_wider(old: str, new: str) -> bool:
    if new == "text":
        return old in _TEXTS or "text" in _WIDER.get(old, ())
    return (old == "text" and new == "varchar") or new in _WIDER.get(old, ())


def _keeps_modifiers(old: ColumnType, new: ColumnType) -> bool:
    if not new.modifiers:
        return old.name != "char"  # char alone is char(1)
    if not old.modifiers:
        return False
    if old.name == "numeric":
        return _keeps_digits(old.modifiers, new.modifiers)
    return old.name in _SAME_FAMILY and new.modifiers[0] >= old.modifiers[0]


def _keeps_digits(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Neither digits before the point get lost nor behind it."""
    old_scale, new_scale = (old[1:] or (0,))[0], (new[1:] or (0,))[0]
    return new_scale >= old_scale and new[0] - new_scale >= old[0] - old_scale
