"""What is known of a session's migrations, in step with what Postgres keeps of them.

A message changes what is known when it leaves; when Postgres says no, or rolls back,
what is known goes back to where the last transaction ended. Between the two nothing is
certain: after an error inside a transaction, or behind a ROLLBACK TO, it stays so until
the transaction is over. Pure. Next: `proxy.migrations.recogniser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec import Struct, structs

from proxy.migrations.piece import bound_values
from proxy.migrations.profile_reading import Part
from proxy.sql.facts import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.piece import Piece
    from proxy.migrations.profile_reading import Reading
    from proxy.migrations.recogniser import Recogniser, State
    from proxy.sql.facts import Facts

P = TypeVar("P")
IDLE: Final = ord("I")
FAILED: Final = ord("E")
_ENDS: Final = frozenset({"commit", "rollback", "prepare"})
_KEEP_SETTINGS: Final = frozenset({Effect.NONE, Effect.ADVISORY_LOCK, Effect.SEQUENCE})
_STANDS_ALONE: Final = frozenset({Part.READ, Part.TRANSACTION})


class Looked(Struct, frozen=True):
    """What a message is, as things stand; nothing is known of it until it is taken.

    Attributes:
        pieces: its statements.
        readings: what each is to the tools.
        after: what the recogniser knows once it has left.
        in_block: a transaction is open before it.
        is_one: a transaction is open, or the message is one by itself.
        changes: something in it is more than reading, or handling the transaction.
        ends: it ends a transaction.
        goes_back: it rolls back to a savepoint.
        rolls_back: it rolls back a transaction.
        sets: it may change settings of the session.
        is_mixed: with changes in one message stands what handles the transaction, and
            not only BEGIN before them or COMMIT behind: what of it stays, is not told.
    """

    pieces: tuple[Piece, ...]
    readings: tuple[Reading, ...]
    after: State
    in_block: bool
    is_one: bool
    changes: bool
    ends: bool
    goes_back: bool
    rolls_back: bool
    sets: bool
    is_mixed: bool


class Course(Generic[P]):
    """The course of one session.

    Attributes:
        progress: what is known, with all that has left.
        kept: what is known of what is committed.
        is_uncertain: see the module; nothing is proven then.
        in_block: BEGIN has left, and no end of the transaction.
    """

    def __init__(self, recogniser: Recogniser, progress: P) -> None:
        """Begin, with nothing having happened."""
        self.recogniser = recogniser
        self.progress = progress
        self.kept = progress
        self.in_block = False
        self._kept_mark = recogniser.mark()
        self._has_failed = False
        self._went_back = False
        self._taken = 0
        self._has_ended = self._ended_amid = False
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether nobody will ever know what became of the last transactions."""
        return self._is_lost

    @property
    def has_come_to_nothing(self) -> bool:
        """Whether all since the last end of a transaction is rolled back for certain.

        Also before Postgres says that it is ready again: many a client hangs up then.
        """
        is_open = self._has_ended or self._ended_amid or self._went_back
        return self._has_failed and not is_open

    @property
    def is_uncertain(self) -> bool:
        """Whether nobody can tell what of a migration has taken effect."""
        return self._is_lost or self._went_back or self._has_failed

    @property
    def may_have_recovered(self) -> bool:
        """Whether a transaction that had failed may be alive again, or another one."""
        return self._went_back or self._has_ended

    def look(
        self, pieces: list[Piece], statements: Sequence[Facts], text: bytes, status: int
    ) -> Looked:
        """What a message is; changes nothing.

        Args:
            pieces: its statements.
            statements: their facts.
            text: all of it.
            status: of the transaction, as Postgres said last.
        """
        before = self.recogniser.mark()
        readings = self.recogniser.see(
            text, statements, bound_values(pieces), has_failed=status == FAILED
        )
        after = self.recogniser.mark()
        self.recogniser.undo(before)
        changes = any(reading.part not in _STANDS_ALONE for reading in readings)
        if changes and len(readings) > 1:
            readings = _with_settings(readings, statements)
        does = [piece.transaction for piece in pieces if piece.transaction]
        return Looked(
            pieces=tuple(pieces),
            readings=readings,
            after=after,
            in_block=self.in_block,
            is_one=self.in_block or (len(pieces) > 1 and not does),
            changes=changes,
            ends=any(each in _ENDS for each in does),
            goes_back="rollback to" in does,
            rolls_back="rollback" in does,
            sets=any(map(_sets, statements)),
            is_mixed=changes and _is_mixed(pieces, readings),
        )

    def take(self, looked: Looked, progress: P) -> None:
        """The message leaves."""
        self.recogniser.undo(looked.after)
        self.progress = progress
        for piece in looked.pieces:
            if piece.transaction == "begin":
                self.in_block = True
            elif piece.transaction in _ENDS:
                self.in_block = False
        if looked.goes_back:
            self._went_back = True
        if looked.rolls_back:
            self._has_failed = True
        # An end amid other statements: what came before it stays, whatever fails next.
        is_amid = self._taken or len(looked.pieces) > 1
        if self._has_ended or (looked.ends and is_amid):
            self._ended_amid = True
        self._has_ended = self._has_ended or looked.ends
        self._taken += 1

    def begin_late(self) -> None:
        """Something is under way that nobody has looked at."""
        self.in_block = self._went_back = True

    def failed(self) -> None:
        """Postgres has said no to something."""
        self._has_failed = True

    def ready(self, status: int, *, is_quiet: bool) -> bool:
        """Postgres is done; whether what is known is now what is committed.

        Args:
            status: of the transaction.
            is_quiet: nothing else is unanswered.
        """
        self._taken = 0
        if is_quiet:
            self.in_block = status != IDLE
        # COMMIT AND CHAIN: one transaction has ended, the next has begun.
        is_chained = self._has_ended and not self._ended_amid and is_quiet
        if status != IDLE and not (is_chained and status != FAILED):
            return False
        if self._has_failed:
            if self._ended_amid:
                self._is_lost = True
            self.progress = self.kept
            self.recogniser.undo(self._kept_mark)
        else:
            self.kept = self.progress
            self._kept_mark = self.recogniser.mark()
        self._has_failed = self._went_back = False
        self._has_ended = self._ended_amid = False
        return True


def _is_mixed(pieces: Sequence[Piece], readings: Sequence[Reading]) -> bool:
    last = len(pieces) - 1
    return any(
        reading.part is Part.TRANSACTION
        and (piece.transaction, number) not in {("begin", 0), ("commit", last)}
        for number, (piece, reading) in enumerate(zip(pieces, readings, strict=True))
    )


def _sets(facts: Facts) -> bool:
    return bool(facts.settings) or any(
        use.effect not in _KEEP_SETTINGS for use in facts.functions
    )


def _with_settings(
    readings: Sequence[Reading], statements: Sequence[Facts]
) -> tuple[Reading, ...]:
    """In one message with a change, a setting is a part of what changes.

    Else nobody would look: settings are asked for before a message, not amid one.
    """
    return tuple(
        structs.replace(reading, part=Part.BODY)
        if reading.part is Part.READ and _sets(facts)
        else reading
        for reading, facts in zip(readings, statements, strict=True)
    )
