"""Identities in the store: the entries of the document, one a row.

An entry is kept as the document writes it, so that what one can say the other can. A
row that can't be understood is nobody's: it is told of, and who it names can't log in.
Next: `proxy.auth.identities` for an entry, `proxy.cli.identity` for the commands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    Column,
    String,
    Table,
    Text,
    cast,
    delete,
    insert,
    select,
    update,
)

from proxy.auth.identities import Identities, IdentityEntry, identity_of, read_entry
from proxy.errors import ConfigError
from proxy.store.tables import METADATA, Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

identities = Table(
    "identities",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("entry", JSON, nullable=False),
    Column("changed_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Roll:
    """Everybody in the store, by name.

    Attributes:
        entries: those that can be understood.
        problems: one line, or more, for each row that can't be.
        broken: the names of those rows.
    """

    entries: tuple[IdentityEntry, ...]
    problems: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def identities(self) -> Identities:
        """Those who may be asked for their password."""
        return Identities(identity_of(entry) for entry in self.entries)

    def find(self, name: str) -> IdentityEntry | None:
        """The entry of this name."""
        return next((each for each in self.entries if each.name == name), None)


async def read_roll(connection: AsyncConnection) -> Roll:
    """Read everybody."""
    rows = await connection.execute(
        # As text: one that is no JSON must not hide the others.
        select(identities.c.name, cast(identities.c.entry, Text)).order_by(
            identities.c.name
        )
    )
    return _understood([(str(name), str(entry)) for name, entry in rows])


async def add(connection: AsyncConnection, entry: IdentityEntry) -> None:
    """Add somebody whose name is not there yet.

    Raises:
        ConfigError: it is.
    """
    if await _is_there(connection, entry.name):
        raise ConfigError(f'there is an identity "{entry.name}" already')
    await connection.execute(
        insert(identities).values(name=entry.name, **_values(entry))
    )


async def replace(connection: AsyncConnection, entry: IdentityEntry) -> None:
    """Put this entry in the place of the one of the same name.

    Raises:
        ConfigError: there is none.
    """
    if not await _is_there(connection, entry.name):
        raise ConfigError(f'there is no identity "{entry.name}"')
    await connection.execute(
        update(identities)
        .where(identities.c.name == entry.name)
        .values(**_values(entry))
    )


async def remove(connection: AsyncConnection, name: str) -> None:
    """Remove somebody, also who can't be understood.

    Raises:
        ConfigError: there is no such row.
    """
    if not await _is_there(connection, name):
        raise ConfigError(f'there is no identity "{name}"')
    await connection.execute(delete(identities).where(identities.c.name == name))


def entry_values(entry: IdentityEntry) -> dict[str, object]:
    """The entry as the document would write it, plain values, defaults left out."""
    return entry.model_dump(mode="json", exclude_defaults=True)


async def _is_there(connection: AsyncConnection, name: str) -> bool:
    found = await connection.scalar(
        select(identities.c.name).where(identities.c.name == name)
    )
    return found is not None


def _values(entry: IdentityEntry) -> dict[str, object]:
    values = entry_values(entry)
    del values["name"]  # the row's key, and nothing else, says who it is
    return {"entry": values, "changed_at": datetime.now(UTC)}


def _understood(rows: Sequence[tuple[str, str]]) -> Roll:
    entries: list[IdentityEntry] = []
    problems: list[str] = []
    broken: list[str] = []
    for name, text in rows:
        source = f'store: identity "{name}"'
        found = _mapping(text)
        if found is None:
            problems.append(f"{source}: the entry is not a mapping")
            broken.append(name)
            continue
        try:
            entries.append(read_entry({**found, "name": name}, source=source))
        except ConfigError as problem:
            problems.append(problem.message)
            broken.append(name)
    return Roll(tuple(entries), tuple(problems), tuple(broken))


def _mapping(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
