"""Log in to the upstream now and then, so that trouble shows before a client meets it.

A login that got in for a client lately is not tried. Next: `proxy.server.health`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    from proxy.server.server import Server

PROBE_EVERY_S: Final = 10.0
RETRY_EVERY_S: Final = 1.0
"""While it fails: a pgwarden that is ready again should soon say so."""
TERMINATE: Final = b"X\x00\x00\x00\x04"


async def watch_upstream(server: Server) -> None:
    """Try each login that some role uses, until cancelled."""
    while True:
        for login, is_read_only in _logins(server).items():
            if not server.dialler.health.is_known_good(login, PROBE_EVERY_S):
                await _try(server, login, is_read_only=is_read_only)
        server.dialler.health.all_tried()
        await asyncio.sleep(RETRY_EVERY_S)


def _logins(server: Server) -> dict[str, bool]:
    """The logins in use, and whether their sessions are read-only."""
    roles = [server.policy.role(name) for name in server.policy.roles]
    return {role.upstream: role.read_only for role in roles if role.may_login}


async def _try(server: Server, login: str, *, is_read_only: bool) -> None:
    dialler = server.dialler
    plan = dialler.own_plan(login, _database(server), is_read_only=is_read_only)
    try:
        dialled = await dialler.dial(plan, is_probe=True)
    except UpstreamError as error:
        server.metrics.upstream_error(error.reason)
    else:
        dialled.transport.write(TERMINATE)
        dialled.transport.close()


def _database(server: Server) -> str:
    """A database to ask for. That it may not exist, or not be ours, tells nothing."""
    for name in server.settings.upstream.databases:
        if not set(name) & set("*?["):
            return name
    return "postgres"
