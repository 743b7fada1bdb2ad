"""The shell's answer to a token: is it good, whose is it, and how long may it stay?

Next: `proxy.server.issuers`, `proxy.auth.tokens`; asked by `proxy.server.entrance`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxy.auth.tokens import Fault, TokenError, prove, too_wide
from proxy.policy.patterns import nearest
from proxy.server.issuers import DISCOVERY
from proxy.session.exchange import Verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.auth.identities import Identities, Identity
    from proxy.auth.tokens import Verified
    from proxy.server.issuers import Issuers
    from proxy.session.exchange import NeedVerification
    from proxy.settings import Settings

ASKED_WHERE: Final = "asked where to get a token"
"""The note of a login that had none yet (OAUTHBEARER): no failure of anyone."""


async def verify_token(
    need: NeedVerification,
    issuers: Issuers,
    identities: Callable[[], Identities],
    *,
    now: float,
) -> Verification:
    """Answer `NeedVerification`.

    Args:
        need: what the client sent, and by whose word it should be.
        issuers: all of them.
        identities: those in force, asked once the token is known to be good: they may
            change while keys are fetched.
        now: seconds since the epoch.
    """
    if need.issuer not in issuers:
        return Verification(None, f'the settings have no issuer "{need.issuer}"')
    settings = issuers.settings(need.issuer)
    discovery_url = settings.url.rstrip("/") + DISCOVERY
    try:
        if not need.credential:
            return Verification(
                None, ASKED_WHERE, discovery_url=discovery_url, scope=settings.scope
            )
        verified = await issuers.verify(need.issuer, need.credential, now=now)
        identity = _proven(need.user, identities(), verified, issuers, now)
    except TokenError as problem:
        return Verification(
            None,
            f"the token is not accepted: {problem.operator_note}",
            hint=problem.hint,
            discovery_url=discovery_url,
            scope=settings.scope,
        )
    return Verification(
        identity, proof=proof_of(verified), max_session_s=settings.max_session_s
    )


def _proven(
    user: str, identities: Identities, verified: Verified, issuers: Issuers, now: float
) -> Identity:
    """The identity that the token proves.

    Raises:
        TokenError: it proves somebody else, or one that may not log in.
    """
    identity = identities.find(user)
    entry = None if identity is None else identity.token
    prove(user, entry, verified, issuers.issuer(verified.issuer))
    if identity is None:
        raise TokenError(Fault.CLAIMS, "there is no such identity")
    if reason := identity.unusable_reason(datetime.fromtimestamp(now, UTC)):
        raise TokenError(Fault.CLAIMS, reason)
    return identity


def proof_of(verified: Verified) -> tuple[tuple[str, str], ...]:
    """What the audit record names of a token: enough to find it at its issuer."""
    expires = datetime.fromtimestamp(verified.expires, UTC)
    return (
        ("issuer", verified.issuer),
        ("subject", verified.subject),
        ("token_id", verified.token_id),
        ("expires", expires.isoformat()),
    )


def token_problem(settings: Settings, identity: Identity) -> str:
    """Why the tokens of an identity would prove nothing, "" if they can."""
    entry, known = identity.token, settings.issuers
    if entry is None:
        return ""
    here = f'identity "{identity.name}": token'
    if entry.issuer not in known:
        return (
            f'{here}: the settings have no issuer "{entry.issuer}"'
            f"{nearest(entry.issuer, known)}"
        )
    said = too_wide(entry, known[entry.issuer].issuer(entry.issuer))
    return f"{here} {said}" if said else ""
