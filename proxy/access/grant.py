"""What was lent to whom: the values that requests, approvals and reviews are made of.

Pure; a grant is never changed, only replaced by the next state of it.
Next: `proxy.access.lending`, the only place that makes the next state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003  (read back by msgspec)
from enum import StrEnum
from typing import Final

ID_FORM: Final = re.compile(r"G-[0-9A-HJKMNP-TV-Z]{8}", re.ASCII)
"""Eight letters of Crockford's base 32: short enough to say aloud, and no 0 for O."""
ID_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID_LENGTH: Final = 8


class State(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    """Waits for approvals."""
    ACTIVE = "active"
    """Approved, and its time runs."""
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody decided in time."""
    WITHDRAWN = "withdrawn"
    """Taken back before it was approved."""
    ENDED = "ended"
    """Its time is over."""
    REVOKED = "revoked"
    """Ended early, by the borrower or by an approver."""


OVER: Final = frozenset({State.ENDED, State.REVOKED})
"""States of what was lent once, and must be reviewed."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: an identity, with the role that is its own.

    Never the role that it has borrowed.
    """

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One yes."""

    name: str
    role: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A request for a role, and what became of it.

    Attributes:
        id: as people name it, "G-7K3QX2MA".
        identity: who asked.
        own_role: the role of that identity when it asked.
        role: the role that is to be lent.
        length_s: for how many seconds, from the last approval on.
        reason: what for, in the words of who asked.
        requested_at, pending_until: when it was asked, and until when to decide.
        approvals: who said yes.
        starts_at, ends_at: of the loan, once it is approved.
        closed_at: when it was denied, withdrawn, revoked, or was over.
        closed_by: who did that; "" where time did.
        note: what that person said.
        reviewed_at, reviewed_by, review: of the look back at it.
    """

    id: str
    identity: str
    own_role: str
    role: str
    length_s: int
    reason: str
    requested_at: datetime
    pending_until: datetime
    state: State = State.PENDING
    approvals: tuple[Approval, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    note: str = ""
    reviewed_at: datetime | None = None
    reviewed_by: str = ""
    review: str = ""

    @property
    def is_unreviewed(self) -> bool:
        """Whether it was lent, is over, and nobody has looked back at it."""
        return self.state in OVER and self.reviewed_at is None

    def is_due(self, now: datetime) -> bool:
        """Whether its time to be decided, or to be used, is over."""
        if self.state is State.PENDING:
            return now >= self.pending_until
        return (
            self.state is State.ACTIVE
            and self.ends_at is not None
            and now >= self.ends_at
        )


def id_of(number: int) -> str:
    """The id with this random number, of which the lowest 40 bits count."""
    letters = []
    for _ in range(ID_LENGTH):
        number, digit = divmod(number, len(ID_LETTERS))
        letters.append(ID_LETTERS[digit])
    return "G-" + "".join(letters)
