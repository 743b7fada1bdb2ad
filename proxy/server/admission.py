"""Who may have a session now: the policy's word on the role, and the ceilings.

Next: `proxy.server.entrance`, which asks, and `proxy.server.server`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from proxy.errors import (
    INVALID_AUTHORIZATION,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
    ErrorReport,
)
from proxy.policy.decision import Decision
from proxy.policy.evaluate import UnknownRoleError

if TYPE_CHECKING:
    from proxy.policy.evaluate import Policy
    from proxy.session.login_effects import LoginRequest
    from proxy.settings import LimitSettings, UpstreamSettings


def may_login(policy: Policy, role: str) -> Decision:
    """Whether the policy lets anyone of this role have SQL sessions."""
    try:
        rules = policy.role(role)
    except UnknownRoleError as error:
        return Decision(
            allowed=False,
            rule="login.unknown-role",
            reason=error.message,
            sqlstate=INVALID_AUTHORIZATION,
        )
    if not rules.may_login:
        return Decision(
            allowed=False,
            rule="login.refused",
            reason=rules.login_reason,
            sqlstate=INVALID_AUTHORIZATION,
            hint=rules.login_hint,
        )
    return Decision(allowed=True, rule="login", reason="the role may log in")


def unserved(settings: UpstreamSettings, database: str) -> ErrorReport | None:
    """The refusal of a database that is not served, or None."""
    if settings.serves(database):
        return None
    return ErrorReport(
        INVALID_CATALOG_NAME,
        f'database "{database}" is not served here',
        hint="ask for one of: " + ", ".join(settings.databases),
        severity="FATAL",
    )


class Slot:
    """A place among the sessions of an identity; released once."""

    def __init__(self, taken: Counter[str], identity: str) -> None:
        self._taken = taken
        self._identity = identity
        taken[identity] += 1

    def release(self) -> None:
        """Give the place back."""
        if self._identity:
            self._taken[self._identity] -= 1
            if not self._taken[self._identity]:
                del self._taken[self._identity]
            self._identity = ""


class Slots:
    """The places for sessions, in all and for each identity."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()

    def problem(self, request: LoginRequest) -> ErrorReport | None:
        """Why a proven client finds no place now, or None."""
        limits = self._limits
        if self._taken.total() >= limits.sessions:
            return _too_many(f"pgwarden has {limits.sessions} sessions already")
        if self._taken[request.identity] >= limits.sessions_per_identity:
            return _too_many(
                f'"{request.identity}" has {limits.sessions_per_identity} sessions '
                "already"
            )
        return None

    def take(self, request: LoginRequest) -> Slot:
        """Count a session that is about to begin."""
        return Slot(self._taken, request.identity)


def _too_many(message: str) -> ErrorReport:
    return ErrorReport(
        TOO_MANY_CONNECTIONS,
        f"too many connections: {message}",
        hint="close some, or try again later",
        severity="FATAL",
    )
