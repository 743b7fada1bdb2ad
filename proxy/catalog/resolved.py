"""The outcome of resolving a statement's names: a plain value, and never compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from proxy.sql.facts import FunctionUse, RelationUse, SettingChange


class Resolved(Struct, frozen=True, gc=False):
    """What takes the place of a statement's names."""

    functions: tuple[FunctionUse, ...]
    relations: tuple[RelationUse, ...]
    behind: tuple[RelationUse, ...]
    settings: tuple[SettingChange, ...]
    operators: tuple[tuple[str, str], ...]
