"""Taking statements back whose audit record could not be written.

Called before a byte of them was sent: each is replaced by its stand-in, its names are
undone, and its record becomes that of a refusal, to be written when the log is back.
ROLLBACK, and COMMIT of a failed transaction, still pass, so that nobody is stuck. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.audit.judged import judged_fragment
from proxy.session.expected import Owed
from proxy.session.own_rules import AUDIT_IS_UNAVAILABLE

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.session import Session


def refuse_unrecorded(session: Session) -> None:
    """See `Session.refuse_unrecorded`."""
    for item in reversed(session.uncommitted):
        expected = item.expected
        execution = expected.execution
        if execution is None or _ends_transaction(session, execution.judged):
            continue
        refusal = session.take_back(execution.serial)
        piece = session.to_backend[item.piece]
        simple = expected.owed is Owed.QUERY
        instead = refusal.as_query() if simple else refusal.as_parse(unnamed=False)
        session.to_backend[item.piece] = (
            piece[: item.start] + instead + piece[item.end :]
        )
        session.records[item.record] = session.made.statement(
            execution.serial,
            judged_fragment(execution.judged.analysis, AUDIT_IS_UNAVAILABLE),
            message="query" if simple else "execute",
        )
        for change in reversed(expected.changes or ()):
            change.space.undo(change.bound)
        if expected.portal is not None:
            expected.portal.execution = None
        expected.refusal = refusal
        expected.execution = None
        expected.changes = None
    session.uncommitted.clear()


def _ends_transaction(session: Session, judged: Judged) -> bool:
    """ROLLBACK, or COMMIT of a failed transaction: may pass unrecorded."""
    if len(judged.statements) != 1:
        return False
    what = judged.statements[0].transaction
    return what == "rollback" or (what == "commit" and session.status == ord("E"))
