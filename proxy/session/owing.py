"""Noting what Postgres owes for a message that leaves, as it came or as a stand-in.

Pure. Next: `proxy.session.expected`, what is noted, and `proxy.session.refusal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.audit.records import names_fragment
from proxy.session.expected import (
    COPY_END,
    NO_CHANGES,
    OWED_PARSE,
    OWED_QUERY,
    Expected,
)
from proxy.session.own_rules import FUNCTION_CALL_REFUSED, fragment as fragment_of
from proxy.session.progress import finish
from proxy.session.sql_names import rename

if TYPE_CHECKING:
    from proxy.audit.records import Message
    from proxy.policy.decision import Decision
    from proxy.session.judge import Judged
    from proxy.session.session import Session


def refuse_extended(
    session: Session,
    decision: Decision,
    fragment: bytes,
    message: Message,
    *,
    name: bytes | None = None,
    names: bytes = b"",
) -> bytes:
    """Refuse a Parse (with its `name`), Bind or Execute."""
    if name:
        names = names_fragment(statement=name)
    refusal = session.refuse(decision, fragment, message, names)
    unnamed = name == b""
    changes = NO_CHANGES
    if unnamed and not session.skipping:
        # Postgres drops the unnamed statement before it looks at the new text.
        bound = session.statements.put(b"", None, segment=session.segment)
        changes = [bound]
    expect(session, Expected(OWED_PARSE, refusal=refusal, changes=changes))
    return refusal.as_parse(unnamed=unnamed)


def refuse_function_call(session: Session) -> bytes:
    """Refuse a FunctionCall: it runs any function by number, with no text to judge."""
    decision = FUNCTION_CALL_REFUSED
    session.in_segment = False
    session.segment += 1
    refusal = session.refuse(decision, fragment_of(decision), "function_call")
    expect(session, Expected(OWED_QUERY, refusal=refusal))
    return refusal.as_query()


def expect(session: Session, expected: Expected) -> None:
    """Note what Postgres owes, unless it ignores everything up to the next Sync."""
    if not session.skipping:
        session.queue.append(expected)


def send(
    session: Session, judged: Judged, expected: Expected, *, renames: bool
) -> None:
    """Note what is owed for a recorded statement that is about to be forwarded."""
    if session.skipping:
        # Postgres ignores everything up to the next Sync, this too.
        if expected.execution is not None:
            finish(session, expected.execution, "skipped")
        return
    if renames:
        rename(session, judged, expected)
    session.queue.append(expected)


def end_copy(session: Session) -> None:
    """Note where a COPY-in ends among the messages sent, if one may be open."""
    session.copying_in = False
    if session.reading_copy or any(map(_may_copy_in, session.queue)):
        session.queue.append(COPY_END)


def _may_copy_in(expected: Expected) -> bool:
    execution = expected.execution
    return execution is not None and execution.judged.copies_in
