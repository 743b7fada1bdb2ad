"""What only a proven person may be told: whether network, role and settings let it in.

Imports values of `policy` and `wish`. Next: `proxy.session.login`, which asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import DENIED, INVALID_AUTHORIZATION
from proxy.session.wish import Outcome, RefusedLoginError

if TYPE_CHECKING:
    from proxy.auth.identities import Identity
    from proxy.policy.decision import Decision, ShadowRefusal
    from proxy.session.login_effects import LoginRules
    from proxy.session.wish import Wish


def admit(
    identity: Identity, wish: Wish, rules: LoginRules, address: str, *, role: str
) -> list[tuple[str, ShadowRefusal]]:
    """Judge the wish of a proven client, which will act as `role`.

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
        decision = rules.judge_setting(role, wish, name, value)
        if not decision.allowed:
            raise refused_setting(name, decision)
        if decision.shadow is not None:
            shadows.append((name, decision.shadow))
    return shadows


def refused_setting(name: str, decision: Decision) -> RefusedLoginError:
    """How a login ends whose startup parameter the policy refuses."""
    return RefusedLoginError(
        f'startup parameter "{name}" is refused: {decision.reason}',
        Outcome.PARAMETER,
        sqlstate=decision.sqlstate or DENIED,
        detail=f"Rule {decision.rule}.",
        hint=decision.hint,
    )
