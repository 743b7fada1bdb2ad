"""A statement that runs for too long, from the first cancel to its end.

What Postgres says to the cancel is swapped for the limit's own words. While a cancel is
on its way nothing more of the client is forwarded, so it can't hit what comes behind.
What was forwarded before may be hit, if the statement ended at that very moment: that
is told as what it is. Pure. Next: `proxy.session.watch`, which keeps the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import QUERY_CANCELED, ErrorReport
from proxy.wire.errors_wire import encode_error, parse_error_fields

if TYPE_CHECKING:
    from proxy.session.expected import Expected
    from proxy.session.session import Session

RULE: Final = "limits.running-time"
_HINT: Final = (
    "narrow what it reads, or ask for a role that may take longer; statement_timeout "
    "does not change this limit"
)


class Overrun:
    """What is being stopped, and whether a cancel for it is on its way.

    Attributes:
        expected: the message that Postgres works on.
        readies: how many ReadyForQuery had come by then.
        began_s: when it was found, on the shell's clock.
        is_cancelling: a CancelRequest is under way, so the client has to wait.
    """

    __slots__ = (
        "_last_serial",
        "_most",
        "began_s",
        "expected",
        "is_cancelling",
        "readies",
    )

    def __init__(
        self, session: Session, expected: Expected, *, limit_s: float, now_s: float
    ) -> None:
        self.expected = expected
        self.readies = session.readies
        self.began_s = now_s
        self.is_cancelling = False
        self._most = f"{limit_s:g} s, the most for role {session.judge.role}"
        self._last_serial = session.statements_recorded

    def is_of(self, session: Session, expected: Expected) -> bool:
        """Whether this is the message that is being stopped."""
        return expected is self.expected and session.readies == self.readies

    def swapped(self, session: Session, head: Expected, body: bytes) -> bytes | None:
        """What to tell the client for this error, if a cancel of ours caused it."""
        fields = parse_error_fields(body)
        if fields.get("C") != QUERY_CANCELED:
            return None
        execution, hint = head.execution, _HINT
        if self.is_of(session, head):
            said = f"it ran for more than {self._most}"
        elif session.readies == self.readies:
            # Postgres holds answers back up to the Sync, so what ran can't be seen.
            said = f"its pipeline ran without an answer for more than {self._most}"
        elif execution is not None and execution.serial <= self._last_serial:
            said = "it was hit in the place of an earlier one, which had run for more "
            said += f"than {self._most}, and ended at this moment"
            hint = "run it again"
        else:
            return None
        detail = f"rule {RULE}"
        if execution is not None:
            detail += f", audit id {session.made.audit_id(execution.serial)}"
        return encode_error(
            ErrorReport(
                QUERY_CANCELED,
                f"canceling statement: {said}",
                detail=detail,
                hint=hint,
                severity=fields.get("V", "ERROR"),
            )
        )
