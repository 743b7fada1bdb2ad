"""Whether a migration that runs is one that staging has proven, statement by statement.

A follower stands beside the recogniser of one session. The recogniser says what a
statement is to a tool; the follower says whether a proof has it in this place. What it
does not know is not proven: recognising never permits anything, only a proof does.

It is asked before a statement leaves and told what became of it. What is known is one
immutable `Progress`, so that a statement, a segment or a transaction that failed leaves
nothing behind. Pure. Next: `proxy.migrations.following` for the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.migrations.difference import differing, nearest, short
from proxy.migrations.following import Cursor, Followed, Progress, Unproven
from proxy.migrations.profile_reading import Happening, Part

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from proxy.migrations.following import Candidate, Piece, Proofs
    from proxy.migrations.profile_reading import Event, Reading

_STANDS_ALONE: Final = frozenset({Part.READ, Part.TRANSACTION})
"""Judged by the policy alone, as outside any migration."""
_COMMITS: Final = frozenset({"commit", "prepare"})
_TELLS_OF_HISTORY: Final = frozenset(
    {
        Happening.ANNOUNCED,
        Happening.ENDED,
        Happening.FAILED,
        Happening.REVERTED,
        Happening.ACT,
    }
)
NOT_PROVEN: Final = "migration.not-proven"
CHANGED: Final = "migration.changed"
OUT_OF_ORDER: Final = "migration.out-of-order"
NOT_FINISHED: Final = "migration.not-finished"
OWN_ACT: Final = "migration.act"
HISTORY: Final = "migration.history"
UNCERTAIN: Final = "migration.uncertain"

_RECORD: Final = "Run it on staging through pgwarden, which records the proof."
_COMPARE: Final = (
    "`pgwarden migration check --config pgwarden.yaml FILE` names the first statement "
    "that differs. To prove it anew, run it on staging through pgwarden."
)


class Follower:
    """Follows the migrations of one session.

    Attributes:
        proofs: what counts; renewed by its owner.
        progress: what is known.
    """

    def __init__(self, proofs: Proofs, permitted_acts: Container[str]) -> None:
        """Begin with nothing running.

        Args:
            proofs: what counts.
            permitted_acts: commands that write history without a migration and that
                this role may run: "prisma migrate resolve --applied".
        """
        self.proofs = proofs
        self._acts = permitted_acts
        self.progress = Progress()

    def follow(
        self,
        pieces: Sequence[Piece],
        readings: Sequence[Reading],
        *,
        in_transaction: bool,
        commits_itself: bool = False,
    ) -> Followed:
        """What a message's statements are, as things stand; changes nothing.

        Args:
            pieces: the statements, with their values.
            readings: what the recogniser says of each.
            in_transaction: one is open, or the message is one by itself: a Query of
                several statements without BEGIN or COMMIT.
            commits_itself: Postgres commits all of it behind the message's end.
        """
        now = self.progress
        began: list[Candidate] = []
        changes = False
        for piece, reading in zip(pieces, readings, strict=True):
            if reading.part in _STANDS_ALONE and not _commits_half(now, piece):
                continue
            changes = True
            was_running, had_ended = now.is_running, len(now.ended)
            step = self._step(now, piece, reading)
            if isinstance(step, Progress) and not in_transaction:
                is_body = reading.part is Part.BODY or _reverts(reading)
                step = _alone(step) if is_body else step
            if isinstance(step, Unproven):
                return Followed(False, True, (), self.progress, step)  # noqa: FBT003
            now = step
            if now.is_running and not was_running:
                began.extend(cursor.proof for cursor in now.cursors)
            elif not was_running:
                # One without statements has its gates, and is good for one run, too.
                began.extend(now.ended[had_ended:])
        if commits_itself and changes:
            whole = _whole(now)
            if isinstance(whole, Unproven):
                return Followed(False, True, (), self.progress, whole)  # noqa: FBT003
            now = whole
        return Followed(changes, changes, tuple(began), now)

    # --- one statement -------------------------------------------------------

    def _step(
        self, now: Progress, piece: Piece, reading: Reading
    ) -> Progress | Unproven:
        if now.is_uncertain:
            return Unproven(
                UNCERTAIN,
                "part of a migration may have taken effect in this session",
                "Reconnect, and look at what has been applied.",
            )
        if reading.part in _STANDS_ALONE:
            return _not_finished(now)
        if reading.part is Part.OUT_OF_PLACE:
            return Unproven(
                HISTORY,
                "it writes the history of a migration tool, as no tool does here",
                "History is written by the tool, while it applies a migration.",
            )
        if reading.part is Part.BOOKKEEPING:
            # A row that is taken back may be a statement of a proven migration.
            ran = self._ran(now, piece) if _reverts(reading) else None
            is_proven = isinstance(ran, Progress)
            return ran if ran and is_proven else self._kept(now, reading)
        return self._ran(now, piece)

    def _kept(self, now: Progress, reading: Reading) -> Progress | Unproven:
        """A statement of a tool's own: what it tells must fit, by one tool's word.

        Several tools keep their history in a table of one name. What is a row of
        history to one of them is never let through as the upkeep of another; while a
        migration runs, only the tools whose proofs it fits have a word.
        """
        told = {e.tool for e in reading.events if e.happening in _TELLS_OF_HISTORY}
        running = {cursor.proof.tool for cursor in now.cursors}
        why: Unproven | None = None
        for tool in sorted(told & running or told):
            found: Progress | Unproven = now
            for event in reading.events:
                if event.tool == tool and isinstance(found, Progress):
                    found = self._told(found, event)
            if isinstance(found, Progress):
                return found
            why = why or found
        return why or now

    def _told(self, now: Progress, event: Event) -> Progress | Unproven:
        match event.happening:
            case Happening.ANNOUNCED:
                return self._announced(now, event)
            case Happening.ENDED:
                return self._ended(now, event)
            case Happening.FAILED:
                return _failed(now, event)
            case Happening.REVERTED | Happening.ACT:
                return self._act(now, event)
            case Happening.LOCKED | Happening.UNLOCKED | Happening.DESTRUCTIVE:
                return now

    def _act(self, now: Progress, event: Event) -> Progress | Unproven:
        if event.command in self._acts and not now.is_running:
            return now
        if event.happening is Happening.ACT and now.is_running:
            # Behind rows that were taken back, and nothing else, it looks like one.
            ended = self._ended(now, event)
            if isinstance(ended, Progress):
                return ended
        # A migration without statements (a merge of branches) looks like an act.
        for proof in self.proofs.of_tool(event.tool):
            if not proof.length and not now.is_running and _names(proof, event):
                return structs.replace(now, ended=(*now.ended, proof))
        command = event.command or f"taking back a migration of {event.tool}"
        return Unproven(
            OWN_ACT,
            f"{command} writes history without running a migration",
            "It needs a permission of its own in the policy.",
        )

    def _announced(self, now: Progress, event: Event) -> Progress | Unproven:
        if now.is_running:
            return _not_finished(now)
        named = [p for p in self.proofs.of_tool(event.tool) if p.name == event.name]
        exact = [p for p in named if p.checksum == event.checksum]
        if not exact:
            what = f'migration "{short(event.name)}"'
            if named:
                return Unproven(
                    CHANGED,
                    f"{what} was changed since it was proven: its checksum is "
                    f"{short(event.checksum)}, proven was {named[-1].checksum}",
                    _COMPARE,
                )
            return Unproven(NOT_PROVEN, f"{what} was not proven on staging", _RECORD)
        cursors = tuple(Cursor(proof) for proof in exact)
        return structs.replace(
            now, cursors=cursors, is_running=True, announced=event.name
        )

    def _ran(self, now: Progress, piece: Piece) -> Progress | Unproven:
        """A statement of a migration: the next of a proof, or the first of one."""
        cursors = now.cursors
        if not now.is_running:
            cursors = tuple(
                Cursor(proof)
                for tool in self.proofs.tools()
                for proof in self.proofs.of_tool(tool)
                if not proof.is_announced
            )
        fitting = tuple(
            Cursor(cursor.proof, cursor.position + 1)
            for cursor in cursors
            if not cursor.is_complete and cursor.proof.fits(cursor.position, piece)
        )
        if not fitting:
            return _difference(now, piece, cursors)
        return structs.replace(now, cursors=fitting, is_running=True)

    def _ended(self, now: Progress, event: Event) -> Progress | Unproven:
        """The row that says that a migration was applied."""
        whole = [c for c in now.cursors if c.is_complete and _names(c.proof, event)]
        if not now.is_running or not whole:
            return _not_finished(now, event)
        return structs.replace(
            now,
            cursors=(),
            is_running=False,
            announced="",
            ended=(*now.ended, whole[-1].proof),
        )


def _reverts(reading: Reading) -> bool:
    """Whether it takes back a row of a tool's history."""
    return any(event.happening is Happening.REVERTED for event in reading.events)


def _commits_half(now: Progress, piece: Piece) -> bool:
    """Whether it would leave a part of a transaction behind.

    Of a migration that ran without one on staging too, the tool itself commits.
    """
    if not now.is_running or piece.transaction not in _COMMITS:
        return False
    return any(map(_is_half, now.cursors))


def _is_half(cursor: Cursor) -> bool:
    """Whether something has still to come in the transaction that it runs in."""
    proof = cursor.proof
    return proof.is_transaction and (proof.is_with_row or not cursor.is_complete)


def _whole(now: Progress) -> Progress | Unproven:
    """What fits where the end of a message commits: no half of a transaction."""
    cursors = tuple(each for each in now.cursors if not _is_half(each))
    if now.cursors and not cursors:
        return _not_finished(now)
    return structs.replace(now, cursors=cursors)


def _failed(now: Progress, event: Event) -> Progress | Unproven:
    """A tool writes down that its migration failed.

    It does so behind the ROLLBACK, and no other tool's word ends what runs: else a
    COMMIT would leave a part of a transaction behind.
    """
    if not now.is_running:
        return now
    ours = [cursor for cursor in now.cursors if cursor.proof.tool == event.tool]
    if not ours or any(each.position and each.proof.is_transaction for each in ours):
        return _not_finished(now)
    return structs.replace(now, cursors=(), is_running=False, announced="")


def _alone(now: Progress) -> Progress | Unproven:
    """What fits outside a transaction: what was proven outside of one."""
    if not now.cursors:
        return now
    cursors = tuple(c for c in now.cursors if not c.proof.is_transaction)
    if cursors:
        return structs.replace(now, cursors=cursors)
    return Unproven(
        CHANGED,
        f'migration "{short(now.cursors[0].proof.name)}" was proven in one '
        "transaction with its row of history, and none is open",
        "Run it as the tool does: BEGIN, the migration, its row, COMMIT.",
    )


def _names(proof: Candidate, event: Event) -> bool:
    """Whether a row is about the migration of a proof."""
    return (
        proof.tool == event.tool
        and proof.name == event.name
        and proof.checksum == event.checksum
    )


def _difference(now: Progress, piece: Piece, cursors: Sequence[Cursor]) -> Unproven:
    """The first statement that differs, beside what would have been proven."""
    for each in cursors:
        why = "" if each.is_complete else each.proof.difference(each.position, piece)
        if why:
            what = f'"{short(each.proof.name)}"'
            return Unproven(
                CHANGED,
                f"statement {each.position + 1} of {each.proof.length} of migration "
                f"{what} is not as it was proven: {why}",
                _RECORD,
            )
    if not now.is_running:
        return Unproven(NOT_PROVEN, _begins_none(piece, cursors), _RECORD)
    cursor = max(now.cursors, key=lambda each: each.position, default=None)
    if cursor is None:
        return Unproven(NOT_PROVEN, "no proof fits this migration", _RECORD)
    proof, position = cursor.proof, cursor.position
    what = f'"{short(proof.name)}"'
    if cursor.is_complete:
        return Unproven(
            OUT_OF_ORDER,
            f"all {proof.length} statements of migration {what} have run, and this is "
            "not one of them",
            _RECORD,
        )
    return Unproven(
        CHANGED,
        f"statement {position + 1} of {proof.length} of migration {what} is not the "
        f"proven one: {differing(piece.text, proof.shown(position))}",
        _RECORD,
    )


def _begins_none(piece: Piece, cursors: Sequence[Cursor]) -> str:
    firsts = [each.proof for each in cursors if each.proof.length]
    number = nearest(piece.text, (each.shown(0) for each in firsts))
    if number is None:
        return "no proven migration begins with it"
    near = firsts[number]
    return (
        f'no proven migration begins with it; "{short(near.name)}" does with one like '
        f"it: {differing(piece.text, near.shown(0))}"
    )


def _not_finished(now: Progress, event: Event | None = None) -> Unproven:
    cursor = max(now.cursors, key=lambda each: each.position, default=None)
    if cursor is None:
        return Unproven(
            OWN_ACT, "it writes history, and no proven migration runs", _RECORD
        )
    proof = cursor.proof
    if cursor.is_complete and event is not None:
        return Unproven(
            CHANGED,
            f'the statements were those of migration "{short(proof.name)}", and the '
            f'history says "{short(event.name)}"',
            _RECORD,
        )
    return Unproven(
        NOT_FINISHED,
        f"{cursor.position} of {proof.length} statements of migration "
        f'"{short(proof.name)}" have run',
        "Each statement of a proven migration runs, in its order.",
    )
