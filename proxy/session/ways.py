"""From the way that the policy chose to the exchange that a login runs.

Where the rules give a name another way than a name that nobody has, and it can't be
gone, the exchange is the stranger's, and for show: nobody comes in by it. Whoever is
refused by the rules is told why after it, having proven to be that person; whoever
lacks the right certificate is not.
Next: `proxy.session.by_scram`, `proxy.session.by_certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from proxy.auth.methods import BY_CERTIFICATE, BY_TOKEN, Method
from proxy.errors import INVALID_AUTHORIZATION
from proxy.session.by_certificate import CertificateLogin, shortcoming, shown_by
from proxy.session.by_scram import ScramLogin
from proxy.session.by_token import BearerLogin, TokenLogin
from proxy.session.wish import Outcome, RefusedLoginError

if TYPE_CHECKING:
    from proxy.policy.logins import Way, Ways
    from proxy.session.exchange import Candidate, Exchange


@dataclass(frozen=True, slots=True)
class Opened:
    """An exchange to run.

    Attributes:
        exchange: see there.
        rule: id of the rule that chose the client's way.
        refusal: what to raise once the client has proven who it is; None to let it in.
        hint: what everybody is told who fails.
    """

    exchange: Exchange
    rule: str
    refusal: RefusedLoginError | None = None
    hint: str = ""


def open_way(ways: Ways, candidate: Candidate) -> Opened:
    """Open the exchange of this client's way.

    Raises:
        RefusedLoginError: there is none, and a stranger would be told the same.
    """
    own, stranger = ways.own, ways.stranger
    refusal = _refusal(own, candidate)
    if refusal is None:
        return Opened(_exchange(own, candidate), own.rule, hint=ways.hint)
    if own == stranger:
        raise refusal
    is_plain = candidate.channel is None
    if (
        stranger.method is Method.REJECT
        or stranger.method in BY_CERTIFICATE
        or (stranger.method in BY_TOKEN and is_plain)
    ):
        unknown = replace(candidate, identity=None, doom=candidate.doom or _REFUSED)
        raise _refusal(stranger, unknown) or refusal
    if own.method in BY_CERTIFICATE:
        # Half a proof is none: whoever tries passwords without the certificate must
        # not learn which is right.
        candidate = replace(candidate, doom=refusal.operator_note or _REFUSED)
    exchange = _exchange(stranger, candidate)
    return Opened(exchange, own.rule, refusal, ways.hint)


_REFUSED = "the rules refuse it"


def _refusal(way: Way, candidate: Candidate) -> RefusedLoginError | None:
    """Why this way can't be gone at all."""
    if way.method is Method.REJECT:
        return RefusedLoginError(
            f'"{candidate.user}" may not log in: {way.reason}',
            Outcome.POLICY,
            detail=f"Rule {way.rule}.",
            hint=way.hint,
        )
    if way.method in BY_TOKEN and candidate.channel is None:
        # Nothing is asked for: whoever listens could log in with it.
        return RefusedLoginError(
            f'"{candidate.user}" may not log in: a token is taken over TLS only',
            Outcome.POLICY,
            detail=f"Rule {way.rule}.",
            hint="Connect with sslmode=verify-full.",
        )
    if way.method not in BY_CERTIFICATE:
        return None
    note = shortcoming(way.certificate, candidate)
    if not note:
        return None
    if shown_by(candidate) is None:
        message = "connection requires a valid client certificate"
        hint = "Connect over TLS with sslcert and sslkey."
    else:
        message = f'certificate authentication failed for user "{candidate.user}"'
        hint = "The certificate must be the one of this identity."
    return RefusedLoginError(
        message,
        _outcome(candidate),
        sqlstate=INVALID_AUTHORIZATION,
        detail=f"Rule {way.rule}.",
        hint=hint,
        operator_note=note,
    )


def _outcome(candidate: Candidate) -> Outcome:
    if candidate.identity is None:
        return Outcome.UNKNOWN_IDENTITY
    return Outcome.UNUSABLE_IDENTITY if candidate.doom else Outcome.CREDENTIALS


def _exchange(way: Way, candidate: Candidate) -> Exchange:
    match way.method:
        case Method.SCRAM:
            return ScramLogin(candidate)
        case Method.SCRAM_PLUS:
            return ScramLogin(candidate, demanded_by=way.rule)
        case Method.CERTIFICATE:
            return CertificateLogin(way.certificate, candidate)
        case Method.CERTIFICATE_AND_SCRAM:
            return ScramLogin(candidate, certificate=shown_by(candidate))
        case Method.TOKEN:
            return TokenLogin(candidate, issuer=way.issuer)
        case Method.OAUTH:
            return BearerLogin(candidate, issuer=way.issuer)
        case Method.REJECT:
            raise RefusedLoginError(way.reason, Outcome.POLICY)
        case _:
            assert_never(way.method)
