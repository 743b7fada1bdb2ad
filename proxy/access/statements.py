"""The statements that pgwarden answers itself, and what is wrong with one.

`CALL pgwarden.approve('G-7K3QX2MA')` and `SHOW pgwarden.access` are recognised by the
parsed tree and never forwarded as written. What is decided here hangs on the text, role
and policy alone, so that `pgwarden check` says the same; the rest is decided when the
command runs. Pure. Next: `proxy.access.lending`, `proxy.session.own`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.errors import DENIED, GATE_UNSATISFIED, SYNTAX_ERROR
from proxy.policy.decision import Decision
from proxy.policy.patterns import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.policy.evaluate import Policy
    from proxy.sql.facts import Facts, NameEffect

COMMAND: Final = "command"
VIEW: Final = "view"
OWN_VERBS: Final = frozenset({COMMAND, VIEW})
RULE: Final = "access.own-statement"
EXECUTE: Final = "ExecuteStmt"


class Form(NamedTuple):
    """How a command is called: how many texts it takes, and an example."""

    fewest: int
    most: int
    example: str


COMMANDS: Final[dict[str, Form]] = {
    "request_access": Form(
        3, 3, "CALL pgwarden.request_access('writer', '30m', 'INC-42: fix order 17')"
    ),
    "approve": Form(1, 1, "CALL pgwarden.approve('G-7K3QX2MA')"),
    "deny": Form(1, 2, "CALL pgwarden.deny('G-7K3QX2MA', 'ask me tomorrow')"),
    "revoke": Form(1, 2, "CALL pgwarden.revoke('G-7K3QX2MA', 'done')"),
    "review": Form(2, 2, "CALL pgwarden.review('G-7K3QX2MA', 'one row, as said')"),
}
VIEWS: Final = {
    "access": "who asked for what, and what became of it",
    "requests": "what waits to be approved",
    "unreviewed": "what was lent, is over, and waits for a review",
    "session": "as whom this session acts",
}


def has_own(statements: Sequence[Facts]) -> bool:
    """Whether any statement is, or executes, one of pgwarden's own."""
    return any(
        effect.verb in OWN_VERBS for facts in statements for effect in facts.names
    )


def own_effect(statements: Sequence[Facts]) -> NameEffect | None:
    """The statement of pgwarden's own that a text is, if it is nothing else."""
    if len(statements) != 1 or statements[0].verb == EXECUTE:
        return None
    for effect in statements[0].names:
        if effect.verb in OWN_VERBS:
            return effect
    return None


def decide_own(
    policy: Policy, statements: Sequence[Facts], *, quarantined: bool
) -> Decision:
    """The verdict on a text in which a statement of pgwarden's own is."""
    effect = own_effect(statements)
    kind = statements[0].kind
    if effect is None:
        return _no(
            "not-alone",
            "what pgwarden answers itself can't be sent with anything else, nor be "
            "executed by a name",
            "send it alone",
            kind=kind,
        )
    name = effect.name or ""
    known = COMMANDS if effect.verb == COMMAND else VIEWS
    if name not in known:
        said = "CALL" if effect.verb == COMMAND else "SHOW"
        return _no(
            "unknown",
            f'there is no "{said} pgwarden.{name[:40]}"{nearest(name[:40], known)}',
            f"{said} knows pgwarden." + ", pgwarden.".join(known),
            kind=kind,
        )
    if not policy.document.model.access.roles:
        return _no(
            "off",
            f'policy "{policy.name}" lends no role',
            "its section access says which role is lent to whom",
            kind=kind,
            sqlstate=GATE_UNSATISFIED,
        )
    if effect.verb == COMMAND:
        form = COMMANDS[name]
        if effect.args is None or not form.fewest <= len(effect.args) <= form.most:
            return _no(
                "malformed",
                f"pgwarden.{name} takes {_counted(form)} in quotes, and nothing else",
                f"as in: {form.example}",
                kind=kind,
                sqlstate=SYNTAX_ERROR,
            )
        if quarantined:
            return _no(
                "quarantined",
                "a session in quarantine may only read",
                "reconnect",
                kind=kind,
            )
    return Decision(
        allowed=True, rule=RULE, reason="pgwarden answers this itself", kind=kind
    )


def not_extended(kind: str) -> Decision:
    """Refusal of a command that comes as a prepared statement.

    It would have to act when it is executed, and its answer be known when it is bound.
    """
    return _no(
        "extended",
        "a command of pgwarden's must come as a simple query",
        "psql does so; with a driver, send it without parameters and unprepared",
        kind=kind,
        # Not 0A000, for which pools drop the connection.
        sqlstate=GATE_UNSATISFIED,
    )


def _no(
    rule: str, reason: str, hint: str, *, kind: str, sqlstate: str = DENIED
) -> Decision:
    return Decision(
        allowed=False,
        rule=f"access.{rule}",
        reason=reason,
        sqlstate=sqlstate,
        hint=hint,
        kind=kind,
    )


def _counted(form: Form) -> str:
    if form.fewest == form.most:
        return f"{form.most} text" + ("s" if form.most > 1 else "")
    return f"{form.fewest} to {form.most} texts"
