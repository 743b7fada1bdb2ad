"""Reach the upstream: connect, TLS, log in. One connection a client session.

The handshake itself is `proxy.session.upstream`; here are its socket and its clock.
Also sends CancelRequests. Next: `proxy.server.link`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from typing_extensions import override

from proxy.addresses import is_loopback
from proxy.auth.scram import SaltedPasswords, encode_nonce
from proxy.errors import (
    CANNOT_CONNECT,
    CONNECTION_REJECTED,
    ErrorReport,
    UnavailableError,
)
from proxy.server.health import Health, UpstreamError
from proxy.server.sockets import prepare_transport
from proxy.server.tls import upstream_context
from proxy.server.upstream_users import Key, passwords, resolved
from proxy.session.handshake import Send, StartTls
from proxy.session.upstream import UpstreamHandshake
from proxy.session.upstream_effects import DeriveKey, UpstreamReady, UpstreamRefused
from proxy.session.upstream_plan import TlsMode, UpstreamPlan, shown_name
from proxy.session.upstream_refusal import explain_to_person
from proxy.wire.startup import CancelRequest, SSLRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from proxy.auth.scram import KeyRequest
    from proxy.server.tasks import Tasks
    from proxy.session.login_effects import LoginRequest
    from proxy.session.upstream_effects import Effect
    from proxy.settings_upstream import UpstreamSettings


class Dialled(NamedTuple):
    """An upstream that waits for the first command."""

    transport: asyncio.Transport
    ready: UpstreamReady
    user: str = ""


class Dialler:
    """Opens connections to the one upstream of the settings."""

    def __init__(
        self, settings: UpstreamSettings, *, tasks: Tasks, keys: Iterable[Key]
    ) -> None:
        """Read what can be read now, so that a mistake shows at the start.

        Args:
            settings: the upstream and pgwarden's logins there.
            tasks: starts what nobody waits for.
            keys: the logins whose passwords are needed.

        Raises:
            ConfigError: a CA or password file can't be read.
        """
        self.settings = settings
        self.health = Health(settings.logins, clock=time.monotonic)
        self._tasks = tasks
        self._salted = SaltedPasswords()
        self._context: ssl.SSLContext | None = None
        self._passwords: dict[Key, str] = {}
        self.renew(keys)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The logins whose passwords are known."""
        return tuple(self._passwords)

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS of upstream connections; None where it is switched off."""
        return self._context

    def renew(self, keys: Iterable[Key]) -> None:
        """Read CA and passwords again; both are replaced, or neither.

        Raises:
            ConfigError: a CA or password file can't be read.
        """
        context = upstream_context(self.settings.tls)
        self._passwords = passwords(self.settings, keys)
        self._context = context

    def plan(
        self, login: str, request: LoginRequest, *, is_read_only: bool
    ) -> UpstreamPlan:
        """How to log in for this client, as the named upstream login."""
        return replace(
            self.own_plan(
                login,
                request.database,
                identity=request.identity,
                is_read_only=is_read_only,
            ),
            application_name=shown_name(request.identity, request.application_name),
            settings=request.settings,
            minor=request.minor,
        )

    def own_plan(
        self, login: str, database: str, *, identity: str = "", is_read_only: bool
    ) -> UpstreamPlan:
        """How to log in for pgwarden itself; as `identity`, if each has its own role.

        Raises:
            ConfigError: the identity's name can't be part of the upstream user.
            UnavailableError: no password is known for it.
        """
        settings = self.settings
        is_personal = settings.logins[login].is_per_identity
        key = Key(login, identity if is_personal else "")
        user = resolved(settings.logins[login], key.identity).user
        if key not in self._passwords:
            raise UnavailableError(
                f'pgwarden holds no password for "{user}", its login to the database '
                "for you",
                hint="Your own password was right; tell pgwarden's operator.",
                sqlstate=CONNECTION_REJECTED,
            )
        return UpstreamPlan(
            user=user,
            database=database,
            password=self._passwords[key] or None,
            password_id="/".join(key),
            login=login,
            is_personal=is_personal,
            read_only=is_read_only,
            tls_mode=TlsMode(settings.tls.mode),
            is_loopback=is_loopback(settings.host),
            allow_md5=settings.allow_md5,
            allow_password=settings.allow_password,
            allow_trust=True,
        )

    async def dial(self, plan: UpstreamPlan, *, is_probe: bool = False) -> Dialled:
        """Connect and log in, and note how that went.

        Raises:
            UpstreamError: it can't be reached, refuses us, or takes too long.
        """
        try:
            dialled = await self.connect(plan)
        except UpstreamError as error:
            told = error
            if plan.is_personal and error.reason == "login":
                report, note = explain_to_person(
                    error.report, error.note, user=plan.user
                )
                told = UpstreamError(report, note, error.reason)
            self.health.failed(
                plan.login, told, is_probe=is_probe, is_personal=plan.is_personal
            )
            raise told from error
        self.health.succeeded(plan.login)
        return dialled

    async def connect(self, plan: UpstreamPlan) -> Dialled:
        """The same without a note: for looks that say themselves what they found.

        Raises:
            UpstreamError: it can't be reached, refuses us, or takes too long.
        """
        settings = self.settings
        handshake = UpstreamHandshake(
            plan, encode_nonce(secrets.token_bytes(18)), salted=self._salted
        )
        side: _HandshakeSide | None = None
        dialled: Dialled | None = None
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                _, side = await asyncio.get_running_loop().create_connection(
                    lambda: _HandshakeSide(handshake, self._start_tls, self._tasks),
                    settings.host,
                    settings.port,
                )
                prepare_transport(side.transport)
                dialled = (await side.outcome)._replace(user=plan.user)
                return dialled
        except TimeoutError:
            raise self._unreachable(
                f"no answer within {settings.connect_timeout_s:g} s"
            ) from None
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from error
        finally:
            if side is not None and dialled is None:
                side.transport.abort()

    async def cancel(self, pid: int, key: bytes) -> None:
        """Ask the upstream to cancel what this backend runs; it answers nothing.

        Raises:
            OSError: it can't be reached (safely), or takes too long.
        """
        settings = self.settings
        async with asyncio.timeout(settings.connect_timeout_s):
            reader, writer = await asyncio.open_connection(settings.host, settings.port)
            try:
                if self._context is not None:
                    writer.write(SSLRequest().encode())
                    if await reader.read(1) == b"S":
                        await writer.start_tls(
                            self._context, server_hostname=settings.host
                        )
                    elif settings.tls.mode != "prefer":
                        raise ConnectionError("the upstream does not speak TLS")
                writer.write(CancelRequest(pid, key).encode())
                await writer.drain()
                # Postgres closes once the signal is sent; only then is it certain.
                with contextlib.suppress(ConnectionResetError):
                    await reader.read(1)
            finally:
                writer.close()

    def _unreachable(self, note: str) -> UpstreamError:
        where = f"{self.settings.host}:{self.settings.port}"
        return UpstreamError(
            ErrorReport(
                CANNOT_CONNECT,
                "pgwarden can't reach the database",
                hint="try again; tell whoever runs pgwarden if it goes on",
                severity="FATAL",
            ),
            f"upstream {where}: {note}",
            "connect",
        )

    async def _start_tls(
        self, transport: asyncio.Transport, side: asyncio.Protocol
    ) -> asyncio.Transport:
        if self._context is None:
            raise self._unreachable("TLS is switched off")
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(
                transport, side, self._context, server_hostname=self.settings.host
            )
        except (ssl.SSLError, ssl.CertificateError, OSError) as error:
            note = getattr(error, "verify_message", "") or str(error)
            raise UpstreamError(
                ErrorReport(
                    CANNOT_CONNECT,
                    "pgwarden could not reach the database safely",
                    severity="FATAL",
                ),
                f"upstream TLS: {note}",
                "tls",
            ) from error
        if upgraded is None:
            raise self._unreachable("the connection ended during TLS")
        return upgraded


class _HandshakeSide(asyncio.Protocol):
    """The upstream's socket while `UpstreamHandshake` runs."""

    transport: asyncio.Transport

    def __init__(
        self,
        handshake: UpstreamHandshake,
        start_tls: Callable[
            [asyncio.Transport, asyncio.Protocol],
            Awaitable[asyncio.Transport],
        ],
        tasks: Tasks,
    ) -> None:
        self._handshake = handshake
        self._start_tls = start_tls
        self._tasks = tasks
        self.outcome: asyncio.Future[Dialled] = (
            asyncio.get_running_loop().create_future()
        )

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all the methods but not the base class.
        self.transport = cast("asyncio.Transport", transport)
        self._carry_out(self._handshake.start())

    @override
    def data_received(self, data: bytes) -> None:
        self._carry_out(self._handshake.receive(data))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._carry_out(self._handshake.closed())

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data):
                    self.transport.write(data)
                case StartTls():
                    self._tasks.start(self._upgrade())
                case DeriveKey(request):
                    self._tasks.start(self._derive(request))
                case UpstreamReady():
                    if not self.outcome.done():
                        # Nothing may be read before the conversation takes over.
                        self.transport.pause_reading()
                        self.outcome.set_result(Dialled(self.transport, effect))
                case UpstreamRefused(report, note):
                    self._fail(UpstreamError(report, note, "login"))

    def _fail(self, error: UpstreamError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    async def _upgrade(self) -> None:
        try:
            self.transport = await self._start_tls(self.transport, self)
        except UpstreamError as error:
            self._fail(error)
        else:
            self._carry_out(self._handshake.tls_started())

    async def _derive(self, request: KeyRequest) -> None:
        loop = asyncio.get_running_loop()
        salted = await loop.run_in_executor(None, request.derive)
        self._carry_out(self._handshake.key_derived(request, salted))
