"""Refusals that no policy decides: by protocol, by session state, by ceilings.

Each is a `Decision` with a rule id of its own, recorded like any other. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.audit.judged import judged_fragment
from proxy.errors import (
    AUDIT_UNAVAILABLE,
    DENIED,
    TOO_LARGE,
    UNDEFINED_CURSOR,
    UNDEFINED_PREPARED_STATEMENT,
)
from proxy.policy.decision import Decision
from proxy.session.refusal import RESERVED_STATEMENT
from proxy.session.sql_names import NAME_BYTES, name_key
from proxy.sql.facts import Analysis, Kind

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.session import Session

_NO_TEXT: Final = Analysis((), "")

FUNCTION_CALL_REFUSED: Final = Decision(
    allowed=False,
    rule="protocol.function-call",
    reason="the fast-path function call of the protocol is not allowed",
    sqlstate=DENIED,
    hint="call the function in a SELECT",
    kind=Kind.UNKNOWN,
)

AUDIT_IS_UNAVAILABLE: Final = Decision(
    allowed=False,
    rule="audit.unavailable",
    reason="the audit log can't be written, so nothing may run unrecorded",
    sqlstate=AUDIT_UNAVAILABLE,
    hint="try again; tell whoever runs pgwarden if it goes on",
    kind=Kind.UNKNOWN,
)


def too_large(size: int, most: int) -> Decision:
    """The text of a statement has more bytes than the ceiling."""
    return Decision(
        allowed=False,
        rule="limit.statement-size",
        reason=f"the statement has {size} bytes, at most {most} are allowed",
        sqlstate=TOO_LARGE,
        hint="send the data by COPY or as parameters, or split the statement",
        kind=Kind.UNKNOWN,
    )


def room_for_name(session: Session, name: bytes) -> Decision | None:
    """Why a named statement can't be prepared, or None."""
    if name == RESERVED_STATEMENT:
        return Decision(
            allowed=False,
            rule="session.reserved-name",
            reason=f'statement name "{shown(name)}" is pgwarden\'s own',
            sqlstate=DENIED,
            hint="use another name",
        )
    if len(session.statements) >= session.limits.statements:
        return too_many("prepared statements", session.limits.statements)
    return None


def fit_names(session: Session, judged: Judged) -> Judged:
    """The same, or refused for what it would do to names just now."""
    refused = _unfit_names(session, judged)
    return judged if refused is None else judged.refused_by(refused)


def _unfit_names(session: Session, judged: Judged) -> Decision | None:
    """Why an allowed text may not do what it does to names just now, or None."""
    if not judged.decision.allowed:
        return None
    for facts in judged.statements:
        for effect in facts.names:
            verb, name = effect.verb, effect.name
            if verb == "fetch" and name is not None:
                key = name_key(name.encode())
                if session.portals.may_be_unrun(key):
                    return fetch_of_portal(name)
                refused = _unfit_cursor(session, key)
                if refused is not None:
                    return refused
            elif verb == "prepare":
                if len(session.statements) >= session.limits.statements:
                    return too_many("prepared statements", session.limits.statements)
            elif verb == "declare" and len(session.portals) >= session.limits.portals:
                return too_many("portals", session.limits.portals)
    return None


def _unfit_cursor(session: Session, name: bytes) -> Decision | None:
    """Why what a cursor runs is not allowed by now, or None.

    It was judged when it was declared; since then the session may have come into
    quarantine, or the policy may be another.
    """
    bound = session.portals.get(name)
    while bound is not None:
        if bound.judged is not None and bound.judged.under != session.under:
            decision = session.verdict(bound.judged.text).decision
            if not decision.allowed:
                return decision
        bound = bound.before
    return None


def fetch_of_portal(name: str) -> Decision:
    """FETCH would run what was bound, past the record that a first Execute leaves."""
    return Decision(
        allowed=False,
        rule="session.fetch-of-portal",
        reason=f'"{name}" is a portal of the extended protocol that was not executed',
        sqlstate=DENIED,
        hint="run it by an Execute message, or open a cursor with DECLARE",
        kind=Kind.CURSOR,
    )


def too_many(what: str, most: int) -> Decision:
    """The session holds as many of these as it may."""
    return Decision(
        allowed=False,
        rule="limit.names",
        reason=f"the session has {most} {what} already, which is the most allowed",
        sqlstate=TOO_LARGE,
        hint="close those that are no longer needed",
    )


def missing_statement(name: bytes) -> Decision:
    """What Postgres itself would say, and no more is known of it here."""
    which = (
        f'prepared statement "{shown(name)}"' if name else "unnamed prepared statement"
    )
    return Decision(
        allowed=False,
        rule="session.unknown-prepared-statement",
        reason=f"{which} does not exist",
        sqlstate=UNDEFINED_PREPARED_STATEMENT,
        kind=Kind.EXECUTE,
    )


def missing_portal(name: bytes) -> Decision:
    """What Postgres itself would say, and no more is known of it here."""
    return Decision(
        allowed=False,
        rule="session.unknown-portal",
        reason=f'portal "{shown(name)}" does not exist',
        sqlstate=UNDEFINED_CURSOR,
        kind=Kind.CURSOR,
    )


def fragment(decision: Decision) -> bytes:
    """The record of a refusal that has no text, or none worth keeping."""
    return judged_fragment(_NO_TEXT, decision)


def shown(name: bytes) -> str:
    """A name, fit for a message."""
    return name[:NAME_BYTES].decode("utf-8", "replace")
