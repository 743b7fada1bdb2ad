"""The client's socket until its session stands: first byte, TLS, login, dial.

The handshake itself is `proxy.session.login`. A connection begins with the first byte
being looked at, not read: 0x16 is a TLS ClientHello (direct TLS), anything else is
Postgres in plain text. Next: `proxy.server.link`.
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
from proxy.errors import (
    INVALID_AUTHORIZATION,
    LOGIN_TIMEOUT,
    ErrorReport,
    PgwardenError,
)
from proxy.server.admission import login_rules, no_session, why_out
from proxy.server.client_tls import revoked
from proxy.server.health import UpstreamError
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

    from proxy.server.admission import Slot
    from proxy.server.arrival import Origin
    from proxy.server.refused_logins import Result
    from proxy.server.server import Server
    from proxy.server.tls import FrontendTls
    from proxy.server.unfinished import Seat
    from proxy.session.login_effects import Effect, LoginRequest

_log = structlog.get_logger("login")

GATE_WAIT_S = 5.0
"""An examination takes under a second; the client need not learn of it."""


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
        self._is_over = False
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
        if self._is_over:
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
        if not self._is_over:
            self._server.metrics.login("error")
            self._over()

    def failed(self, error: OSError) -> None:
        """Direct TLS did not come about, so no transport either."""
        if not self._is_over:
            self._server.metrics.login("error")
            _log.info("tls_failed", client=self._address, error=str(error))
            self._over()

    def _give_way(self) -> None:
        """Another has more right to the place."""
        self._cut(GIVES_WAY, "refused", "its place was given to another")

    def abandon(self) -> None:
        """Send away whoever is not in yet: pgwarden shuts down."""
        self._refuse(SHUTS_DOWN, "refused", "shutting down")

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
                        self._come_in(request, self._quiet())
                    )
                case Reject():
                    self._rejected(effect)

    def _identify(self, user: str) -> Sequence[Effect]:
        refusal = self._server.door.refusal(self._place, user)
        if refusal is not None:
            self._refuse(refusal, "refused", "too many failures, not tried")
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
        if self._is_over or transport.is_closing():
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
        if RESULTS.get(effect.outcome) == "denied" and not self._is_over:
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
        self._refuse(
            effect.report,
            RESULTS.get(effect.outcome, "refused"),
            effect.operator_note,
            data=effect.data,
            is_proven=effect.outcome in AFTER_PROOF,
        )

    # --- in ------------------------------------------------------------------

    async def _come_in(self, request: LoginRequest, client: asyncio.Transport) -> None:
        server = self._server
        await server.gate.settled(server.policy, GATE_WAIT_S)
        refusal = no_session(server, request)
        if refusal is not None:
            self._refuse(refusal, "refused", refusal.message)
            return
        slot = server.slots.take(request)
        is_in = False
        try:
            is_in = await self._dial_and_begin(request, client, slot)
        except UpstreamError as error:
            server.metrics.upstream_error(error.reason)
            self._refuse(error.report, "error", error.note)
        except PgwardenError as error:
            # The policy was changed meanwhile, and the role is gone.
            self._refuse(error.report("FATAL"), "refused", error.message)
        finally:
            if not is_in:
                slot.release()
                client.close()

    async def _dial_and_begin(
        self, request: LoginRequest, client: asyncio.Transport, slot: Slot
    ) -> bool:
        server = self._server
        plan = server.plan(request)
        loading = server.catalogs.begin(request.database)
        dialled = await server.dialler.dial(plan)
        upstream = dialled.transport
        try:
            await server.catalogs.ready(loading)
        except BaseException:
            upstream.abort()
            raise
        if self._is_over or client.is_closing():
            upstream.close()
            return False
        if reason := self._put_out(request):
            upstream.close()
            report = ErrorReport(INVALID_AUTHORIZATION, reason, severity="FATAL")
            self._refuse(report, "refused", "read again while the client came in")
            return False
        try:
            server.begin(
                request,
                dialled,
                client=client,
                address=self._address,
                port=self._port,
                opened_s=self._opened_s,
                leftover=self._login.take_leftover(),
                slot=slot,
            )
        except BaseException:
            upstream.abort()
            raise
        server.metrics.login("ok")
        self._over()
        return True

    def _put_out(self, request: LoginRequest) -> str:
        """Why what was read since the proof ends it, as it would end a session."""
        server = self._server
        now = datetime.now(UTC)
        reason = why_out(request, server.policy, server.identities, now)
        return reason or revoked(server, request)

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

    def _refuse(
        self,
        report: ErrorReport,
        result: Result,
        note: str,
        *,
        data: bytes | None = None,
        is_proven: bool = False,
    ) -> None:
        if self._is_over:
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
        if self._is_over:
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
        self._is_over = True
        self._timer.cancel()
        self._seat.release()
        if self._delayed is not None:
            self._delayed = None
            self._server.door.answered(self._place)
        self._server.entrances.discard(self)
