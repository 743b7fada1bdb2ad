"""Our way in to Postgres: TLS, a startup packet built afresh, SCRAM. Sans-I/O.

The counterpart of `proxy.session.login`: bytes of the upstream in, effects out, until
`UpstreamReady` or `UpstreamRefused`. Nothing an upstream says before it has proven
itself reaches a client. Imports `wire`, `auth` and `proxy.errors`.
Next: `proxy.session.session`, which takes over when both sides are ready.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from proxy.auth.passwords import cleartext_response, md5_response
from proxy.errors import BackendError, ErrorReport, PgwardenError
from proxy.session.handshake import Send, StartTls
from proxy.session.upstream_effects import (
    DeriveKey,
    Effect,
    UpstreamReady,
    UpstreamRefused,
)
from proxy.session.upstream_plan import (
    FORCED,
    READ_ONLY,
    VERIFIED,
    ChannelBinding,
    TlsMode,
    UpstreamPlan,
    startup_parameters,
)
from proxy.session.upstream_refusal import explain
from proxy.session.upstream_scram import ScramLogin, unbound
from proxy.sql.majors import NEWER_THAN, NEWEST, major_of
from proxy.wire import codes, messages
from proxy.wire.cursor import MessageIntake
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import SSLRequest, StartupMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.auth.scram_client import KeyRequest, SaltedPasswords

_LIMITS: Final = dict.fromkeys(
    (
        codes.AUTHENTICATION,
        codes.ERROR_RESPONSE,
        codes.NOTICE_RESPONSE,
        codes.NEGOTIATE_PROTOCOL_VERSION,
        codes.PARAMETER_STATUS,
        codes.BACKEND_KEY_DATA,
        codes.READY_FOR_QUERY,
    ),
    codes.MAX_UPSTREAM_LOGIN_BODY,
)


class Phase(StrEnum):
    """What the handshake waits for."""

    IDLE = "start"
    TLS_ANSWER = "answer to the TLS request"
    TLS = "tls"
    AUTHENTICATION = "authentication request"
    KEY = "derived key"
    SASL_CHALLENGE = "SCRAM challenge"
    SASL_FINAL = "SCRAM signature"
    AUTHENTICATION_OK = "end of authentication"
    STARTED = "readiness"
    DONE = "nothing"


class UpstreamHandshake:
    """The handshake of one upstream connection."""

    def __init__(
        self,
        plan: UpstreamPlan,
        nonce: bytes,
        *,
        salted: SaltedPasswords,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            plan: how to log in.
            nonce: `encode_nonce` of 18 fresh random bytes.
            salted: the process's cache of derived keys.
        """
        self.phase = Phase.IDLE
        self._plan = plan
        self._minor = min(plan.minor, codes.PROTOCOL_MINOR_LATEST)
        self._tls = False
        self._consumed = 0
        self._intake = MessageIntake(_LIMITS, error=BackendError)
        self._effects: list[Effect] = []
        self._binding = b""
        self._scram = ScramLogin(plan, nonce, salted=salted)
        self._parameters: dict[str, str] = {}
        self._relay = bytearray()
        self._notices = bytearray()
        self._backend_key = messages.BackendKeyData(0, b"")

    @property
    def buffered(self) -> int:
        """Bytes held: never more than `codes.MAX_UPSTREAM_LOGIN_TOTAL` after a call."""
        return len(self._intake) + len(self._relay) + len(self._notices)

    def start(self) -> list[Effect]:
        """The connection stands: ask for TLS or begin."""

        def step() -> None:
            if self._plan.tls_mode is TlsMode.DISABLE:
                self._send_startup()
                return
            self._send(SSLRequest().encode())
            self.phase = Phase.TLS_ANSWER

        return self._run(step)

    def receive(self, data: bytes) -> list[Effect]:
        """Take bytes from the upstream; [] while more are needed or after the end."""
        if self.phase is Phase.DONE:
            return []

        def step() -> None:
            rest = data
            if self.phase is Phase.TLS_ANSWER and data:
                rest = data[1:]
                self._tls_answer(data[:1], rest)
            elif self.phase is Phase.TLS:
                raise self._violation("bytes before TLS began")
            self._intake.feed(rest)
            self._advance()

        return self._run(step)

    def tls_started(self, binding: bytes = b"") -> list[Effect]:
        """TLS stands and was verified as the plan's mode asks.

        `binding` is its `tls-server-end-point` (`proxy.auth.channel_binding`).
        """

        def step() -> None:
            if self.phase is not Phase.TLS:
                raise self._violation("TLS was not asked for")
            self._tls = True
            self._binding = binding
            self._send_startup()

        return self._run(step)

    def key_derived(self, request: KeyRequest, salted: bytes) -> list[Effect]:
        """Answer `DeriveKey`."""
        if self.phase is not Phase.KEY:
            return []

        def step() -> None:
            self._respond(request, salted)
            self._advance()

        return self._run(step)

    def closed(self) -> list[Effect]:
        """The upstream hung up."""

        def step() -> None:
            raise BackendError(
                "the database closed the connection during login",
                operator_note=f"the upstream hung up; awaited: {self.phase}",
            )

        return [] if self.phase is Phase.DONE else self._run(step)

    def _run(self, step: Callable[[], None]) -> list[Effect]:
        try:
            step()
            if self.phase is not Phase.DONE and (
                len(self._intake) + self._consumed > codes.MAX_UPSTREAM_LOGIN_TOTAL
            ):
                raise self._violation("too much data before ReadyForQuery")
        except PgwardenError as problem:
            self._refuse(problem.report("FATAL"), problem.operator_note)
        effects, self._effects = self._effects, []
        return effects

    @staticmethod
    def _violation(detail: str) -> BackendError:
        return BackendError(
            "the database broke the protocol", operator_note=f"upstream: {detail}"
        )

    def _send(self, data: bytes) -> None:
        self._effects.append(Send(data))

    def _refuse(self, report: ErrorReport, note: str, sqlstate: str = "") -> None:
        self.phase = Phase.DONE
        self._intake.drain()
        self._effects.append(UpstreamRefused(report, note, sqlstate))

    def _tls_answer(self, answer: bytes, rest: bytes) -> None:
        if rest:
            # Nothing may follow before we speak again: somebody else wrote it.
            raise self._violation("bytes behind the answer to the TLS request")
        if answer == codes.SSL_ACCEPTED:
            self.phase = Phase.TLS
            self._effects.append(StartTls())
        elif answer == codes.SSL_REFUSED:
            if self._plan.tls_mode is not TlsMode.PREFER:
                raise BackendError(
                    "pgwarden could not reach the database safely",
                    operator_note="the upstream does not speak TLS, and the settings "
                    f"ask for {self._plan.tls_mode}",
                )
            self._send_startup()
        else:
            raise BackendError(
                "pgwarden could not reach the database safely",
                operator_note="the upstream answered the TLS request with something "
                "else (not shown, as anybody could have written it)",
            )

    def _send_startup(self) -> None:
        parameters = startup_parameters(self._plan)
        self._send(StartupMessage(self._minor, parameters).encode())
        self.phase = Phase.AUTHENTICATION

    def _advance(self) -> None:
        while self.phase not in {Phase.DONE, Phase.KEY}:
            found = self._intake.next()
            if found is None:
                return
            kind, body = found
            self._consumed += len(body)
            if self._consumed > codes.MAX_UPSTREAM_LOGIN_TOTAL:
                raise self._violation("too much data before ReadyForQuery")
            if kind == codes.ERROR_RESPONSE:
                fields = parse_error_fields(body)
                report, note = explain(
                    fields,
                    database=self._plan.database,
                    is_proven=self.phase is Phase.STARTED,
                )
                self._refuse(report, note, fields.get("C", "")[:5])
            elif self.phase is Phase.STARTED:
                self._started(kind, body)
            else:
                self._before_ok(kind, body)

    def _before_ok(self, kind: int, body: bytes) -> None:
        if kind == codes.NEGOTIATE_PROTOCOL_VERSION:
            self._negotiated(messages.NegotiateProtocolVersion.decode(body))
        elif kind == codes.AUTHENTICATION:
            self._authentication(messages.decode_authentication(body))
        elif kind != codes.NOTICE_RESPONSE:
            raise self._violation(f"message type {kind} before the end of login")

    def _negotiated(self, offer: messages.NegotiateProtocolVersion) -> None:
        is_sane = offer.minor < self._minor and not offer.unrecognised
        if self.phase is not Phase.AUTHENTICATION or not is_sane:
            raise self._violation(f"offers protocol 3.{offer.minor} unasked")
        self._minor = offer.minor

    def _authentication(self, request: messages.Authentication) -> None:
        match request, self.phase:
            case messages.AuthenticationOk(), Phase.AUTHENTICATION:
                self._check_bound()
                if not (self._plan.allow_trust and self._plan.is_loopback):
                    raise self._unusable(
                        "the upstream wants no proof (trust); allowed only on loopback "
                        "and where the settings say so"
                    )
                self.phase = Phase.STARTED
            case messages.AuthenticationOk(), Phase.AUTHENTICATION_OK:
                self.phase = Phase.STARTED
            case messages.AuthenticationSASL(), Phase.AUTHENTICATION:
                self._begin_scram(request.mechanisms)
            case messages.AuthenticationSASLContinue(), Phase.SASL_CHALLENGE:
                self._challenged(request.data)
            case messages.AuthenticationSASLFinal(), Phase.SASL_FINAL:
                self._scram.end(request.data)
                self.phase = Phase.AUTHENTICATION_OK
            case messages.AuthenticationMD5(), Phase.AUTHENTICATION:
                password = self._weak_password("md5", is_allowed=self._plan.allow_md5)
                response = md5_response(self._plan.user, password, request.salt)
                self._answer(response)
            case messages.AuthenticationCleartext(), Phase.AUTHENTICATION:
                allowed = self._plan.allow_password
                password = self._weak_password("password", is_allowed=allowed)
                self._answer(cleartext_response(password))
            case messages.AuthenticationUnsupported(), Phase.AUTHENTICATION:
                raise self._unusable(
                    f"the upstream wants authentication method {request.code}, "
                    "which pgwarden does not speak"
                )
            case _:
                raise self._violation(f"authentication out of order ({self.phase})")

    @staticmethod
    def _unusable(note: str) -> BackendError:
        return BackendError(
            "pgwarden could not log in to the database", operator_note=note
        )

    def _password(self) -> str:
        if self._plan.password is None:
            raise self._unusable("the upstream wants a password, none is configured")
        return self._plan.password

    def _check_bound(self) -> None:
        """Only SCRAM binds a login to its channel."""
        if self._plan.channel_binding is ChannelBinding.REQUIRE:
            raise unbound("it wants another way of logging in")

    def _weak_password(self, method: str, *, is_allowed: bool) -> str:
        self._check_bound()
        is_private = self._plan.is_loopback or (
            self._tls and self._plan.tls_mode in VERIFIED
        )
        if not (is_allowed and is_private):
            raise self._unusable(
                f"the upstream asks for {method}; that needs a setting that allows it, "
                "and verified TLS or loopback"
            )
        return self._password()

    def _answer(self, response: bytes) -> None:
        self._send(messages.PasswordMessage(response).encode())
        self.phase = Phase.AUTHENTICATION_OK

    def _begin_scram(self, mechanisms: tuple[str, ...]) -> None:
        self._password()
        self._send(
            self._scram.begin(mechanisms, is_tls=self._tls, binding=self._binding)
        )
        self.phase = Phase.SASL_CHALLENGE

    def _challenged(self, data: bytes) -> None:
        request, known = self._scram.challenged(data)
        if known is not None:
            self._respond(request, known)
            return
        self.phase = Phase.KEY
        self._effects.append(DeriveKey(request))

    def _respond(self, request: KeyRequest, salted: bytes) -> None:
        self._send(self._scram.respond(request, salted))
        self.phase = Phase.SASL_FINAL

    def _started(self, kind: int, body: bytes) -> None:
        match kind:
            case codes.PARAMETER_STATUS:
                status = messages.ParameterStatus.decode(body)
                self._parameters[status.name] = status.value
                self._relay += messages.message(kind, body)
            case codes.NOTICE_RESPONSE:
                self._notices += messages.message(kind, body)
            case codes.BACKEND_KEY_DATA:
                self._backend_key = messages.BackendKeyData.decode(body)
                if self._minor < 2 and len(self._backend_key.key) != 4:
                    raise self._violation("a long cancel key on protocol 3.0")
            case codes.READY_FOR_QUERY:
                self._ready(messages.ReadyForQuery.decode(body))
            case _:
                raise self._violation(f"message type {kind} before ReadyForQuery")

    def _ready(self, ready: messages.ReadyForQuery) -> None:
        if ready.status != codes.IDLE:
            raise self._violation("ready, but not idle")
        version = self._parameters.get("server_version", "")
        if major_of(version) > NEWEST:
            raise self._unusable(f"PostgreSQL {version} is newer than {NEWER_THAN}")
        wanted = dict(FORCED)
        if self._plan.read_only:
            wanted[READ_ONLY] = "on"
        for name, value in wanted.items():
            found = self._parameters.get(name)
            if found != value:
                raise self._unusable(
                    f'the upstream reports {name} as "{found}" where "{value}" '
                    "was asked for"
                )
        self.phase = Phase.DONE
        self._effects.append(
            UpstreamReady(
                self._parameters,
                bytes(self._relay),
                bytes(self._notices),
                self._backend_key.pid,
                self._backend_key.key,
                self._minor,
                self._intake.drain(),
                self._plan.place,
            )
        )
