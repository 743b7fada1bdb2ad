"""How each field of each node class of PostgreSQL's raw grammar is treated.

The tables name a class, then its fields as libpg_query's JSON spells them. A mark
behind the field says what is in it:

- none: a plain value (name, number, flag, enum); nothing below it
- `>` one node, which carries its class name
- `*` a list of such nodes
- `:Class` the body of one node of that class, without the name
- `=` names only (String or A_Star nodes); nothing below them but text
- `!` made by parse analysis only; a raw tree that has it is refused

A class or field that is not here is refused: a newer grammar must be read by a person
first. `tests/unit/sql/test_grammar.py` holds the tables against pglast's own.
Next: `proxy.sql.walk`, which reads trees by these tables.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct

from proxy.sql.grammar_parts import PARTS
from proxy.sql.grammar_statements import STATEMENTS


class Content(IntEnum):
    """What a field holds."""

    PLAIN = 0
    NODE = 1
    LIST = 2
    BODY = 3
    NAMES = 4
    REFUSED = 5


class Field(Struct, frozen=True):
    """One field of a class; `of` is the class of a BODY."""

    name: str
    content: Content
    of: str = ""


_MARKS: Final = {
    ">": Content.NODE,
    "*": Content.LIST,
    "=": Content.NAMES,
    "!": Content.REFUSED,
}


def _field(word: str) -> Field:
    name, colon, of = word.partition(":")
    if colon:
        return Field(name, Content.BODY, of)
    content = _MARKS.get(word[-1])
    return Field(word, Content.PLAIN) if content is None else Field(word[:-1], content)


def _read(table: str) -> dict[str, dict[str, Field]]:
    classes: dict[str, dict[str, Field]] = {}
    fields: dict[str, Field] = {}
    for line in table.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            fields = classes[words.pop(0)] = {}
        fields.update((field.name, field) for field in map(_field, words))
    return classes


CLASSES: Final = _read(PARTS) | _read(STATEMENTS)
"""Class name to its fields by name."""
