"""A statement as a proof knows it: the SHA-256 of its exact text and bind values. Pure.

Whitespace, comments and semicolons at both ends are no part of it: Prisma's native
engine sends a whole file in one Query, its other one sends single statements without
their terminator, and both must fit one proof. All else counts by the byte.
Next: `proxy.migrations.varying` for values that differ from run to run,
`proxy.migrations.proof`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import DENIED, SYNTAX_ERROR
from proxy.migrations.framing import framed
from proxy.migrations.normal import same_tree
from proxy.sql.facts import Trouble
from proxy.sql.parse import TOO_COMPLEX, ParseTroubleError, parse, statements
from proxy.sql.prescan import trouble_with
from proxy.sql.redact import spans

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION: Final = b"1"
FIRST_USER_OID: Final = 16384
"""Types that `initdb` did not make have another number in each database."""
_AROUND: Final = " \t\n\r\f\v;"


class StatementError(ValueError):
    """A statement can't be proven; `trouble` says why, in words for the client."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class BindValue(msgspec.Struct, frozen=True):
    """One parameter of a Bind.

    Attributes:
        data: its bytes as sent; None for NULL, which is not the empty value.
        format: 0 text, 1 binary.
        type_oid: as the Parse declared it; 0 where it left that to Postgres.
    """

    data: bytes | None
    format: int = 0
    type_oid: int = 0


class Sent(msgspec.Struct, frozen=True):
    """One statement as a client sent it.

    Attributes:
        text: its bytes, which may have whitespace and comments around.
        values: of its Bind; () for a simple Query.
    """

    text: bytes
    values: tuple[BindValue, ...] = ()


def split(text: bytes) -> tuple[bytes, ...]:
    """The exact texts of the statements of a Query, in order; () for an empty one.

    Cut where Postgres' own grammar says that a statement ends, never at a semicolon.

    Raises:
        StatementError: it can't be read.
    """
    trouble = trouble_with(text)
    if trouble is not None:
        raise StatementError(trouble)
    try:
        found = statements(parse(text.decode()))
    except UnicodeDecodeError:
        message = "a statement that is not UTF-8 can't be proven"
        raise StatementError(Trouble(SYNTAX_ERROR, message)) from None
    except ParseTroubleError as error:
        raise StatementError(error.trouble) from None
    except RecursionError:
        raise StatementError(TOO_COMPLEX) from None
    pieces = []
    for raw in found:
        start, length = raw.get("stmt_location", 0), raw.get("stmt_len", 0)
        # Zero, and so left out, means to the end of the text (RawStmt in parsenodes.h).
        pieces.append(exact(text[start : start + length if length else len(text)]))
    return tuple(pieces)


def exact(text: bytes) -> bytes:
    """One statement without whitespace, comments and semicolons at its ends.

    Where that is, a small lexer says, and the parser then has to agree that what is
    left is the same statement; if not, only whitespace is taken away.

    Raises:
        StatementError: it is not UTF-8.
    """
    try:
        whole = text.decode()
    except UnicodeDecodeError:
        message = "a statement that is not UTF-8 can't be proven"
        raise StatementError(Trouble(SYNTAX_ERROR, message)) from None
    plain = whole.strip(" \t\n\r\f\v")
    start, end = _inner(plain)
    inner = plain[start:end]
    if inner != plain and not same_tree(inner, plain):
        inner = plain
    return inner.encode()


def _inner(text: str) -> tuple[int, int]:
    """Where the first thing that is no comment begins, and the last one ends."""
    first, last, position = -1, 0, 0
    for kind, start, end in [*spans(text), ("end", len(text), len(text))]:
        between = text[position:start].rstrip(_AROUND)
        if between.lstrip(_AROUND):
            lead = len(between) - len(between.lstrip(_AROUND))
            first = position + lead if first < 0 else first
            last = position + len(between)
        if kind not in {"line", "block", "end"}:
            first = start if first < 0 else first
            last = end
        position = end
    return max(first, 0), last


def fingerprint(sent: Sent) -> str:
    """The SHA-256, in hex, of a statement's exact text and its values.

    Raises:
        StatementError: it is not UTF-8, or a value's type means nothing elsewhere.
    """
    return hashed((b"text", exact(sent.text)), values_form(sent.values))


def hashed(text: Iterable[bytes], values: Iterable[bytes]) -> str:
    """The SHA-256 of what stands for a text and for each of its values."""
    whole = framed(b"pgwarden statement", VERSION, framed(*text), framed(*values))
    return hashlib.sha256(whole).hexdigest()


def values_form(values: Iterable[BindValue]) -> list[bytes]:
    """What stands for each value.

    Raises:
        StatementError: a type of the database's own.
    """
    return [value_form(each, number) for number, each in enumerate(values, 1)]


def value_form(value: BindValue, number: int) -> bytes:
    """What stands for one value: its declared type, format and bytes, or NULL.

    Raises:
        StatementError: the type is the database's own.
    """
    check_type(value, number)
    head = (b"%d" % value.type_oid, b"%d" % value.format)
    if value.data is None:
        return framed(*head, b"null")
    return framed(*head, b"value", value.data)


def check_type(value: BindValue, number: int) -> None:
    """Refuse a type whose number means something else in another database."""
    if value.type_oid >= FIRST_USER_OID:
        message = f"parameter ${number} was declared with a type of the database's own"
        hint = f"Cast it in the statement instead: ${number}::type."
        raise StatementError(Trouble(DENIED, message, hint=hint))
