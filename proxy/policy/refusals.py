"""The refusals that no rule of a document words: pgwarden's own. Pure.

Next: `proxy.policy.evaluate`, which gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import DENIED, SYNTAX_ERROR, TOO_LARGE
from proxy.policy import invariants
from proxy.policy.decision import Decision
from proxy.sql.majors import OLDEST

if TYPE_CHECKING:
    from proxy.sql.facts import Trouble

DEFAULT_DENY: Final = "default-deny"
"""Rule id of a refusal because nothing permits an act."""
QUARANTINE: Final = "quarantine"
"""Rule id of a refusal because the session is in quarantine."""
NOT_UNDERSTOOD: Final = "not-understood"
TOO_LARGE_RULE: Final = "too-large"
NEWER_GRAMMAR: Final = "pgwarden.grammar"
"""Rule id of a refusal because the server lacks the text's grammar."""
INTERNAL_ERROR: Final = "internal-error"
UNKNOWN_ROLE: Final = "unknown-role"
LOGIN: Final = "login"


def in_trouble(trouble: Trouble) -> Decision:
    """The text could not be understood, so it was not judged."""
    too_large = trouble.sqlstate == TOO_LARGE
    return Decision(
        allowed=False,
        rule=TOO_LARGE_RULE if too_large else NOT_UNDERSTOOD,
        reason=trouble.message,
        sqlstate=trouble.sqlstate or SYNTAX_ERROR,
        hint=trouble.hint,
        position=trouble.position,
    )


def in_quarantine(what: str, kind: str) -> Decision:
    """The session may only read, because of what it was refused before."""
    return Decision(
        allowed=False,
        rule=QUARANTINE,
        reason=f"{what} is not allowed: after an earlier refusal "
        "this session is in quarantine and may only read",
        sqlstate=DENIED,
        hint="Find the refused statement in the audit log, "
        "and connect again once you know why it was sent.",
        kind=kind,
    )


def broken_reading(what: str, kind: str) -> Decision:
    """A setting after which pgwarden and the server would read texts differently."""
    return Decision(
        allowed=False,
        rule=invariants.RULE,
        reason=f"{what}: {invariants.REASON}",
        sqlstate=DENIED,
        hint=invariants.HINT,
        kind=kind,
    )


def newer_grammar(since: int, server: int, kind: str) -> Decision:
    """The text has grammar that the server has not: it would read something else."""
    known = f"PostgreSQL {server}" if server else "the server, if it is older,"
    return Decision(
        allowed=False,
        rule=NEWER_GRAMMAR,
        reason=f"this is grammar of PostgreSQL {since}, and {known} may read it as the "
        "call of a function",
        sqlstate=SYNTAX_ERROR,
        hint=f"Use functions that PostgreSQL {server or OLDEST} has. Offline, name the "
        "server with --server-version.",
        kind=kind,
    )


def no_login(reason: str, hint: str, kind: str) -> Decision:
    """The role has no SQL login at all."""
    return Decision(
        allowed=False,
        rule=LOGIN,
        reason=reason,
        sqlstate=DENIED,
        hint=hint,
        kind=kind,
    )


def unknown_role(role: str) -> Decision:
    """The document has no such role."""
    return Decision(
        allowed=False,
        rule=UNKNOWN_ROLE,
        reason=f'the policy in force has no role "{role}"',
        sqlstate=DENIED,
        hint="Ask the people who run pgwarden to give your identity a role.",
    )


def internal_error() -> Decision:
    """Deciding failed: what could not be decided is denied."""
    return Decision(
        allowed=False,
        rule=INTERNAL_ERROR,
        reason="pgwarden could not decide on this statement, so it was not run",
        sqlstate=DENIED,
        hint="This is a fault of pgwarden: please report it with the statement.",
    )
