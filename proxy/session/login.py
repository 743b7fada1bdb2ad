"""One client's way in: first packet, TLS, SCRAM, judged settings. Sans-I/O.

Bytes go in, effects come out; the shell does what they say and answers `StartTls` with
`tls_started` and `NeedIdentity` with `identified`. Nothing here reaches an upstream:
`Authenticated` is the first moment at which one may be dialled. What a refusal says
before the password was right depends on nothing but the packet itself.
Imports `wire`, `auth` and `proxy.policy.decision`. Next: `proxy.session.upstream`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from proxy.auth.scram import ServerExchange
from proxy.errors import (
    DENIED,
    INVALID_AUTHORIZATION,
    FrontendError,
    LoginError,
    PgwardenError,
)
from proxy.session.handshake import Send, StartTls
from proxy.session.login_effects import (
    Authenticated,
    CancelRequested,
    Effect,
    LoginRequest,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.session.wish import Outcome, RefusedLoginError, Wish, read_wish
from proxy.wire import codes
from proxy.wire.cursor import MessageIntake
from proxy.wire.errors_wire import encode_error
from proxy.wire.messages import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    NegotiateProtocolVersion,
    SASLInitialResponse,
)
from proxy.wire.startup import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
    decode_first_packet,
    packet_length,
    unsupported_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from proxy.auth.identities import Identity
    from proxy.auth.secrets import ScramSecret
    from proxy.policy.decision import Decision, ShadowRefusal

_UNENCRYPTED_DETAIL: Final = (
    "This could be either a client-software bug or evidence of an attempted "
    "man-in-the-middle attack."
)


class Phase(StrEnum):
    """What the login waits for."""

    FIRST_PACKET = "startup packet"
    TLS = "tls"
    IDENTITY = "identity"
    SASL_FIRST = "first password message"
    SASL_FINAL = "last password message"
    AUTHENTICATED = "nothing, logged in"
    CLOSED = "nothing, refused"


def refused_setting(name: str, decision: Decision) -> RefusedLoginError:
    """How a login ends whose startup parameter the policy refuses."""
    return RefusedLoginError(
        f'startup parameter "{name}" is refused: {decision.reason}',
        Outcome.PARAMETER,
        sqlstate=decision.sqlstate or DENIED,
        detail=f"Rule {decision.rule}.",
        hint=decision.hint,
    )


class Login:
    """The handshake of one client connection."""

    def __init__(
        self,
        rules: LoginRules,
        nonce: bytes,
        *,
        client_address: str,
    ) -> None:
        """Begin in plain text; for direct TLS call `tls_started` before any byte.

        Args:
            rules: see there.
            nonce: `encode_nonce` of 18 fresh random bytes.
            client_address: numeric address, "" for a Unix socket.
        """
        self.phase = Phase.FIRST_PACKET
        self.user = ""
        self._rules = rules
        self._nonce = nonce
        self._client_address = client_address
        self._tls = False
        self._direct = False
        self._is_postgres = False
        self._asked_tls = False
        self._asked_gss = False
        self._buffer = bytearray()
        self._intake = MessageIntake({codes.PASSWORD: codes.MAX_SASL_BODY})
        self._effects: list[Effect] = []
        self._wish: Wish | None = None
        self._identity: Identity | None = None
        self._exchange: ServerExchange | None = None
        self._doom = ""

    @property
    def buffered(self) -> int:
        """Bytes held: never more than `codes.MAX_LEFTOVER` after a call."""
        return len(self._buffer) + len(self._intake)

    def receive(self, data: bytes) -> list[Effect]:
        """Take bytes from the client; [] while more are needed or after the end."""
        if self.phase is Phase.CLOSED:
            return []
        if self.phase is Phase.FIRST_PACKET:
            self._buffer += data
        else:
            self._intake.feed(data)
        return self._run(self._advance)

    def tls_started(
        self, alpn: str | None = None, *, direct: bool = False
    ) -> list[Effect]:
        """Say that TLS stands.

        Args:
            alpn: the protocol that was negotiated, if any.
            direct: TLS came without an SSLRequest; ALPN is then not optional, or
                another service's client could be led here (protocol section 54.2.10).
        """

        def step() -> None:
            if direct and alpn != codes.ALPN:
                raise FrontendError(
                    "received direct SSL connection request without ALPN protocol "
                    "negotiation extension"
                )
            if not direct and self.phase is not Phase.TLS:
                raise FrontendError("TLS was not asked for")
            self._tls = True
            self._direct = direct
            self.phase = Phase.FIRST_PACKET

        return self._run(step)

    def identified(
        self, found: Identity | None, *, mock: ScramSecret, now: datetime
    ) -> list[Effect]:
        """Answer `NeedIdentity`.

        Args:
            found: the identity of that name, if there is one.
            mock: `Identities.mock` of the name, made either way, so that a known name
                takes as long as an unknown one.
            now: for the identity's validity; aware.
        """
        if self.phase is not Phase.IDENTITY:
            return []

        def step() -> None:
            self._identity = found
            if found is None:
                self._doom = "there is no such identity"
            else:
                self._doom = found.unusable_reason(now)
            known = found.secrets if found is not None else (mock,)
            doomed = bool(self._doom)
            self._exchange = ServerExchange(known, self._nonce, doomed=doomed)
            self.phase = Phase.SASL_FIRST
            self._send(AuthenticationSASL((codes.SCRAM_SHA_256,)).encode())
            self._advance()

        return self._run(step)

    def take_leftover(self) -> bytes:
        """What the client sent behind its last login message; for the conversation."""
        return self._intake.drain()

    def _run(self, step: Callable[[], None]) -> list[Effect]:
        try:
            step()
            if self.buffered > codes.MAX_LEFTOVER:
                raise FrontendError("too much data before the end of the login")
        except PgwardenError as problem:
            self._reject(problem)
        effects, self._effects = self._effects, []
        return effects

    def _advance(self) -> None:
        while self.phase is Phase.FIRST_PACKET and self._first_packet():
            pass
        if self.phase is Phase.TLS and self.buffered:
            raise self._unencrypted("SSL")
        while self.phase in {Phase.SASL_FIRST, Phase.SASL_FINAL}:
            found = self._intake.next()
            if found is None:
                return
            if self.phase is Phase.SASL_FIRST:
                self._sasl_first(found[1])
            else:
                self._sasl_final(found[1])

    def _first_packet(self) -> bool:
        length = packet_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return False
        self._is_postgres = True
        packet = decode_first_packet(bytes(self._buffer[:length]))
        del self._buffer[:length]
        match packet:
            case SSLRequest():
                self._answer_ssl()
            case GSSENCRequest():
                self._answer_gss()
            case CancelRequest():
                self._effects.append(CancelRequested(packet))
                self._close()
            case StartupMessage():
                self._startup(packet)
            case _:
                assert_never(packet)
        return True

    def _answer_ssl(self) -> None:
        if self._asked_tls or (self._tls and not self._direct):
            raise unsupported_version(codes.SSL_REQUEST)
        self._asked_tls = True
        if self._buffer:
            raise self._unencrypted("SSL")
        if self._tls or not self._rules.tls_available:
            self._send(codes.SSL_REFUSED)
            return
        self._send(codes.SSL_ACCEPTED)
        self._effects.append(StartTls())
        self.phase = Phase.TLS

    def _answer_gss(self) -> None:
        if self._asked_gss or (self._tls and not self._direct):
            raise unsupported_version(codes.GSSENC_REQUEST)
        self._asked_gss = True
        if self._buffer:
            raise self._unencrypted("GSSAPI encryption")
        self._send(codes.GSSENC_REFUSED)

    @staticmethod
    def _unencrypted(what: str) -> FrontendError:
        return FrontendError(
            f"received unencrypted data after {what} request",
            detail=_UNENCRYPTED_DETAIL,
        )

    def _startup(self, startup: StartupMessage) -> None:
        if not self._tls and not self._rules.plaintext_allowed:
            raise RefusedLoginError(
                "connections without TLS are refused here",
                Outcome.PLAINTEXT,
                hint="Connect with sslmode=require or stricter."
                if self._rules.tls_available
                else "This pgwarden has no certificate; ask its operator for one.",
            )
        latest = codes.PROTOCOL_MINOR_LATEST
        if startup.minor > latest or startup.protocol_options:
            minor = min(startup.minor, latest)
            options = startup.protocol_options
            self._send(NegotiateProtocolVersion(minor, options).encode())
        self._wish = read_wish(startup)
        self.user = self._wish.user
        self._intake.feed(bytes(self._buffer))
        self._buffer.clear()
        self.phase = Phase.IDENTITY
        self._effects.append(NeedIdentity(self.user))

    def _sasl_first(self, body: bytes) -> None:
        response = SASLInitialResponse.decode(body)
        if response.mechanism != codes.SCRAM_SHA_256:
            raise FrontendError(
                "client selected an invalid SASL authentication mechanism"
            )
        if response.data is None or self._exchange is None:
            raise FrontendError("malformed SCRAM message", detail="it is missing")
        answer = self._exchange.first(response.data)
        self.phase = Phase.SASL_FINAL
        self._send(AuthenticationSASLContinue(answer).encode())

    def _sasl_final(self, body: bytes) -> None:
        identity, wish, exchange = self._identity, self._wish, self._exchange
        answer = None if exchange is None else exchange.final(body)
        if answer is None or identity is None or wish is None or exchange is None:
            raise self._wrong_password()
        self._send(AuthenticationSASLFinal(answer).encode())
        shadows = self._admit(identity, wish)
        self.phase = Phase.AUTHENTICATED
        self._send(AuthenticationOk().encode())
        request = LoginRequest(
            identity.name,
            identity.role,
            wish.database,
            wish.application_name,
            wish.settings,
            wish.minor,
            self._tls,
            matched_secret=exchange.matched or 0,
            shadows=tuple(shadows),
        )
        self._effects.append(Authenticated(request))

    def _wrong_password(self) -> PgwardenError:
        outcome = Outcome.CREDENTIALS
        if self._identity is None:
            outcome = Outcome.UNKNOWN_IDENTITY
        elif self._doom:
            outcome = Outcome.UNUSABLE_IDENTITY
        return RefusedLoginError(
            f'password authentication failed for user "{self.user}"',
            outcome,
            sqlstate=LoginError.sqlstate,
            operator_note=self._doom or "the password is wrong",
        )

    def _admit(self, identity: Identity, wish: Wish) -> list[tuple[str, ShadowRefusal]]:
        """Everything that only a proven person may be told; what is on trial."""
        if not identity.may_come_from(self._client_address):
            raise RefusedLoginError(
                f'"{identity.name}" may not log in from {self._client_address}',
                Outcome.NETWORK,
                hint="The networks of this identity are in pgwarden's identities file.",
            )
        decision = self._rules.may_login(identity.role, wish.database)
        if not decision.allowed:
            raise RefusedLoginError(
                f'"{identity.name}" may not log in: {decision.reason}',
                Outcome.POLICY,
                sqlstate=decision.sqlstate or INVALID_AUTHORIZATION,
                detail=f"Rule {decision.rule}.",
                hint=decision.hint,
            )
        shadows = []
        for name, value in wish.settings:
            decision = self._rules.judge_setting(identity.role, wish, name, value)
            if not decision.allowed:
                raise refused_setting(name, decision)
            if decision.shadow is not None:
                shadows.append((name, decision.shadow))
        return shadows

    def _send(self, data: bytes) -> None:
        self._effects.append(Send(data))

    def _close(self) -> None:
        self.phase = Phase.CLOSED
        self._buffer.clear()
        self._intake.drain()

    def _reject(self, problem: PgwardenError) -> None:
        # Whoever has sent no whole packet yet may not speak Postgres at all;
        # Postgres says nothing to them either.
        outcome = Outcome.PROTOCOL
        if isinstance(problem, RefusedLoginError):
            outcome = problem.outcome
        report = problem.report("FATAL")
        data = encode_error(report) if self._is_postgres else b""
        note = problem.operator_note
        self._close()
        self._effects.append(Reject(report, data, outcome, note))
