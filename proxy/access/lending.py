"""From a request to its review: each step checked, or refused with the reason.

The one place where a grant changes. Pure: who acts, the policy, the time and what the
store holds come in with the call; the next state goes out. Four eyes: nobody decides on
what they asked for, and nobody counts twice. (That one person may hold two identities
can't be seen from here.)
Next: `proxy.access.grant`; `proxy.server.lending` keeps what this returns.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from proxy.access.grant import Actor, Approval, Grant, State
from proxy.access.said import LONGEST_ID_SHOWN, AccessRefused, plain
from proxy.errors import GATE_UNSATISFIED, INVALID_PARAMETER
from proxy.policy.durations import SHORTEST_LOAN_S, in_words, seconds
from proxy.policy.patterns import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from proxy.policy.model import Lendable

ITSELF: Final = "pgwarden"
"""Who has taken a step that nobody took."""
SHORTEST_REASON: Final = 8
"""Letters: "INC-42" alone says nothing to who reviews it."""


class Roster(Protocol):
    """Who there is."""

    def role_of(self, name: str, /) -> str | None:
        """The role of an identity that may log in now; None for any other."""


def request(  # noqa: PLR0913 - all that a request is made of
    lent: Mapping[str, Lendable],
    actor: Actor,
    role: str,
    *,
    length: str,
    reason: str,
    new_id: str,
    now: datetime,
    live: Sequence[Grant],
) -> Grant:
    """Ask for a role.

    Args:
        lent: the policy's section.
        actor: who asks.
        role: what for.
        length: as in "30m".
        reason: why.
        new_id: its id, not used before.
        now: aware.
        live: all grants that are pending or active.

    Raises:
        AccessRefused: it can't be asked for.
    """
    rules = lent.get(role)
    if rules is None:
        raise AccessRefused(
            "not-lendable",
            f'role "{role[:LONGEST_ID_SHOWN]}" is not lent'
            + nearest(role[:LONGEST_ID_SHOWN], lent),
        )
    if actor.role not in rules.requesters:
        raise AccessRefused(
            "not-a-requester",
            f'role "{role}" is not lent to role {actor.role}',
            hint="it is lent to: " + ", ".join(rules.requesters),
        )
    length_s = _length_s(length, rules)
    said = plain(reason, "a reason", shortest=SHORTEST_REASON)
    own = [each for each in live if each.identity == actor.name]
    if any(each.state is State.ACTIVE for each in own):
        raise AccessRefused(
            "one-at-a-time",
            "you have borrowed a role already",
            hint="give it back first: CALL pgwarden.revoke('...')",
            sqlstate=GATE_UNSATISFIED,
        )
    pending = [each for each in own if each.state is State.PENDING]
    if len(pending) >= rules.pending_each:
        raise AccessRefused(
            "too-many-requests",
            f"{len(pending)} requests of yours wait already, which is the most",
            hint="take one back: CALL pgwarden.revoke('...')",
            sqlstate=GATE_UNSATISFIED,
        )
    return Grant(
        id=new_id,
        identity=actor.name,
        own_role=actor.role,
        role=role,
        length_s=length_s,
        reason=said,
        requested_at=now,
        pending_until=now + timedelta(seconds=seconds(rules.pending_for)),
    )


def _length_s(length: str, rules: Lendable) -> int:
    try:
        length_s = seconds(length)
    except ValueError as error:
        raise AccessRefused("length", str(error), sqlstate=INVALID_PARAMETER) from None
    longest_s = seconds(rules.longest)
    if not SHORTEST_LOAN_S <= length_s <= longest_s:
        raise AccessRefused(
            "length",
            f"{length} is not between 5s and {rules.longest}, the longest for this "
            "role",
        )
    return length_s


def approve(
    lent: Mapping[str, Lendable],
    grant: Grant,
    actor: Actor,
    *,
    now: datetime,
    live: Sequence[Grant],
    roster: Roster,
) -> Grant:
    """Say yes; with the last yes that it takes, its time begins.

    Earlier approvals count as long as who gave them may still give them.

    Raises:
        AccessRefused: this one may not, or not any more.
    """
    rules = _rules_of(lent, grant)
    _decides(rules, grant, actor, "approve")
    _is_pending(grant, now)
    if any(each.name == actor.name for each in grant.approvals):
        raise AccessRefused(
            "approved-twice",
            f"you have approved {grant.id} already",
            hint="somebody else has to be the next one",
        )
    if (
        roster.role_of(grant.identity) != grant.own_role
        or grant.own_role not in rules.requesters
    ):
        raise AccessRefused(
            "not-a-requester",
            f'"{grant.identity}" may not borrow role "{grant.role}" any more',
        )
    if grant.length_s > seconds(rules.longest):
        raise AccessRefused(
            "length",
            f"{in_words(grant.length_s)} is more than {rules.longest}, which is the "
            "longest for this role by now",
            hint="deny it, and let it be asked for anew",
        )
    approvals = (*grant.approvals, Approval(actor.name, actor.role, now))
    counted = [
        each
        for each in approvals
        if each.name == actor.name or roster.role_of(each.name) in rules.approvers
    ]
    if len(counted) < rules.approvals:
        return replace(grant, approvals=approvals)
    if any(
        each.identity == grant.identity and each.state is State.ACTIVE for each in live
    ):
        raise AccessRefused(
            "one-at-a-time",
            f'"{grant.identity}" has borrowed a role already',
            sqlstate=GATE_UNSATISFIED,
        )
    return replace(
        grant,
        approvals=approvals,
        state=State.ACTIVE,
        starts_at=now,
        ends_at=now + timedelta(seconds=grant.length_s),
    )


def deny(
    lent: Mapping[str, Lendable],
    grant: Grant,
    actor: Actor,
    *,
    note: str,
    now: datetime,
) -> Grant:
    """Say no, which ends the request.

    Raises:
        AccessRefused: this one may not, or not any more.
    """
    _decides(_rules_of(lent, grant), grant, actor, "deny")
    _is_pending(grant, now)
    return _closed(grant, State.DENIED, actor, note, now)


def revoke(
    lent: Mapping[str, Lendable],
    grant: Grant,
    actor: Actor,
    *,
    note: str,
    now: datetime,
) -> Grant:
    """End a loan early, or take a request back.

    Raises:
        AccessRefused: this one may not, or there is nothing to end.
    """
    is_own = actor.name == grant.identity
    rules = lent.get(grant.role)
    if not is_own and (rules is None or actor.role not in rules.approvers):
        raise AccessRefused(
            "not-an-approver",
            f"role {actor.role} may not revoke {grant.id}",
            hint=_who(rules),
        )
    _is_not_over(grant, now)
    if grant.state is State.ACTIVE:
        return _closed(grant, State.REVOKED, actor, note, now)
    if not is_own:
        raise AccessRefused(
            "not-yours",
            f"{grant.id} is not approved yet",
            hint="say no to it: CALL pgwarden.deny('...')",
        )
    return _closed(grant, State.WITHDRAWN, actor, note, now)


def review(
    lent: Mapping[str, Lendable],
    grant: Grant,
    actor: Actor,
    *,
    note: str,
    now: datetime,
) -> Grant:
    """Look back at what was done with it.

    Raises:
        AccessRefused: this one may not, or it is not over, or was reviewed.
    """
    grant = lapse(grant, now)
    rules = lent.get(grant.role)
    reviewers = (rules.reviewers or rules.approvers) if rules is not None else ()
    if actor.name == grant.identity:
        raise AccessRefused(
            "own-request", f"{grant.id} was lent to you: somebody else reviews it"
        )
    if actor.role not in reviewers:
        raise AccessRefused(
            "not-a-reviewer",
            f"role {actor.role} may not review {grant.id}",
            hint="reviewers have role: " + ", ".join(reviewers) if reviewers else "",
        )
    if not grant.is_unreviewed:
        said = "was reviewed already" if grant.reviewed_at else f"is {grant.state}"
        raise AccessRefused(
            "not-to-review", f"{grant.id} {said}", sqlstate=GATE_UNSATISFIED
        )
    return replace(
        grant,
        reviewed_at=now,
        reviewed_by=actor.name,
        review=plain(note, "what you have seen", shortest=SHORTEST_REASON),
    )


def lapse(grant: Grant, now: datetime) -> Grant:
    """The state of it now that time has passed; the same where it is not due."""
    if not grant.is_due(now):
        return grant
    state = State.EXPIRED if grant.state is State.PENDING else State.ENDED
    return replace(grant, state=state, closed_at=now)


def lost(grant: Grant, now: datetime) -> Grant:
    """The state of it now that who asked is not who they were.

    For good: whoever is let in again later asks again.
    """
    is_pending = grant.state is State.PENDING
    return replace(
        grant,
        state=State.WITHDRAWN if is_pending else State.REVOKED,
        closed_at=now,
        closed_by=ITSELF,
        note=f'"{grant.identity}" was disabled, removed or changed',
    )


def still_lent(
    lent: Mapping[str, Lendable], grant: Grant, own_role: str | None, now: datetime
) -> bool:
    """Whether somebody with this role of their own may use the grant now."""
    rules = lent.get(grant.role)
    return (
        grant.state is State.ACTIVE
        and not grant.is_due(now)
        and own_role == grant.own_role
        and rules is not None
        and own_role in rules.requesters
    )


def _rules_of(lent: Mapping[str, Lendable], grant: Grant) -> Lendable:
    rules = lent.get(grant.role)
    if rules is None:
        raise AccessRefused("not-lendable", f'role "{grant.role}" is not lent any more')
    return rules


def _decides(rules: Lendable, grant: Grant, actor: Actor, verb: str) -> None:
    if actor.name == grant.identity:
        raise AccessRefused(
            "own-request",
            f"{grant.id} is your own request: somebody else has to {verb} it",
            hint=_who(rules),
        )
    if actor.role not in rules.approvers:
        raise AccessRefused(
            "not-an-approver",
            f"role {actor.role} may not {verb} {grant.id}",
            hint=_who(rules),
        )


def _who(rules: Lendable | None) -> str:
    return "" if rules is None else "approvers have role: " + ", ".join(rules.approvers)


def _is_pending(grant: Grant, now: datetime) -> None:
    _is_not_over(grant, now)
    if grant.state is not State.PENDING:
        raise _too_late(grant, grant.state)


def _is_not_over(grant: Grant, now: datetime) -> None:
    state = lapse(grant, now).state
    if state not in {State.PENDING, State.ACTIVE}:
        raise _too_late(grant, state)


def _too_late(grant: Grant, state: State) -> AccessRefused:
    return AccessRefused(
        "too-late",
        f"{grant.id} is {state} already",
        hint="SHOW pgwarden.access lists what waits and what runs",
        sqlstate=GATE_UNSATISFIED,
    )


def _closed(
    grant: Grant, state: State, actor: Actor, note: str, now: datetime
) -> Grant:
    return replace(
        grant,
        state=state,
        closed_at=now,
        closed_by=actor.name,
        note=plain(note, "the note"),
    )
