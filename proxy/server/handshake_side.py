"""The upstream's socket while one login to it runs.

The handshake itself is `proxy.session.upstream`; here are its socket and its clock.
Next: `proxy.server.dial`, which chooses where to go.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING, NamedTuple, cast

from typing_extensions import override

from proxy.auth.scram import encode_nonce
from proxy.errors import CANNOT_CONNECT, ErrorReport, reason_of
from proxy.server.health import UpstreamError
from proxy.server.sockets import prepare_transport
from proxy.server.upstream_tls import binding_of
from proxy.session.handshake import Send, StartTls
from proxy.session.upstream import UpstreamHandshake
from proxy.session.upstream_effects import DeriveKey, UpstreamReady, UpstreamRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.auth.scram_client import KeyRequest, SaltedPasswords
    from proxy.server.tasks import Tasks
    from proxy.session.upstream_effects import Effect
    from proxy.session.upstream_plan import Place, UpstreamPlan


class Dialled(NamedTuple):
    """An upstream that waits for the first command."""

    transport: asyncio.Transport
    ready: UpstreamReady
    user: str = ""


class Within(NamedTuple):
    """How long one attempt may take: the TCP connection alone, and all of it."""

    tcp_s: float
    all_s: float


async def log_in(
    plan: UpstreamPlan,
    place: Place,
    *,
    context: ssl.SSLContext | None,
    salted: SaltedPasswords,
    tasks: Tasks,
    within: Within,
) -> Dialled:
    """Connect to one address and log in there.

    Raises:
        UpstreamError: it can't be reached, refuses us, or takes too long.
    """
    handshake = UpstreamHandshake(
        plan, encode_nonce(secrets.token_bytes(18)), salted=salted
    )
    side: HandshakeSide | None = None
    dialled: Dialled | None = None
    limit_s = within.tcp_s
    try:
        async with asyncio.timeout(within.tcp_s) as limit:
            _, side = await asyncio.get_running_loop().create_connection(
                lambda: HandshakeSide(handshake, place, context=context, tasks=tasks),
                place.address,
                place.port,
            )
            limit_s = within.all_s
            limit.reschedule(asyncio.get_running_loop().time() + within.all_s)
            prepare_transport(side.transport)
            dialled = (await side.outcome)._replace(user=plan.user)
            return dialled
    except TimeoutError:
        raise unreachable(place, f"no answer within {limit_s:g} s") from None
    except OSError as error:
        raise unreachable(place, reason_of(error)) from error
    finally:
        if side is not None and dialled is None:
            side.transport.abort()


def unreachable(place: Place, why: str) -> UpstreamError:
    """Nobody is there."""
    return UpstreamError(
        ErrorReport(
            CANNOT_CONNECT,
            "pgwarden can't reach the database",
            hint="try again; tell whoever runs pgwarden if it goes on",
            severity="FATAL",
        ),
        f"upstream {place}: {why}",
        "connect",
    )


def unsafe(note: str) -> UpstreamError:
    """Somebody is there, and is not trusted."""
    return UpstreamError(
        ErrorReport(
            CANNOT_CONNECT,
            "pgwarden could not reach the database safely",
            severity="FATAL",
        ),
        note,
        "tls",
    )


class HandshakeSide(asyncio.Protocol):
    """The upstream's socket while `UpstreamHandshake` runs."""

    transport: asyncio.Transport

    def __init__(
        self,
        handshake: UpstreamHandshake,
        place: Place,
        *,
        context: ssl.SSLContext | None,
        tasks: Tasks,
    ) -> None:
        self._handshake = handshake
        self._place = place
        self._context = context
        self._tasks = tasks
        self._has_heard = False
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
        self._has_heard = True
        self._carry_out(self._handshake.receive(data))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._has_heard:
            # A balancer with no server behind it, or a port that is no server's.
            self._fail(unreachable(self._place, "it hung up without a word"))
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
                case UpstreamRefused(report, note, sqlstate):
                    self._fail(UpstreamError(report, note, "login", sqlstate))

    def _fail(self, error: UpstreamError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    async def _upgrade(self) -> None:
        try:
            self.transport = await self._encrypted()
            binding = binding_of(self.transport)
        except UpstreamError as error:
            self._fail(error)
        else:
            self._carry_out(self._handshake.tls_started(binding))

    async def _encrypted(self) -> asyncio.Transport:
        if self._context is None:
            raise unreachable(self._place, "TLS is switched off")
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._context, server_hostname=self._place.host
            )
        except (ssl.SSLError, ssl.CertificateError, OSError) as error:
            note = getattr(error, "verify_message", "") or str(error)
            raise unsafe(f"upstream TLS: {note}") from error
        if upgraded is None:
            raise unreachable(self._place, "the connection ended during TLS")
        return upgraded

    async def _derive(self, request: KeyRequest) -> None:
        loop = asyncio.get_running_loop()
        salted = await loop.run_in_executor(None, request.derive)
        self._carry_out(self._handshake.key_derived(request, salted))
