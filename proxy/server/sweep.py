"""Once a second: what sessions owe to time alone.

Idle sessions end, and statements that run for longer than their role may; clients that
are gone are noticed where the event loop can't see it, because nothing is being read
from them. Next: `proxy.server.overtime` and `proxy.server.link`.
"""

from __future__ import annotations

import asyncio
import select
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxy.errors import ADMIN_SHUTDOWN, IDLE_SESSION_TIMEOUT, ErrorReport
from proxy.server.expiry import expel_expired
from proxy.server.overtime import keep_time

if TYPE_CHECKING:
    from proxy.server.link import Link
    from proxy.server.server import Server

SWEEP_EVERY_S: Final = 1.0
_GONE: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR


async def sweep(server: Server) -> None:
    """Look after all sessions, until cancelled; also measure the loop."""
    limit_s = server.settings.limits.idle_session_timeout_s
    loop = server.loop
    while True:
        due = loop.time() + SWEEP_EVERY_S
        await asyncio.sleep(SWEEP_EVERY_S)
        server.metrics.loop_lag_s = max(0.0, loop.time() - due)
        server.door.look()
        expel_expired(server, datetime.now(UTC))
        for link in list(server.links):
            if link.is_stalled() and _is_gone(link):
                link.client_lost()
                continue
            keep_time(link)
            if link.request.max_session_s:
                _end_if_too_long(link)
            if limit_s:
                _end_if_idle(link, limit_s)


def _is_gone(link: Link) -> bool:
    """Whether the client has hung up, though what it sent before may still wait."""
    descriptor = link.client_descriptor()
    if descriptor < 0:
        return True
    look = select.poll()
    look.register(descriptor, select.POLLRDHUP)
    return any(event & _GONE for _, event in look.poll(0))


def _end_if_idle(link: Link, limit_s: float) -> None:
    if link.active or not link.is_quiet:
        link.active = False
        link.idle_s = 0.0
        return
    link.idle_s += SWEEP_EVERY_S
    if link.idle_s >= limit_s:
        link.end_overdue(
            "idle for too long",
            ErrorReport(
                IDLE_SESSION_TIMEOUT,
                f"terminating connection: idle for more than {limit_s:g} s",
                hint="reconnect",
                severity="FATAL",
            ),
        )


def _end_if_too_long(link: Link) -> None:
    """A token proves who came in, for a time: a running transaction is rolled back."""
    limit_s = link.request.max_session_s
    if link.age_s < limit_s:
        return
    link.end_overdue(
        "the token that opened it is too long ago",
        ErrorReport(
            ADMIN_SHUTDOWN,
            f"terminating connection: opened by a token more than {limit_s:g} s ago",
            hint="get a new token, by pgwarden login or from the issuer, and reconnect",
            severity="FATAL",
        ),
    )
