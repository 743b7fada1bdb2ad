"""Texts and trees without their literals: what statements that differ in values share.

`pgbench`, and whatever writes values into its texts, sends a new text each time and the
same tree but for a number in it. Taken out are: where in the text a node stands
(`location`), and the value of an integer, a decimal or a string. Nothing else, so two
trees with one key differ in nothing else: a name is never a literal.

A text of nothing but words, integers and simple operators has a tree that hangs on its
integers in their values alone, so that one need not even be parsed.

This says nothing about what a literal may *do* (`set_config('role', 'x', false)`): it
is for `proxy.sql.plain_select` alone, whose facts no literal can change. Pure.
Source: src/backend/parser/scan.l, the rules `integer`, `param`, `identifier`.
"""

from __future__ import annotations

import re
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

MOST_BYTES: Final = 1024
"""Of a text that is looked up without its integers; longer ones are looked up anew."""
_SIMPLE: Final = re.compile(rb"[A-Za-z0-9_ \t\r\n,.;()=<>*+%]*").fullmatch
"""No quote, comment, parameter or backslash can begin: words, integers and decimals are
what they seem. No `?` either, which takes the place of an integer."""
_INTEGER_TOKEN: Final = re.compile(
    rb"([ \t\r\n,;()=<>*+%])[0-9]{1,9}(?![0-9A-Za-z_.])"
).split
"""An integer and what stands before it. Not those of ten digits and more, which are
decimals beyond 2147483647, nor any that a word or a dot touches."""


def without_integers(text: bytes) -> bytes:
    """The text `text` without the values of its integers, b"" if it is not simple.

    Two texts with one key have the same tokens in the same places, so one tree but for
    those values; see `hangs_on_integers` for the exception.
    """
    if len(text) > MOST_BYTES or _SIMPLE(text) is None:
        return b""
    pieces = _INTEGER_TOKEN(text)
    pieces.append(b"%d" % len(text))
    return b"?".join(pieces)


def hangs_on_integers(text: bytes) -> bool:
    """Whether the grammar may look at the value of an integer of a simple text.

    It does for `float(53)`, which is float8, `float(1)`, which is float4, and
    `float(54)`, which is an error (src/backend/parser/gram.y, opt_float).
    """
    return b"float" in text.lower()


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
