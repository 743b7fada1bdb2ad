"""Statements per minute: how many one identity has sent, over all its sessions.

Counted by whole seconds, so the most is the most in any minute, and no burst on top of
it. One window for all sessions of an identity in a worker, kept when
they end: to connect again gains nothing. Pure; the time comes in with the call.
Next: `proxy.session.requests`, which asks before a statement is recorded as allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import LIMIT_EXCEEDED
from proxy.policy.decision import Decision

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.session import Session

SECONDS: Final = 61
"""A minute, and the second in which it began."""
RULE: Final = "limits.statements-per-minute"
_IDLE: Final = 0x49  # I


class Rate:
    """The statements of the last minute, and how many there may be.

    Attributes:
        most: how many; a reload of the policy may change it.
    """

    __slots__ = ("_counts", "_second", "_total", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts = [0] * SECONDS
        self._second = 0
        self._total = 0

    def take(self, statements: int, now_s: float) -> int:
        """Count statements and return 0, or after how many seconds there is room.

        More than `most` at once never find room: then it is `SECONDS`.
        """
        self._advance(int(now_s))
        if self._total + statements <= self.most:
            self._count(statements)
            return 0
        left = self._total
        for ahead in range(1, SECONDS):
            left -= self._counts[(self._second + ahead) % SECONDS]
            if left + statements <= self.most:
                return ahead
        return SECONDS

    def add(self, statements: int, now_s: float) -> None:
        """Count statements that were refused for another reason."""
        self._advance(int(now_s))
        self._count(statements)

    def _count(self, statements: int) -> None:
        self._counts[self._second % SECONDS] += statements
        self._total += statements

    def _advance(self, second: int) -> None:
        """Forget the seconds that are more than a minute ago."""
        for passed in range(min(second - self._second, SECONDS)):
            place = (second - passed) % SECONDS
            self._total -= self._counts[place]
            self._counts[place] = 0
        self._second = second


def within_rate(session: Session, judged: Judged) -> Judged:
    """The same, or refused because the identity has sent too many statements.

    What the policy refuses is counted where it is refused. The end of a transaction
    passes, so that nobody is stuck in one.
    """
    rate = session.rate
    if rate is None or not judged.decision.allowed:
        return judged
    wait_s = rate.take(len(judged.statements) or 1, session.clock())
    if not wait_s or _ends_transaction(session, judged):
        return judged
    return judged.refused_by(
        Decision(
            allowed=False,
            rule=RULE,
            reason=f"over {rate.most} statements a minute, which is the most for each "
            f"identity of role {session.judge.role}",
            sqlstate=LIMIT_EXCEEDED,
            hint=f"wait {wait_s} s; read more with fewer statements, or send fewer at "
            "once",
            kind=judged.decision.kind,
        )
    )


def _ends_transaction(session: Session, judged: Judged) -> bool:
    """Whether it is a COMMIT or ROLLBACK of a transaction that is, or may be, open."""
    return (
        len(judged.statements) == 1
        and judged.statements[0].transaction in {"commit", "rollback"}
        and (session.status != _IDLE or bool(session.queue))
    )
