"""Hold sessions to the time that their role may take, by our own clock and cancel.

A statement over its time is cancelled upstream, again at each look; if it goes on all
the same (it waits for COPY data, or for a client that does not read), its session ends.
Whatever the client sets in Postgres changes nothing of this.
Next: `proxy.session.watch`, which tells the time, and `proxy.session.overrun`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import ADMIN_SHUTDOWN, IDLE_IN_TRANSACTION, ErrorReport
from proxy.session.overrun import RULE as RUNNING_TIME, Overrun
from proxy.session.watch import Watch

if TYPE_CHECKING:
    from proxy.policy.model import RoleLimits
    from proxy.server.link import Link

CANCEL_GRACE_S: Final = 5.0
"""From the first cancel to the end of the session: several cancels, and long enough for
a server that is busy; a statement that is stuck holds its locks no longer than this."""
IDLE_RULE: Final = "limits.idle-in-transaction"


def keep_time(link: Link) -> None:
    """Look at one session; called about once a second."""
    limits = link.server.limits_of(link.request.role)
    if limits.running_time_s is None and limits.idle_in_transaction_s is None:
        link.overtime = link.session.overrun = None
        return
    if link.session.ending is None:
        if link.overtime is None:
            link.overtime = Overtime(link)
        link.overtime.look(limits)


class Overtime:
    """The time of one session."""

    __slots__ = ("_link", "_watch")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._watch = Watch()

    def look(self, limits: RoleLimits) -> None:
        """Stop what has run, or been idle, for too long."""
        link = self._link
        session, watch = link.session, self._watch
        now_s = link.server.clock()
        watch.look(session, answered=link.bytes_out, now_s=now_s)
        limit_s = limits.running_time_s
        if limit_s is not None and watch.running_s >= limit_s:
            self._stop(limit_s, now_s)
        elif session.overrun is not None and not session.overrun.is_cancelling:
            session.overrun = None
        limit_s = limits.idle_in_transaction_s
        if limit_s is not None and watch.idle_s >= limit_s:
            self._end_transaction(limit_s)

    def _stop(self, limit_s: float, now_s: float) -> None:
        link, work = self._link, self._watch.work
        session, overrun = link.session, link.session.overrun
        if work is None or (overrun is not None and overrun.is_cancelling):
            return
        if overrun is None or not overrun.is_of(session, work):
            overrun = Overrun(session, work, limit_s=limit_s, now_s=now_s)
            session.overrun = overrun
            self._tell(RUNNING_TIME, "running-time", limit_s)
        elif now_s - overrun.began_s >= CANCEL_GRACE_S:
            self._end_statement(limit_s)
            return
        overrun.is_cancelling = True
        link.hold()
        link.server.tasks.start(self._cancel(overrun))

    async def _cancel(self, overrun: Overrun) -> None:
        """Send a CancelRequest; the client waits until Postgres has taken it."""
        link = self._link
        try:
            await link.server.cancel_now(link)
        finally:
            overrun.is_cancelling = False
            link.release()

    def _end_statement(self, limit_s: float) -> None:
        role = self._link.request.role
        self._link.end_overdue(
            f"{RUNNING_TIME}: a statement ran for more than {limit_s:g} s and did not "
            "stop when it was cancelled",
            ErrorReport(
                ADMIN_SHUTDOWN,
                f"terminating connection: a statement ran for more than {limit_s:g} s, "
                f"the most for role {role}, and did not stop when it was cancelled",
                detail=f"rule {RUNNING_TIME}",
                hint="read what the server sends, send COPY data without pauses, and "
                "end a pipeline with Sync",
                severity="FATAL",
            ),
        )

    def _end_transaction(self, limit_s: float) -> None:
        link = self._link
        self._tell(IDLE_RULE, "idle-in-transaction", limit_s)
        link.end_overdue(
            f"{IDLE_RULE}: idle in a transaction for more than {limit_s:g} s",
            ErrorReport(
                IDLE_IN_TRANSACTION,
                f"terminating connection: idle in a transaction for more than "
                f"{limit_s:g} s, the most for role {link.request.role}",
                detail=f"rule {IDLE_RULE}",
                hint="commit or roll back as soon as the work is done; reconnect",
                severity="FATAL",
            ),
        )

    def _tell(self, rule: str, limit: str, limit_s: float) -> None:
        """Record and count that a limit was hit."""
        link, work = self._link, self._watch.work
        detail = {"rule": rule, "limit_s": f"{limit_s:g}"}
        if work is not None and work.execution is not None:
            detail["audit_id"] = link.records.audit_id(work.execution.serial)
        link.note(link.records.internal("limit", detail=detail))
        link.server.metrics.limit_hit(link.request.role, limit)
