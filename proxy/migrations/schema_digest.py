"""The digest of a schema, and how two schemas differ. Pure.

Each object has a SHA-256 over its attributes, and the schema one over those. Texts that
Postgres made from a definition count by their form (`proxy.migrations.normal`), all
others by their letters. What is no part of it, and why, is in
docs/explanation/proven-migrations.md. Next: `proxy.migrations.proof`, which holds it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.migrations import normal
from proxy.migrations.framing import framed
from proxy.sql.parse import GRAMMAR_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from proxy.migrations.schema import Attributes, Snapshot, Value

VERSION: Final = 1
"""Of what is asked and how it counts: part of every digest, so that a proof of an
earlier form is found out as such, and not told as drift."""

_FORMS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "default": normal.expression,
    "generation": normal.expression,
    "check": normal.expression,
    "predicate": normal.expression,
    "using": normal.expression,
    "with_check": normal.expression,
    "keys": normal.expression,
    "query": normal.query,
    "statement": normal.statement,
    "sql_body": normal.body,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that two schemas don't have alike.

    Attributes:
        object: as `column public.orders.total`.
        change: "missing", "unexpected" or "changed", seen from what was expected.
        attributes: of a changed one, what was expected and what is there.
    """

    object: str
    change: str
    attributes: dict[str, tuple[Value | None, Value | None]]


def digest(snapshot: Snapshot) -> str:
    """The SHA-256 of a schema, in hex."""
    scope = snapshot.scope
    head = framed(
        b"pgwarden schema",
        str(VERSION).encode(),
        str(GRAMMAR_VERSION).encode(),
        framed(*(each.encode() for each in scope.schemas)),
        framed(*(each.encode() for each in scope.bookkeeping)),
        b"privileges" if scope.privileges else b"",
    )
    whole = hashlib.sha256(head)
    for name, its in object_digests(snapshot).items():
        whole.update(framed(name.encode(), bytes.fromhex(its)))
    return whole.hexdigest()


def object_digests(snapshot: Snapshot) -> dict[str, str]:
    """The SHA-256 of each object, in hex, by its name."""
    return {
        name: hashlib.sha256(_attributes_form(attributes)).hexdigest()
        for name, attributes in sorted(snapshot.objects.items())
    }


def differences(expected: Snapshot, found: Snapshot) -> Iterator[Difference]:
    """Every object that differs, in the order of their names."""
    wanted, there = object_digests(expected), object_digests(found)
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) == there.get(name):
            continue
        if name not in there:
            yield Difference(name, "missing", {})
        elif name not in wanted:
            yield Difference(name, "unexpected", {})
        else:
            before, now = expected.objects[name], found.objects[name]
            yield Difference(name, "changed", _changed(before, now))


def _changed(
    before: Attributes, now: Attributes
) -> dict[str, tuple[Value | None, Value | None]]:
    keys = sorted(before.keys() | now.keys())
    return {
        key: (before.get(key), now.get(key))
        for key in keys
        if _form(key, before.get(key)) != _form(key, now.get(key))
    }


def _attributes_form(attributes: Attributes) -> bytes:
    return b"".join(
        framed(key.encode(), _form(key, value))
        for key, value in sorted(attributes.items())
    )


def _form(key: str, value: Value | None) -> bytes:
    match value:
        case None:
            return b""
        case str():
            form = _FORMS.get(key)
            if form is not None:
                return b"sql" + form(value)
            return b"str" + value.encode("utf-8", "surrogatepass")
        case bool():
            return b"true" if value else b"false"
        case int():
            return b"int%d" % value
        case list():
            return b"list" + framed(*(_form(key, each) for each in value))
