"""What only a proven person may be told: whether network, role and settings let it in.

Imports values of `policy` and `wish`. Next: `proxy.session.login`, which asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import DENIED, INVALID_AUTHORIZATION, LoginError
from proxy.session.wish import Outcome, RefusedLoginError

if TYPE_CHECKING:
    from proxy.auth.identities import Identity
    from proxy.policy.decision import Decision, ShadowRefusal
    from proxy.session.exchange import Unproven
    from proxy.session.login_effects import LoginRules
    from proxy.session.wish import Wish


def admit(
    identity: Identity, wish: Wish, rules: LoginRules, address: str
) -> list[tuple[str, ShadowRefusal]]:
    """Judge the wish of a proven client.

    Returns:
        The settings that a rule in shadow would have refused, with that.

    Raises:
        RefusedLoginError: it may not come in, or not so.
    """
    if not identity.may_come_from(address):
        raise RefusedLoginError(
            f'"{identity.name}" may not log in from {address}',
            Outcome.NETWORK,
            hint="The networks of this identity are in pgwarden's identities file.",
        )
    decision = rules.may_login(identity.role, wish.database)
    if not decision.allowed:
        raise RefusedLoginError(
            f'"{identity.name}" may not log in: {decision.reason}',
            Outcome.POLICY,
            sqlstate=decision.sqlstate or INVALID_AUTHORIZATION,
            detail=f"Rule {decision.rule}.",
            hint=decision.hint,
        )
    shadows = []
    for name, value in wish.settings:
        decision = rules.judge_setting(identity.role, wish, name, value)
        if not decision.allowed:
            raise refused_setting(name, decision)
        if decision.shadow is not None:
            shadows.append((name, decision.shadow))
    return shadows


def unproven(
    why: Unproven, identity: Identity | None, *, user: str, doom: str
) -> RefusedLoginError:
    """How a login ends whose proof has failed: the same words for every reason.

    Args:
        why: what the exchange says of it.
        identity: of that name, if there is one.
        user: the name.
        doom: why nothing would have helped, for the operator.
    """
    outcome = Outcome.CREDENTIALS
    if why.is_question:
        outcome = Outcome.QUESTION
    elif identity is None:
        outcome = Outcome.UNKNOWN_IDENTITY
    elif doom:
        outcome = Outcome.UNUSABLE_IDENTITY
    return RefusedLoginError(
        f'{why.what} authentication failed for user "{user}"',
        outcome,
        sqlstate=LoginError.sqlstate,
        hint=why.hint,
        operator_note=doom or why.note or "there is no such identity",
    )


def refused_setting(name: str, decision: Decision) -> RefusedLoginError:
    """How a login ends whose startup parameter the policy refuses."""
    return RefusedLoginError(
        f'startup parameter "{name}" is refused: {decision.reason}',
        Outcome.PARAMETER,
        sqlstate=decision.sqlstate or DENIED,
        detail=f"Rule {decision.rule}.",
        hint=decision.hint,
    )
