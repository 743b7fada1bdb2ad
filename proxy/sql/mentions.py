"""The operators and types that a text names: asked for only where some are dangerous.

A second walk over the tree, for databases in which an operator or a cast calls a
function that does more than return a value. Widely read: any string in an operator's
or a type's place counts. Next: `proxy.catalog.resolve`, which asks.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.sql.parse import parse, statements

IMPLIED: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
"""Operators that grammar calls without naming them: IN, CASE, USING, ORDER BY ..."""

_OPERATOR_KEYS: Final = ("name", "operName", "useOp")


class Mentions:
    """What one text names."""

    def __init__(self) -> None:
        self.operators: set[str] = set(IMPLIED)
        self.types: set[str] = set()


def mentions(text: str) -> Mentions:
    """The operators and types in a text that has facts already.

    Raises:
        ParseTroubleError: it has none.
    """
    found = Mentions()
    pending: list[Any] = [each["stmt"] for each in statements(parse(text))]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in _OPERATOR_KEYS:
                    found.operators.update(_strings(value))
                elif key == "names":
                    found.types.update(_strings(value))
                pending.append(value)
    return found


def _strings(value: object) -> list[str]:
    """The strings of a list of String nodes, and what LIKE and BETWEEN stand for."""
    if not isinstance(value, list):
        return []
    return [
        node["String"]["sval"]
        for node in value
        if isinstance(node, dict) and "String" in node and "sval" in node["String"]
    ]
