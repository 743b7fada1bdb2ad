"""Log in by the token of an issuer: as a password, or by Postgres 18's OAUTHBEARER.

Only `proxy.session.ways` opens these, and only over TLS: whoever sees a token may use
it. Whether a token is good is the shell's to say, which has the issuer's keys.
Next: `proxy.auth.bearer`, `proxy.server.token_logins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from proxy.auth import bearer
from proxy.auth.tokens import MAX_TOKEN
from proxy.errors import FrontendError
from proxy.session.exchange import Ask, Exchange, NeedVerification, Proven, Unproven
from proxy.wire.messages import (
    AuthenticationCleartext,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    PasswordMessage,
    SASLInitialResponse,
)

if TYPE_CHECKING:
    from proxy.session.exchange import Candidate, Step, Verification

MOST_AS_PASSWORD = MAX_TOKEN + 1
"""A token and its NUL."""
MOST_AS_BEARER = MAX_TOKEN + 512
"""A token, and room for what stands around it; real clients need 40 bytes."""


class TokenLogin(Exchange):
    """A clear-text password is asked for, and a token comes."""

    __slots__ = ("_doom", "_issuer", "_user")

    def __init__(self, candidate: Candidate, *, issuer: str) -> None:
        self._user = candidate.user
        self._doom = candidate.doom
        self._issuer = issuer

    @override
    def begin(self) -> Step:
        return Ask(AuthenticationCleartext().encode(), MOST_AS_PASSWORD)

    @override
    def receive(self, body: bytes) -> Step:
        token = PasswordMessage.decode(body).password
        return NeedVerification(self._user, self._issuer, token)

    @override
    def verified(self, answer: Verification) -> Step:
        if answer.identity is None or self._doom:
            return Unproven(answer.note or self._doom, answer.hint, "token")
        return _proven("token", answer)


class BearerLogin(Exchange):
    """OAUTHBEARER: one message, or two where the client is told that it has failed."""

    __slots__ = ("_doom", "_failed", "_is_begun", "_is_question", "_issuer", "_user")

    def __init__(self, candidate: Candidate, *, issuer: str) -> None:
        self._user = candidate.user
        self._doom = candidate.doom
        self._issuer = issuer
        self._is_begun = False
        self._is_question = False
        self._failed: Unproven | None = None

    @override
    def begin(self) -> Step:
        return Ask(AuthenticationSASL((bearer.MECHANISM,)).encode(), MOST_AS_BEARER)

    @override
    def receive(self, body: bytes) -> Step:
        if self._failed is not None:
            if body != bearer.ACKNOWLEDGED:
                raise FrontendError(
                    "malformed OAUTHBEARER message",
                    detail="client did not send a kvsep response",
                )
            return self._failed
        if self._is_begun:
            return self._ask(body)
        self._is_begun = True
        response = SASLInitialResponse.decode(body)
        if response.mechanism != bearer.MECHANISM:
            raise FrontendError(
                "client selected an invalid SASL authentication mechanism"
            )
        if response.data is None:
            # RFC 4422 section 3.3: it waits for an empty challenge.
            return Ask(AuthenticationSASLContinue(b"").encode(), MOST_AS_BEARER)
        return self._ask(response.data)

    @override
    def verified(self, answer: Verification) -> Step:
        if answer.identity is not None and not self._doom:
            return _proven("oauth", answer)
        self._failed = Unproven(
            answer.note or self._doom,
            answer.hint,
            "OAuth bearer",
            is_question=self._is_question,
        )
        told = bearer.failure(answer.discovery_url, answer.scope)
        return Ask(AuthenticationSASLContinue(told).encode(), MOST_AS_BEARER)

    def _ask(self, message: bytes) -> Step:
        token = bearer.read_initial(message)
        self._is_question = not token
        return NeedVerification(self._user, self._issuer, token)


def _proven(authentication: str, answer: Verification) -> Proven:
    return Proven(
        authentication,
        identity=answer.identity,
        proof=answer.proof,
        max_session_s=answer.max_session_s,
        token=None if answer.identity is None else answer.identity.token,
    )
