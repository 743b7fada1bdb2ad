"""Who may have a session now: the policy's word on the role, and the ceilings.

Next: `proxy.server.entrance`, which asks, and `proxy.server.server`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from proxy.errors import (
    INVALID_AUTHORIZATION,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
    ErrorReport,
)
from proxy.policy.decision import Context, Decision
from proxy.policy.evaluate import UnknownRoleError
from proxy.policy.situation import Circumstances
from proxy.session.login_effects import LoginRules
from proxy.session.rate import Rate

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.auth.identities import Identities
    from proxy.policy.evaluate import Policy
    from proxy.policy.logins import Knock, Ways
    from proxy.server.arrival import Origin
    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest
    from proxy.session.wish import Wish
    from proxy.settings import LimitSettings
    from proxy.settings_upstream import UpstreamSettings


def login_rules(server: Server, origin: Origin) -> LoginRules:
    """The rules for a connection that begins now."""
    return LoginRules(
        tls_available=server.tls is not None,
        plaintext_allowed=origin.is_local,
        may_login=lambda role, _: may_login(server.policy, role),
        lent=partial(_lent, server),
        judge_setting=partial(_judge_setting, server, origin.address),
        ways=partial(_ways, server),
    )


def _ways(server: Server, knock: Knock) -> Ways:
    # By the policy of the moment, not of the connection's beginning.
    return server.policy.logins.ways(knock)


def _lent(server: Server, identity: str, own_role: str) -> tuple[str, str]:
    lending = server.lending
    return lending.role_for(identity, own_role) if lending else (own_role, "")


def _judge_setting(
    server: Server, address: str, role: str, wish: Wish, name: str, value: str
) -> Decision:
    around = Circumstances(address, wish.application_name, server.now(), proven=False)
    context = Context(wish.database, situation=server.policy.situation(role, around))
    return server.policy.decide_setting(role, name, value, context)


def may_login(policy: Policy, role: str) -> Decision:
    """Whether the policy lets anyone whose own role this is have SQL sessions."""
    try:
        rules = policy.role(role)
    except UnknownRoleError as error:
        return Decision(
            allowed=False,
            rule="login.unknown-role",
            reason=error.message,
            sqlstate=INVALID_AUTHORIZATION,
        )
    if role in policy.document.model.access.roles:
        return Decision(
            allowed=False,
            rule="login.only-lent",
            reason=f'role "{role}" is only lent, and nobody\'s own',
            sqlstate=INVALID_AUTHORIZATION,
            hint="ask for it with CALL pgwarden.request_access(...)",
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


def why_out(
    request: LoginRequest, policy: Policy, identities: Identities, now: datetime
) -> str:
    """Why a session may not go on under what was just read, "" if it may."""
    identity = identities.find(request.identity)
    own_role = request.own_role or request.role
    if identity is None or identity.disabled or identity.role != own_role:
        return f'identity "{request.identity}" was removed or changed'
    if identity.sessions_since != request.sessions_since:
        return f'identity "{request.identity}" was disabled, or added anew, meanwhile'
    wanted, shown = identity.certificate, request.certificate
    if wanted is not None and shown and not wanted.fits(shown, identity.name):
        return f'identity "{request.identity}" has another client certificate now'
    if request.token is not None and identity.token != request.token:
        return f'identity "{request.identity}" takes other tokens now'
    if reason := identity.unusable_reason(now):
        return f'"{request.identity}" may not go on: {reason}'
    decision = may_login(policy, own_role)
    return "" if decision.allowed else f"the policy changed: {decision.reason}"


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


def no_session(server: Server, request: LoginRequest) -> ErrorReport | None:
    """Why a proven client may not have a session now, or None."""
    refusal = unserved(server.settings.upstream, request.database)
    refusal = refusal or server.gate.refusal(server.policy)
    if refusal is None and server.stored is not None:
        refusal = server.stored.watch.refusal()
    if refusal is not None:
        return refusal
    place = server.slots.problem(request, server.policy)
    if place is None:
        return None
    if place.limit:
        server.metrics.limit_hit(request.role, place.limit)
    return place.report


class Slot:
    """A place among the sessions of an identity and its role; released once."""

    def __init__(self, slots: Slots, request: LoginRequest) -> None:
        self._slots: Slots | None = slots
        self._request = request
        slots.count(request, 1)

    def release(self) -> None:
        """Give the place back."""
        if self._slots is not None:
            self._slots.count(self._request, -1)
            self._slots = None


class NoPlace(NamedTuple):
    """Why a proven client finds no place.

    `limit` is a metric label: which limit of the role it was, "" if it was none.
    """

    report: ErrorReport
    limit: str = ""


class Slots:
    """The places for sessions: in all, for each role and for each identity."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._taken_by_role: Counter[str] = Counter()

    def problem(self, request: LoginRequest, policy: Policy) -> NoPlace | None:
        """Why a proven client finds no place now, or None."""
        limits = self._limits
        role, identity = request.role, request.identity
        free = limits.sessions - self._taken.total()
        if free <= 0:
            return _full(f"pgwarden has {limits.sessions} sessions already")
        if free <= (reserved := self._reserved_for_others(role, policy)):
            return _full(
                f"the last {reserved} of pgwarden's {limits.sessions} places are "
                f'reserved, and not for role "{role}"',
                "reserved-slots",
            )
        own = policy.limits_of(role)
        if own.sessions and self._taken_by_role[role] >= own.sessions:
            return _full(
                f'role "{role}" has {own.sessions} sessions already', "sessions"
            )
        most, limit = limits.sessions_per_identity, ""
        if own.sessions_per_identity and own.sessions_per_identity <= most:
            most, limit = own.sessions_per_identity, "sessions-per-identity"
        if self._taken[identity] >= most:
            return _full(f'"{identity}" has {most} sessions already', limit)
        return None

    def take(self, request: LoginRequest) -> Slot:
        """Count a session that is about to begin."""
        return Slot(self, request)

    def count(self, request: LoginRequest, change: int) -> None:
        """Count places taken or, with a negative change, given back."""
        for taken, name in (
            (self._taken, request.identity),
            (self._taken_by_role, request.role),
        ):
            taken[name] += change
            if not taken[name]:
                del taken[name]

    def _reserved_for_others(self, role: str, policy: Policy) -> int:
        """Places kept for roles that do not use all of theirs now."""
        return sum(
            max(0, policy.limits_of(name).reserved_slots - self._taken_by_role[name])
            for name in policy.roles
            if name != role
        )


def _full(message: str, limit: str = "") -> NoPlace:
    return NoPlace(
        ErrorReport(
            TOO_MANY_CONNECTIONS,
            f"too many connections: {message}",
            detail=f"rule limits.{limit}" if limit else "",
            hint="close some, or try again later",
            severity="FATAL",
        ),
        limit,
    )


class Rates:
    """The statements per minute of each identity whose role has such a limit.

    They outlive sessions, so that to connect again gains nothing.
    """

    def __init__(self) -> None:
        self._rates: dict[str, Rate] = {}

    def of(self, request: LoginRequest, policy: Policy) -> Rate | None:
        """The one for this session under the policy in force; None without a limit."""
        most = policy.limits_of(request.role).statements_per_minute
        if most is None:
            return None
        rate = self._rates.setdefault(request.identity, Rate(most))
        rate.most = most
        return rate

    def keep(self, identities: Identities) -> None:
        """Forget whoever is no identity any more."""
        for name in [name for name in self._rates if identities.find(name) is None]:
            del self._rates[name]
