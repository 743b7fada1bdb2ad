"""What a session ran as migrations: the statements of each, in order, and its name.

Stands beside the recogniser where migrations are proven: on staging. It is the mirror
of `proxy.migrations.follower`: what this takes for the statements of a migration, that
one expects, because both ask the same recogniser. Pure.
Next: `proxy.migrations.proof`, which is made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct, structs

from proxy.migrations.profile_reading import Happening, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.profile_reading import Event, Reading

P = TypeVar("P")


class Recorded(Struct, Generic[P], frozen=True, gc=False):
    """One migration that was applied.

    Attributes:
        tool: whose profile says so.
        name: of the migration, as its history has it.
        checksum: as the tool writes it, "" for none.
        pieces: its statements, in order.
        is_transaction: they ran in one transaction.
        is_with_row: the row of history was written in that transaction, too.
    """

    tool: str
    name: str
    checksum: str
    pieces: tuple[P, ...]
    is_transaction: bool = False
    is_with_row: bool = False


class Recording(Struct, Generic[P], frozen=True, gc=False):
    """What has run so far in a session; each step makes a new one.

    Attributes:
        pieces: statements of the migration that runs.
        applied: migrations that ended, in order.
        is_transaction: all of `pieces` ran in one transaction.
        is_open: that one is still open.
        has_only_reverts: `pieces` are rows of history that were taken back.
    """

    pieces: tuple[P, ...] = ()
    applied: tuple[Recorded[P], ...] = ()
    is_transaction: bool = True
    is_open: bool = True
    has_only_reverts: bool = False

    def after(
        self,
        pieces: Sequence[P],
        readings: Sequence[Reading],
        tool: str,
        *,
        in_transaction: bool,
    ) -> Recording[P]:
        """What has run once these statements have taken effect, too.

        Args:
            pieces: the statements, as they are to be proven.
            readings: what the recogniser says of each.
            tool: that the session has turned out to be, "" where that is open: a row of
                history that fits several tools is then recorded for each.
            in_transaction: one was open already, with BEGIN.
        """
        now = self
        if not in_transaction:
            # Whatever came before was committed, by itself or by COMMIT.
            now = structs.replace(now, is_open=not now.pieces)
        for piece, reading in zip(pieces, readings, strict=True):
            if reading.part is Part.BODY:
                is_one = now.is_transaction and now.is_open and in_transaction
                now = Recording((*now.pieces, piece), now.applied, is_one, now.is_open)
            elif reading.part is Part.BOOKKEEPING:
                told = [e for e in reading.events if tool in {"", e.tool}]
                if any(e.happening is Happening.REVERTED for e in told):
                    now = now.with_revert(piece, in_transaction=in_transaction)
                now = now.told_of(told, in_transaction=in_transaction)
        return now

    def with_revert(self, piece: P, *, in_transaction: bool) -> Recording[P]:
        """A row of history that is taken back is a statement like any other.

        Where branches meet, it is all that a migration of Alembic does beside its row.
        """
        is_one = self.is_transaction and self.is_open and in_transaction
        only = self.has_only_reverts or not self.pieces
        return Recording(
            (*self.pieces, piece), self.applied, is_one, self.is_open, only
        )

    def told_of(self, events: Sequence[Event], *, in_transaction: bool) -> Recording[P]:
        """The same, once a tool has told of these."""
        applied = self.applied
        is_over = False
        is_one = self.is_transaction and bool(self.pieces)
        is_with_row = is_one and self.is_open and in_transaction
        for event in events:
            whole = Recorded(
                event.tool,
                event.name,
                event.checksum,
                self.pieces,
                is_one,
                is_with_row,
            )
            match event.happening:
                case Happening.ANNOUNCED | Happening.FAILED:
                    is_over = True
                case Happening.ENDED:
                    applied = (*applied, whole)
                    is_over = True
                case Happening.ACT if not self.pieces or self.has_only_reverts:
                    # A merge of branches: history, and nothing else.
                    applied = (*applied, whole)
                    is_over = bool(self.pieces)
                case _:
                    pass
        if is_over:
            return Recording((), applied)
        return structs.replace(self, applied=applied)
