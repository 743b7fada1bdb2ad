"""Taking statements back whose audit record could not be written.

Called before a byte of them was sent: each is replaced by its stand-in, its names are
undone, and its record becomes that of a refusal, to be written when the log is back.
ROLLBACK, and COMMIT of a failed transaction, still pass, so that nobody is stuck. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.audit.judged import judged_fragment
from proxy.session.expected import NO_CHANGES, OWED_EXECUTE, OWED_QUERY, OWED_SYNC
from proxy.session.own_rules import AUDIT_IS_UNAVAILABLE

if TYPE_CHECKING:
    from proxy.session.expected import Expected
    from proxy.session.names import Execution
    from proxy.session.session import Session


def refuse_unrecorded(session: Session) -> None:
    """See `Session.refuse_unrecorded`."""
    for expected in reversed(session.uncommitted):
        execution = expected.execution
        if execution is None or _ends_transaction(session, expected, execution):
            continue
        if execution.finished:
            # Postgres skips it anyway; what is refused has no outcome.
            del session.records[execution.record + 1]
        execution.finished = execution.ran = True
        session.statements_denied += 1
        refusal = session.take_back(execution.serial)
        piece = session.to_backend[execution.piece]
        simple = expected.owed is OWED_QUERY
        instead = refusal.as_query() if simple else refusal.as_parse(unnamed=False)
        session.to_backend[execution.piece] = (
            piece[: execution.start] + instead + piece[execution.end :]
        )
        session.records[execution.record] = session.made.statement(
            execution.serial,
            judged_fragment(execution.judged.analysis, AUDIT_IS_UNAVAILABLE),
            message="query" if simple else "execute",
        )
        for bound in reversed(expected.changes):
            bound.space.undo(bound)
        if expected.portal is not None:
            expected.portal.execution = None
        expected.refusal = refusal
        expected.execution = None
        expected.changes = NO_CHANGES
    session.uncommitted.clear()


def _ends_transaction(
    session: Session, expected: Expected, execution: Execution
) -> bool:
    """ROLLBACK, or COMMIT of a failed transaction: may pass unrecorded."""
    statements = execution.judged.statements
    if len(statements) != 1:
        return False
    what = statements[0].transaction
    return what == "rollback" or (
        what == "commit" and session.status == ord("E") and _is_next(session, expected)
    )


def _is_next(session: Session, expected: Expected) -> bool:
    """Whether no statement is unanswered before this one: the status still holds."""
    for earlier in session.queue:
        if earlier is expected:
            return True
        if earlier.owed in {OWED_QUERY, OWED_EXECUTE, OWED_SYNC}:
            return False
    return False
