"""One client's way in: first packet, TLS, proof, judged settings. Sans-I/O.

Bytes go in, effects come out; the shell does what they say and answers `StartTls` with
`tls_started`, `NeedIdentity` with `identified` and `NeedVerification` with `verified`.
Nothing here reaches an upstream: `Authenticated` is the first moment at which one may
be dialled. What a refusal says before the proof hangs on the packet itself and on the
rules for a stranger in the client's place.
Imports `wire`, `auth` and values of `policy`. Next: `proxy.session.ways`, the ways to
prove who one is; `proxy.session.upstream`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from proxy.errors import FrontendError, PgwardenError
from proxy.policy.logins import Knock
from proxy.session.admittance import admit, unproven
from proxy.session.exchange import (
    Ask,
    Candidate,
    Channel,
    NeedVerification,
    Proven,
    Unproven,
    Verification,
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
from proxy.session.ways import open_way
from proxy.session.wish import Outcome, RefusedLoginError, Wish, read_wish
from proxy.wire import codes
from proxy.wire.cursor import MessageIntake
from proxy.wire.errors_wire import encode_error
from proxy.wire.messages import AuthenticationOk, NegotiateProtocolVersion
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
    from proxy.session.exchange import Step
    from proxy.session.ways import Opened

_UNENCRYPTED_DETAIL: Final = (
    "This could be either a client-software bug or evidence of an attempted "
    "man-in-the-middle attack."
)
_NO_SUCH: Final = "there is no such identity"


class Phase(StrEnum):
    """What the login waits for."""

    FIRST_PACKET = "startup packet"
    TLS = "tls"
    IDENTITY = "identity"
    PROOF = "message of the proof"
    VERIFICATION = "verification"
    AUTHENTICATED = "nothing, logged in"
    CLOSED = "nothing, refused"


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
        self._channel: Channel | None = None
        self._direct = False
        self._is_postgres = False
        self._asked_tls = False
        self._asked_gss = False
        self._buffer = bytearray()
        self._most = {codes.PASSWORD: codes.MAX_SASL_BODY}
        self._intake = MessageIntake(self._most)
        self._effects: list[Effect] = []
        self._wish: Wish | None = None
        self._identity: Identity | None = None
        self._opened: Opened | None = None
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
        self,
        alpn: str | None = None,
        *,
        direct: bool = False,
        channel: Channel | None = None,
    ) -> list[Effect]:
        """Say that TLS stands.

        Args:
            alpn: the protocol that was negotiated, if any.
            channel: what can be bound to it.
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
            self._channel = channel or Channel()
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
            self._doom = "" if found is None else found.unusable_reason(now)
            candidate = Candidate(
                user=self.user,
                identity=found,
                mock=mock,
                doom=_NO_SUCH if found is None else self._doom,
                channel=self._channel,
                nonce=self._nonce,
                now=now,
            )
            self._opened = open_way(self._rules.ways(self._knock()), candidate)
            self._go_on(self._opened.exchange.begin())
            self._advance()

        return self._run(step)

    def verified(self, answer: Verification) -> list[Effect]:
        """Answer `NeedVerification`."""
        opened = self._opened
        if self.phase is not Phase.VERIFICATION or opened is None:
            return []

        def step() -> None:
            self._go_on(opened.exchange.verified(answer))
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
        while self.phase is Phase.PROOF and self._opened is not None:
            found = self._intake.next()
            if found is None:
                return
            self._go_on(self._opened.exchange.receive(found[1]))

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
        if self._asked_tls or (self._is_encrypted and not self._direct):
            raise unsupported_version(codes.SSL_REQUEST)
        self._asked_tls = True
        if self._buffer:
            raise self._unencrypted("SSL")
        if self._is_encrypted or not self._rules.tls_available:
            self._send(codes.SSL_REFUSED)
            return
        self._send(codes.SSL_ACCEPTED)
        self._effects.append(StartTls())
        self.phase = Phase.TLS

    def _answer_gss(self) -> None:
        if self._asked_gss or (self._is_encrypted and not self._direct):
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
        if not self._is_encrypted and not self._rules.plaintext_allowed:
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

    @property
    def _is_encrypted(self) -> bool:
        return self._channel is not None

    def _knock(self) -> Knock:
        return Knock(
            identity=self.user,
            role="" if self._identity is None else self._identity.role,
            database="" if self._wish is None else self._wish.database,
            address=self._client_address,
            tls=self._is_encrypted,
        )

    def _go_on(self, step: Step) -> None:
        match step:
            case Ask(data, most):
                self._most[codes.PASSWORD] = most
                self.phase = Phase.PROOF
                self._send(data)
            case NeedVerification():
                self.phase = Phase.VERIFICATION
                self._effects.append(step)
            case Proven():
                self._let_in(step)
            case Unproven():
                raise self._unproven(step)
            case _:
                assert_never(step)

    def _let_in(self, proven: Proven) -> None:
        """The client is whom it says; whether it may come in is still to be seen."""
        identity, wish, opened = self._identity, self._wish, self._opened
        if proven.identity is not None and proven.identity.name == self.user:
            identity = proven.identity
        if self._doom or identity is None or wish is None or opened is None:
            raise self._unproven(Unproven("the proof is somebody else's"))
        if proven.data:
            self._send(proven.data)
        if opened.refusal is not None:
            raise opened.refusal
        role, grant = self._rules.lent(identity.name, identity.role)
        shadows = admit(identity, wish, self._rules, self._client_address, role=role)
        self.phase = Phase.AUTHENTICATED
        self._send(AuthenticationOk().encode())
        request = LoginRequest(
            identity.name,
            role,
            wish.database,
            wish.application_name,
            wish.settings,
            wish.minor,
            self._is_encrypted,
            matched_secret=proven.matched_secret,
            shadows=tuple(shadows),
            authentication=proven.authentication,
            login_rule=opened.rule,
            proof=proven.proof,
            certificate=proven.certificate,
            max_session_s=proven.max_session_s,
            token=proven.token,
            own_role=identity.role if grant else "",
            grant=grant,
            sessions_since=identity.sessions_since,
        )
        self._effects.append(Authenticated(request))

    def _unproven(self, why: Unproven) -> PgwardenError:
        usual = "" if self._opened is None else self._opened.hint
        return unproven(
            replace(why, hint=why.hint or usual),
            self._identity,
            user=self.user,
            doom=self._doom,
        )

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
