"""From the proof to the session: a place, an upstream, and a last look.

What was proven may not hold any more once an upstream has answered; then whoever
proved it does not come in. Next: `proxy.server.dial`, `proxy.server.link`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from proxy.errors import INVALID_AUTHORIZATION, ErrorReport, PgwardenError
from proxy.server.admission import no_session, why_out
from proxy.server.client_tls import revoked
from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    import asyncio

    from proxy.server.admission import Slot
    from proxy.server.refused_logins import Result
    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest

GATE_WAIT_S: Final = 5.0
"""An examination takes under a second; the client need not learn of it."""


class Doorway(Protocol):
    """What a client stands in meanwhile; see `proxy.server.entrance`."""

    @property
    def is_over(self) -> bool:
        """Whether it has been sent away, or has gone, by now."""

    def refuse(self, report: ErrorReport, result: Result, note: str) -> None:
        """Send it away."""

    def take_leftover(self) -> bytes:
        """What it has sent behind its login."""

    def came_in(self) -> None:
        """It is somebody else's from here on."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that has proven who it is.

    Attributes:
        request: what it asks for.
        client: its transport, from which nothing is read for now.
        address, port: where it is.
        opened_s: monotonic seconds when it connected.
    """

    request: LoginRequest
    client: asyncio.Transport
    address: str
    port: int
    opened_s: float


async def come_in(server: Server, who: Proven, doorway: Doorway) -> None:
    """Give it a session, or refuse it one."""
    request = who.request
    await server.gate.settled(server.policy, GATE_WAIT_S)
    refusal = no_session(server, request)
    if refusal is not None:
        doorway.refuse(refusal, "refused", refusal.message)
        return
    slot = server.slots.take(request)
    is_in = False
    try:
        is_in = await _dial_and_begin(server, who, doorway, slot)
    except UpstreamError as error:
        server.metrics.upstream_error(error.reason)
        doorway.refuse(error.report, "error", error.note)
    except PgwardenError as error:
        # The policy was changed meanwhile, and the role is gone.
        doorway.refuse(error.report("FATAL"), "refused", error.message)
    finally:
        if not is_in:
            slot.release()
            who.client.close()


async def _dial_and_begin(
    server: Server, who: Proven, doorway: Doorway, slot: Slot
) -> bool:
    request, client = who.request, who.client
    plan = server.plan(request)
    loading = server.catalogs.begin(request.database)
    dialled = await server.dialler.dial(plan)
    upstream = dialled.transport
    try:
        await server.catalogs.ready(loading)
    except BaseException:
        upstream.abort()
        raise
    if doorway.is_over or client.is_closing():
        upstream.close()
        return False
    if reason := _put_out(server, request):
        upstream.close()
        report = ErrorReport(INVALID_AUTHORIZATION, reason, severity="FATAL")
        doorway.refuse(report, "refused", "read again while the client came in")
        return False
    try:
        server.begin(
            request,
            dialled,
            client=client,
            address=who.address,
            port=who.port,
            opened_s=who.opened_s,
            leftover=doorway.take_leftover(),
            slot=slot,
        )
    except BaseException:
        upstream.abort()
        raise
    server.metrics.login("ok")
    doorway.came_in()
    return True


def _put_out(server: Server, request: LoginRequest) -> str:
    """Why what was read since the proof ends it, as it would end a session."""
    now = datetime.now(UTC)
    reason = why_out(request, server.policy, server.identities, now)
    return reason or revoked(server, request)
