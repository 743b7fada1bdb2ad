"""What a follower of migrations is asked with, and what it answers: plain values.

Next: `proxy.migrations.follower`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Piece(Protocol):
    """One statement as it is about to leave, with its values."""

    @property
    def text(self) -> bytes:
        """Its bytes."""

    @property
    def transaction(self) -> str:
        """What it does to the transaction, as in its facts: "commit", or ""."""


class Candidate(Protocol):
    """A proof that counts: signed, approved, not expired, for this database."""

    @property
    def id(self) -> str:
        """Of the proof."""

    @property
    def tool(self) -> str:
        """Whose migration it is."""

    @property
    def name(self) -> str:
        """Of the migration, as its history has it."""

    @property
    def checksum(self) -> str:
        """As the tool writes it; "" for a tool that has none."""

    @property
    def length(self) -> int:
        """How many statements it has."""

    @property
    def is_transaction(self) -> bool:
        """Its statements ran in one transaction.

        So they must here, or some of them could be left behind.
        """

    @property
    def is_with_row(self) -> bool:
        """The row of history was written in that transaction, too."""

    @property
    def is_announced(self) -> bool:
        """Its tool writes the row first, so that nothing runs without one."""

    def fits(self, position: int, piece: Any) -> bool:  # noqa: ANN401 - a Piece, as it has them
        """Whether the statement at `position` (from 0) is exactly this one."""

    def difference(self, position: int, piece: Any) -> str:  # noqa: ANN401 - as above
        """Why it is not, in words, where it is not for its text; else ""."""

    def shown(self, position: int) -> str:
        """The statement at `position`, for a person."""


class Proofs(Protocol):
    """The proofs that count at this moment, in this database."""

    def of_tool(self, tool: str) -> Sequence[Candidate]:
        """Those of one tool's migrations."""

    def tools(self) -> Iterable[str]:
        """The tools that have one."""


class Cursor(Struct, frozen=True, gc=False):
    """How far a migration has come, if it is the one that this proof is about."""

    proof: Candidate
    position: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every statement of the proof has come."""
        return self.position == self.proof.length


class Progress(Struct, frozen=True, gc=False):
    """What is known of the migrations of a session, at one moment.

    Attributes:
        cursors: the proofs that still fit what has come of the migration that runs.
        is_running: a migration has begun and not ended.
        announced: it was announced, by name.
        ended: proofs whose migration ended in this session, in order.
        is_uncertain: part of a migration may have taken effect, and nobody knows
            which: nothing more is proven in this session.
    """

    cursors: tuple[Cursor, ...] = ()
    is_running: bool = False
    announced: str = ""
    ended: tuple[Candidate, ...] = ()
    is_uncertain: bool = False


class Unproven(Struct, frozen=True, gc=False):
    """Why a statement is not proven, in words for its sender."""

    rule: str
    reason: str
    hint: str = ""


class Followed(Struct, frozen=True, gc=False):
    """What the follower makes of one message.

    Attributes:
        is_proven: a proof has all of it that changes anything, and `progress` is what
            is known once it has left.
        changes: something of it needs a proof; else the policy alone decides.
        begins: the proofs with which a migration begins here: before it leaves, the
            gates are asked, once for each migration.
        progress: see above.
        unproven: why it is not proven; None where it is, or needs no proof.
    """

    is_proven: bool
    changes: bool
    begins: tuple[Candidate, ...]
    progress: Progress
    unproven: Unproven | None = None
