"""The client's socket until it has proven who it is: first byte, TLS, login.

The handshake itself is `proxy.session.login`. A connection begins with the first byte
being looked at, not read: 0x16 is a TLS ClientHello (direct TLS), anything else is
Postgres in plain text. Next: `proxy.server.coming_in`.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import structlog
from typing_extensions import override

from proxy.auth.scram import encode_nonce
from proxy.auth.throttle import place_of
from proxy.errors import LOGIN_TIMEOUT, ErrorReport
from proxy.server.admission import login_rules
from proxy.server.coming_in import Proven, come_in
from proxy.server.refused_logins import (
    AFTER_PROOF,
    GIVES_WAY,
    RESULTS,
    SHUTS_DOWN,
    RefusedLogin,
)
from proxy.server.tls import ALPN
from proxy.server.token_logins import verify_token
from proxy.session.exchange import Channel, NeedVerification
from proxy.session.handshake import Send, StartTls
from proxy.session.login import Login
from proxy.session.login_effects import (
    Authenticated,
    CancelRequested,
    NeedIdentity,
    Reject,
)
from proxy.wire.errors_wire import encode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.server.arrival import Origin
    from proxy.server.refused_logins import Result
    from proxy.server.server import Server
    from proxy.server.tls import FrontendTls
    from proxy.server.unfinished import Seat
    from proxy.session.login_effects import Effect, LoginRequest

_log = structlog.get_logger("login")


class Entrance(asyncio.Protocol):
    """One client that has not come in yet; `hang_up` ends what has no transport."""

    transport: asyncio.Transport | None = None

    def __init__(
        self, server: Server, origin: Origin, *, tls: FrontendTls | None, seat: Seat
    ) -> None:
        """Begin.

        Args:
            server: see there.
            origin: where the client is.
            tls: what it is shown at once, where its first byte was TLS's.
            seat: its place among those that have not logged in yet.
        """
        self._server = server
        self._tls = tls
        self._address = origin.address
        self._port = origin.port
        self._place = place_of(origin.address)
        self._seat = seat
        self._opened_s = server.clock()
        self._login = Login(
            login_rules(server, origin),
            encode_nonce(secrets.token_bytes(18)),
            client_address=origin.address,
        )
        self._work: asyncio.Task[None] | None = None
        self.is_over = False
        self.hang_up: Callable[[], None] = lambda: None
        self._proven: LoginRequest | None = None
        self._delayed: Reject | None = None
        self._limit_s = server.settings.limits.first_packet_s
        self._timer = server.loop.call_later(self._limit_s, self._timed_out)
        server.entrances.add(self)
        seat.passed_to(self._give_way)

    # --- the socket ----------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all the methods but not the base class.
        self.transport = cast("asyncio.Transport", transport)
        if self.is_over:
            self.transport.abort()
            return
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            alpn, channel = tls.selected_alpn_protocol(), self._channel(tls)
            self._carry_out(self._login.tls_started(alpn, direct=True, channel=channel))

    @override
    def data_received(self, data: bytes) -> None:
        self._carry_out(self._login.receive(data))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._delayed is not None:
            self._answer(self._delayed)
        if not self.is_over:
            self._server.metrics.login("error")
            self._over()

    def failed(self, error: OSError) -> None:
        """Direct TLS did not come about, so no transport either."""
        if not self.is_over:
            self._server.metrics.login("error")
            _log.info("tls_failed", client=self._address, error=str(error))
            self._over()

    def _give_way(self) -> None:
        """Another has more right to the place."""
        self._cut(GIVES_WAY, "refused", "its place was given to another")

    def abandon(self) -> None:
        """Send away whoever is not in yet: pgwarden shuts down."""
        self.refuse(SHUTS_DOWN, "refused", "shutting down")

    # --- the handshake -------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data):
                    self._write(data)
                case StartTls():
                    # What comes from here on is TLS: leave it to the upgrade.
                    self._work = self._server.tasks.spawn(self._upgrade(self._quiet()))
                case NeedIdentity(user):
                    self._carry_out(self._identify(user))
                case NeedVerification():
                    self._work = self._server.tasks.spawn(
                        self._verify(effect, self._quiet())
                    )
                case CancelRequested(request):
                    self._server.cancel_requested(request)
                    self._over()
                    self._close()
                case Authenticated(request):
                    self._proven = request
                    self._server.door.succeeded(self._place, request.identity)
                    self._seat.keep()
                    self._work = self._server.tasks.spawn(
                        come_in(self._server, self._as_proven(request), self)
                    )
                case Reject():
                    self._rejected(effect)

    def _identify(self, user: str) -> Sequence[Effect]:
        refusal = self._server.door.refusal(self._place, user)
        if refusal is not None:
            self.refuse(refusal, "refused", "too many failures, not tried")
            return ()
        self._keep_login_time()
        identities = self._server.identities
        return self._login.identified(
            identities.find(user),
            mock=identities.mock(user, self._server.mock_key),
            now=datetime.now(UTC),
        )

    async def _verify(
        self, need: NeedVerification, transport: asyncio.Transport
    ) -> None:
        server = self._server
        answer = await verify_token(
            need, server.issuers, lambda: server.identities, now=server.now()
        )
        if self.is_over or transport.is_closing():
            return
        transport.resume_reading()
        self._carry_out(self._login.verified(answer))

    def _keep_login_time(self) -> None:
        """The first packet is whole; the rest may take what is left."""
        server = self._server
        self._limit_s = server.settings.limits.login_timeout_s
        self._timer.cancel()
        left_s = max(0.0, self._limit_s - (server.clock() - self._opened_s))
        self._timer = server.loop.call_later(left_s, self._timed_out)

    async def _upgrade(self, transport: asyncio.Transport) -> None:
        server = self._server
        # A reload meanwhile changes nothing for this client.
        tls = self._tls = server.tls
        if tls is None:
            transport.abort()
            return
        try:
            upgraded = await server.loop.start_tls(
                transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=self._limit_s,
            )
        except (ssl.SSLError, OSError) as error:
            self.failed(error)
            transport.abort()
            return
        if upgraded is None:
            return
        self.transport = upgraded
        made = upgraded.get_extra_info("ssl_object")
        alpn = made.selected_alpn_protocol() if made is not None else None
        self._carry_out(
            self._login.tls_started(
                alpn if alpn == ALPN else None, channel=self._channel(made)
            )
        )

    def _channel(self, made: ssl.SSLObject | None) -> Channel:
        """What the login can build on."""
        if self._tls is None:
            return Channel()
        return self._tls.channel(made, datetime.now(UTC))

    def _rejected(self, effect: Reject) -> None:
        if RESULTS.get(effect.outcome) == "denied" and not self.is_over:
            delay_s = self._server.door.failed(self._place, self._login.user)
            if delay_s:
                self._delay(effect, delay_s)
                return
        self._answer(effect)

    def _delay(self, effect: Reject, delay_s: float) -> None:
        """Answer later. The place stays taken, also when the client hangs up."""
        self._quiet()
        self._delayed = effect
        self._timer.cancel()
        self._timer = self._server.loop.call_later(delay_s, self._answer, effect)

    def _answer(self, effect: Reject) -> None:
        self.refuse(
            effect.report,
            RESULTS.get(effect.outcome, "refused"),
            effect.operator_note,
            data=effect.data,
            is_proven=effect.outcome in AFTER_PROOF,
        )

    # --- in ------------------------------------------------------------------

    def _as_proven(self, request: LoginRequest) -> Proven:
        return Proven(
            request,
            self._quiet(),
            address=self._address,
            port=self._port,
            opened_s=self._opened_s,
        )

    def take_leftover(self) -> bytes:
        """What the client sent behind its login; for its session."""
        return self._login.take_leftover()

    def came_in(self) -> None:
        """The client is its session's from here on."""
        self._over()

    # --- out -----------------------------------------------------------------

    def _quiet(self) -> asyncio.Transport:
        """The transport, from which nothing is read for now."""
        if self.transport is None:
            raise ConnectionError("the client is not connected")
        self.transport.pause_reading()
        return self.transport

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def refuse(
        self,
        report: ErrorReport,
        result: Result,
        note: str,
        *,
        data: bytes | None = None,
        is_proven: bool = False,
    ) -> None:
        """Send the client away, unless it is gone.

        Args:
            report: what it is told.
            result: for the metrics.
            note: for the operator.
            data: the report as it is to be written; encoded here if None.
            is_proven: whether the client has proven who it is.
        """
        if self.is_over:
            return
        self._over()
        # Whoever has been told is in the log.
        self._record(report, result, note, is_proven=is_proven)
        self._write(encode_error(report) if data is None else data)
        self._close()

    def _record(
        self, report: ErrorReport, result: Result, note: str, *, is_proven: bool = False
    ) -> None:
        """Tell metrics, log and audit log that nobody came in."""
        server = self._server
        proven = self._proven
        server.door.refused.add(
            RefusedLogin(
                address=self._address,
                place=self._place.address,
                identity=self._login.user,
                role=proven.role if proven else "",
                database=proven.database if proven else "",
                application_name=proven.application_name if proven else "",
                report=report,
                result=result,
                note=note,
                duration_s=server.clock() - self._opened_s,
                is_proven=is_proven or proven is not None,
            ),
            server.clock(),
        )

    def _timed_out(self) -> None:
        is_whole = self._limit_s == self._server.settings.limits.login_timeout_s
        what = "login" if is_whole else "first packet"
        note = f"the {what} took longer than {self._limit_s:g} s"
        self._cut(ErrorReport(LOGIN_TIMEOUT, note, severity="FATAL"), "timeout", note)

    def _cut(self, report: ErrorReport, result: Result, note: str) -> None:
        """End it without a word, in the middle of TLS too."""
        if self.is_over:
            return
        self._over()
        if self._work is not None:
            self._work.cancel()
        if self.transport is not None:
            self.transport.abort()
        else:
            self.hang_up()
        self._record(report, result, note)

    def _over(self) -> None:
        self.is_over = True
        self._timer.cancel()
        self._seat.release()
        if self._delayed is not None:
            self._delayed = None
            self._server.door.answered(self._place)
        self._server.entrances.discard(self)
