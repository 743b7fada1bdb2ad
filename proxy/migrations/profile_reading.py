"""What a recogniser says of a statement: plain values.

Next: `proxy.migrations.recogniser`, which makes them.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Part(StrEnum):
    """What a statement is to the tool that is followed."""

    BOOKKEEPING = "bookkeeping"
    """The tool's own, and in its place."""
    OUT_OF_PLACE = "out_of_place"
    """Changes a tool's history, but as no profile says, or not now."""
    BODY = "body"
    """Belongs to a migration, or to nobody."""
    TRANSACTION = "transaction"
    """BEGIN, COMMIT, ROLLBACK, SAVEPOINT, outside a script that was announced."""
    READ = "read"
    """Only reads, or changes settings of the session."""


class Happening(StrEnum):
    """What a statement tells."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    ANNOUNCED = "announced"
    ENDED = "ended"
    FAILED = "failed"
    REVERTED = "reverted"
    ACT = "act"
    """Bookkeeping without a migration: needs a permission of its own."""
    DESTRUCTIVE = "destructive"


class Event(Struct, frozen=True, gc=False):
    """What a statement tells about a migration, by the word of one tool's profile.

    Attributes:
        happening: what.
        tool: whose profile says so.
        statement: id of the profile's statement, "" for a destructive command.
        name: of the migration, where the statement gives it.
        checksum: likewise, as the tool writes it.
        migration: number of the migration in this session, 0 for none.
        command: of an act or a destructive command: "prisma migrate reset".
        advice: of a destructive command: what it does, and what to do instead.
    """

    happening: Happening
    tool: str
    statement: str = ""
    name: str = ""
    checksum: str = ""
    migration: int = 0
    command: str = ""
    advice: str = ""


class Reading(Struct, frozen=True, gc=False):
    """What one statement is.

    Attributes:
        part: what it is to the tools that may be speaking.
        bookkeeping_of: tools whose profile knows it, in its place.
        migration: number of the migration that it belongs to, 0 for none.
        events: what it tells.
    """

    part: Part
    bookkeeping_of: frozenset[str] = frozenset()
    migration: int = 0
    events: tuple[Event, ...] = ()
