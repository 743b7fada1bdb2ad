"""A tree without its literals: what statements that differ only in values share.

`pgbench`, and whatever writes values into its texts, sends a new text each time and the
same tree but for a number in it. Taken out are: where in the text a node stands
(`location`), and the value of an integer, a decimal or a string. Nothing else, so two
trees with one key differ in nothing else: a name is never a literal.

This says nothing about what a literal may *do* (`set_config('role', 'x', false)`): it
is for `proxy.sql.plain_select` alone, whose facts no literal can change. Pure.
"""

from __future__ import annotations

from typing import Final

LOCATION: Final = '"location":'
"""In the JSON of a tree only ever a key: inside a string its quotes are escaped."""
CONSTANT: Final = '"A_Const":{"'
_INTEGER: Final = 'ival":{"ival":'
_STRING: Final = 'sval":{"sval":"'
_DECIMAL: Final = 'fval":{"fval":"'
_DIGITS: Final = "-0123456789"
_END: Final = "},"
_END_OF_STRING: Final = '"},'


def without_literals(json: str) -> str:
    """The tree `json` without locations and without the values of its constants.

    A constant's location follows its value, so a value is what a piece between two
    locations ends with. A string with a quote in it stays: nothing is unescaped here.
    """
    pieces = json.split(LOCATION)
    last = len(pieces) - 1
    for index, piece in enumerate(pieces):
        kept = piece.lstrip(_DIGITS) if index else piece
        if index < last and kept.endswith(_END):
            start = kept.rfind(CONSTANT)
            if start >= 0:
                kept = _without_value(kept, start + len(CONSTANT))
        pieces[index] = kept
    return LOCATION.join(pieces)


def _without_value(piece: str, start: int) -> str:
    """A piece whose last constant begins at `start`, without that one's value."""
    if piece.startswith(_INTEGER, start):
        at = start + len(_INTEGER)
        is_whole = not piece[at : -len(_END)].strip(_DIGITS)
    elif piece.startswith((_STRING, _DECIMAL), start) and piece.endswith(
        _END_OF_STRING
    ):
        at = start + len(_STRING)
        is_whole = piece.find('"', at) == len(piece) - len(_END_OF_STRING)
    else:
        return piece
    return piece[:at] if is_whole else piece
