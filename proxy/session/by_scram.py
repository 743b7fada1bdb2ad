"""Log in by password: SCRAM-SHA-256, bound to the TLS channel where that can be.

Both mechanisms are offered wherever the server's certificate has a hash, also where
binding is demanded: whoever came without is told so once the password was right, and
no offer tells one name from another. Next: `proxy.auth.scram`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from proxy.auth.scram import ServerExchange
from proxy.errors import FrontendError
from proxy.session.exchange import Ask, Exchange, Proven, Unproven
from proxy.session.wish import Outcome, RefusedLoginError
from proxy.wire import codes
from proxy.wire.messages import (
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
)

if TYPE_CHECKING:
    from proxy.auth.client_certificates import ClientCertificate
    from proxy.session.exchange import Candidate, Step, Verification

PLAIN = "scram-sha-256"
"""The audit log's word, which is that of Postgres' pg_hba.conf."""
BOUND = "scram-sha-256-plus"


class ScramLogin(Exchange):
    """One exchange, real or for show."""

    __slots__ = (
        "_certificate",
        "_demanded_by",
        "_doom",
        "_is_answered",
        "_is_bound",
        "_offers",
        "_scram",
        "_user",
    )

    def __init__(
        self,
        candidate: Candidate,
        *,
        demanded_by: str = "",
        certificate: ClientCertificate | None = None,
    ) -> None:
        """Set up one exchange.

        Args:
            candidate: who wants to come in.
            demanded_by: id of the rule that demands binding; "" if none does.
            certificate: what was proven before, and is half of the proof.
        """
        self._certificate = certificate
        self._user = candidate.user
        identity, channel = candidate.identity, candidate.channel
        self._doom = candidate.doom
        known = identity.secrets_at(candidate.now) if identity is not None else ()
        if identity is not None and not known:
            self._doom = self._doom or "the identity has no password"
        end_point = None if channel is None else channel.end_point
        self._scram = ServerExchange(
            known or (candidate.mock,),
            candidate.nonce,
            doomed=bool(self._doom),
            end_point=end_point,
        )
        self._offers: tuple[str, ...] = (codes.SCRAM_SHA_256,)
        if end_point is not None:
            self._offers = (codes.SCRAM_SHA_256_PLUS, codes.SCRAM_SHA_256)
        self._demanded_by = demanded_by
        self._is_bound = False
        self._is_answered = False

    @override
    def begin(self) -> Step:
        return Ask(AuthenticationSASL(self._offers).encode(), codes.MAX_SASL_BODY)

    @override
    def receive(self, body: bytes) -> Step:
        if self._is_answered:
            return self._final(body)
        self._is_answered = True
        response = SASLInitialResponse.decode(body)
        if response.mechanism not in self._offers:
            raise FrontendError(
                "client selected an invalid SASL authentication mechanism"
            )
        if response.data is None:
            raise FrontendError("malformed SCRAM message", detail="it is missing")
        self._is_bound = response.mechanism == codes.SCRAM_SHA_256_PLUS
        answer = self._scram.first(response.data, is_bound=self._is_bound)
        return Ask(AuthenticationSASLContinue(answer).encode(), codes.MAX_SASL_BODY)

    @override
    def verified(self, answer: Verification) -> Step:
        return Unproven("nothing was to be verified")

    def _final(self, body: bytes) -> Step:
        answer = self._scram.final(body)
        if answer is None:
            return Unproven(self._doom or "the password is wrong")
        if self._demanded_by and not self._is_bound:
            raise RefusedLoginError(
                f'"{self._user}" may not log in: the login must be bound to its TLS '
                "channel, and was not",
                Outcome.POLICY,
                detail=f"Rule {self._demanded_by}.",
                hint="Connect over TLS with channel_binding=require, by a driver that "
                "knows SCRAM-SHA-256-PLUS.",
            )
        how, shown = BOUND if self._is_bound else PLAIN, self._certificate
        return Proven(
            how if shown is None else f"certificate+{how}",
            AuthenticationSASLFinal(answer).encode(),
            matched_secret=self._scram.matched or 0,
            certificate=shown,
            proof=() if shown is None else shown.proof(),
        )
