"""Which functions were reviewed: built-in ones by overload, others by extension.

`proxy/sql/data` names them; `signatures.txt` here says with which arguments each was
read. A server of a release that nobody has reviewed may bring another overload of a
known name: that one is unknown, and so is a call by its name.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from proxy.catalog.model import Function
from proxy.sql.functions import HARMLESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@cache
def signatures() -> frozenset[tuple[str, str]]:
    """(name, arguments) of every reviewed overload of a harmless built-in function."""
    text = (files("proxy.catalog") / "signatures.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found: set[tuple[str, str]] = set()
    for line in lines:
        name, _, overloads = line.partition(" ")
        found.update((name, arguments) for arguments in overloads.split("|"))
    return frozenset(found)


@cache
def extension_reads() -> frozenset[tuple[str, str]]:
    """(extension, name) of what is VOLATILE and only returns a value all the same."""
    text = (files("proxy.catalog") / "extensions.txt").read_text(encoding="utf-8")
    lines = [line.split(maxsplit=2) for line in text.splitlines() if line]
    return frozenset((each[0], each[1]) for each in lines if each[0] != "#")


def unreviewed(built_in: Iterable[tuple[str, str]]) -> Iterator[Function]:
    """The overloads of harmless names that this release of the server adds."""
    known = signatures()
    for name, arguments in built_in:
        if name in HARMLESS and (name, arguments) not in known:
            yield Function(
                schema="pg_catalog",
                name=name,
                arguments=arguments,
                is_stable=False,
                is_definer=False,
                language="internal",
                is_trusted=False,
            )
