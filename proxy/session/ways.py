"""From the way that the policy chose to the exchange that a login runs.

Where the rules give a name another way than a name that nobody has, and it can't be
gone, the exchange is the stranger's: what is refused then is told to whoever proves to
be that person, and to nobody else. Next: `proxy.session.by_scram`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from proxy.auth.methods import Method
from proxy.session.by_scram import ScramLogin
from proxy.session.wish import Outcome, RefusedLoginError

if TYPE_CHECKING:
    from proxy.policy.logins import Way, Ways
    from proxy.session.exchange import Candidate, Exchange


@dataclass(frozen=True, slots=True)
class Opened:
    """An exchange to run.

    Attributes:
        exchange: see there.
        rule: id of the rule that chose it.
        refusal: what to raise once the client has proven who it is; None to let it in.
    """

    exchange: Exchange
    rule: str
    refusal: RefusedLoginError | None = None


def open_way(ways: Ways, candidate: Candidate) -> Opened:
    """Open the exchange of this client's way.

    Raises:
        RefusedLoginError: there is none, and a stranger would be told the same.
    """
    refusal = _refusal(ways.own, candidate)
    if refusal is None:
        return Opened(_exchange(ways.own, candidate), ways.own.rule)
    if ways.own == ways.stranger:
        raise refusal
    told = _refusal(ways.stranger, candidate)
    if told is not None:
        raise told
    return Opened(_exchange(ways.stranger, candidate), ways.own.rule, refusal)


def _refusal(way: Way, candidate: Candidate) -> RefusedLoginError | None:
    """Why this way can't be gone at all."""
    if way.method is not Method.REJECT:
        return None
    return RefusedLoginError(
        f'"{candidate.user}" may not log in: {way.reason}',
        Outcome.POLICY,
        detail=f"Rule {way.rule}.",
        hint=way.hint,
    )


def _exchange(way: Way, candidate: Candidate) -> Exchange:
    match way.method:
        case Method.SCRAM:
            return ScramLogin(candidate)
        case Method.SCRAM_PLUS:
            return ScramLogin(candidate, demanded_by=way.rule)
        case Method.REJECT:
            raise RefusedLoginError(way.reason, Outcome.POLICY)
        case _:
            assert_never(way.method)
