"""The limits of a role: in words, and those that can't be meant. Pure.

What they do is `proxy.session.rate`, `proxy.session.watch` and
`proxy.server.admission`. Next: `proxy.policy.model`, the keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.model import Role, RoleLimits


def in_words(limits: RoleLimits) -> list[str]:
    """Each limit that is set, as a short phrase."""
    told = []
    if limits.sessions:
        told.append(f"{limits.sessions} sessions")
    if limits.sessions_per_identity:
        told.append(f"{limits.sessions_per_identity} sessions an identity")
    if limits.reserved_slots:
        told.append(f"{limits.reserved_slots} places reserved")
    if limits.statements_per_minute:
        told.append(f"{limits.statements_per_minute} statements a minute an identity")
    if limits.running_time_s:
        told.append(f"{limits.running_time_s:g} s a statement")
    if limits.idle_in_transaction_s:
        told.append(f"{limits.idle_in_transaction_s:g} s idle in a transaction")
    return told


def doubtful(name: str, role: Role) -> Iterator[tuple[str, str]]:
    """Limits that never count, or don't hold what they promise: key and finding."""
    limits = role.limits
    if role.login.refuse and in_words(limits):
        yield "", f'role "{name}" can\'t log in, so its limits never count'
        return
    most = limits.sessions
    if most and limits.sessions_per_identity and limits.sessions_per_identity > most:
        yield (
            "sessions_per_identity",
            f'role "{name}" never reaches sessions_per_identity: it may have {most} '
            "sessions in all",
        )
    if most and limits.reserved_slots > most:
        yield (
            "reserved_slots",
            f'role "{name}" has {limits.reserved_slots} places reserved, of which it '
            f"may use {most}",
        )
    if limits.idle_in_transaction_s and not limits.running_time_s:
        yield (
            "idle_in_transaction_s",
            f'role "{name}" may hold a transaction open by a statement that runs, as '
            'it has no "running_time_s"',
        )
