"""Telling open sessions what has become of requests: a NOTICE, between two messages.

Next: `proxy.server.lending`, which knows what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.access.grant import Grant, State
from proxy.errors import ErrorReport
from proxy.policy.durations import in_words
from proxy.wire.errors_wire import encode_notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.policy.model import Lendable
    from proxy.server.link import Link
    from proxy.session.login_effects import LoginRequest


def tell_sessions(
    links: Iterable[Link],
    before: Mapping[str, Grant],
    now: Mapping[str, Grant],
    lent: Mapping[str, Lendable],
) -> None:
    """Tell each session what concerns its identity of what has changed."""
    news = [
        (before.get(grant_id), grant)
        for grant_id, grant in now.items()
        if before.get(grant_id) != grant
    ]
    if not news:
        return
    for link in list(links):
        for old, grant in news:
            notice = _notice(link.request, old, grant, lent)
            if notice is not None:
                link.tell(encode_notice(notice))


def greeting(grant: Grant) -> bytes:
    """What a session under a grant is told when it begins."""
    return encode_notice(
        _said(
            f'you act as role "{grant.role}" under grant {grant.id} until '
            f"{_until(grant)}: {grant.reason}",
            f"give it back when you are done: CALL pgwarden.revoke('{grant.id}')",
        )
    )


def _notice(
    request: LoginRequest,
    old: Grant | None,
    grant: Grant,
    lent: Mapping[str, Lendable],
) -> ErrorReport | None:
    own_role = request.own_role or request.role
    if grant.identity == request.identity:
        is_decided = old is not None and old.state is State.PENDING
        return _to_requester(grant) if is_decided else None
    rules = lent.get(grant.role)
    if grant.state is State.PENDING and rules and own_role in rules.approvers:
        if old is not None:
            return None
        return _said(
            f'"{grant.identity}" asks for role "{grant.role}" for '
            f"{in_words(grant.length_s)}: {grant.reason}",
            f"CALL pgwarden.approve('{grant.id}'), or CALL pgwarden.deny('{grant.id}')",
        )
    return None


def _to_requester(grant: Grant) -> ErrorReport | None:
    match grant.state:
        case State.ACTIVE:
            return _said(
                f'{grant.id} is approved: role "{grant.role}" is yours until '
                f"{_until(grant)}",
                "reconnect to use it (\\c in psql)",
            )
        case State.DENIED:
            by = f" by {grant.closed_by}" + (f": {grant.note}" if grant.note else "")
            return _said(f"{grant.id} is denied{by}", "")
        case State.EXPIRED:
            return _said(f"{grant.id} has expired: nobody decided in time", "")
        case _:
            return None


def _until(grant: Grant) -> str:
    return f"{grant.ends_at:%H:%M:%S} UTC" if grant.ends_at is not None else "?"


def _said(message: str, hint: str) -> ErrorReport:
    return ErrorReport("00000", message, hint=hint, severity="NOTICE")
