"""What Postgres still owes an answer to, in the order in which it was sent.

One `Expected` per forwarded message that Postgres answers; the head of the queue is
what the next reply is about. Pure. Next: `proxy.session.replies`, which takes them off.
Source: https://www.postgresql.org/docs/18/protocol-flow.html
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.session.names import Bound, Execution
    from proxy.session.refusal import Refusal


class Owed(IntEnum):
    """Which message awaits its answer."""

    QUERY = 1
    PARSE = 2
    BIND = 3
    DESCRIBE = 4
    EXECUTE = 5
    CLOSE = 6
    SYNC = 7
    COPY_END = 8
    """CopyDone or CopyFail, sent while a COPY-in may be open. Gets no answer."""
    MAYBE_SYNC = 9
    """A Sync that Postgres reads amid a COPY-in and ignores, unless the COPY failed
    before Postgres came to it: then it is answered like any other."""


NO_CHANGES: Final[list[Bound]] = []
"""Shared by all that change none; never added to."""


class Expected:
    """One message that Postgres has not answered yet.

    Attributes:
        owed: which message.
        execution: the recorded run whose outcome the answer tells, or None.
        refusal: set where the message is a stand-in.
        changes: names that it sets or closes, as the answer confirms or refuses.
        portal: for an Execute, the portal it runs.
        completed: statements of it that have completed.
    """

    __slots__ = (
        "changes",
        "completed",
        "execution",
        "owed",
        "portal",
        "refusal",
    )

    def __init__(
        self,
        owed: Owed,
        execution: Execution | None = None,
        *,
        refusal: Refusal | None = None,
        changes: list[Bound] = NO_CHANGES,
    ) -> None:
        self.owed = owed
        self.execution = execution
        self.refusal = refusal
        self.changes = changes
        self.portal: Bound | None = None
        self.completed = 0


OWED_QUERY: Final = Owed.QUERY
OWED_PARSE: Final = Owed.PARSE
OWED_BIND: Final = Owed.BIND
OWED_DESCRIBE: Final = Owed.DESCRIBE
OWED_EXECUTE: Final = Owed.EXECUTE
OWED_CLOSE: Final = Owed.CLOSE
OWED_SYNC: Final = Owed.SYNC
OWED_MAYBE_SYNC: Final = Owed.MAYBE_SYNC
"""The members as plain globals: an enum's attribute costs ten times a global's."""

SYNC: Final = Expected(Owed.SYNC)
DESCRIBE: Final = Expected(Owed.DESCRIBE)
COPY_END: Final = Expected(Owed.COPY_END)
MAYBE_SYNC: Final = Expected(Owed.MAYBE_SYNC)
