"""Log in to the upstream now and then, so that trouble shows before a client meets it.

A login that got in for a client lately is not tried. Next: `proxy.server.health`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.errors import PgwardenError
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
        for login, (is_read_only, identity) in _logins(server).items():
            if not server.dialler.health.is_known_good(login, PROBE_EVERY_S):
                await _try(server, login, identity, is_read_only=is_read_only)
        server.dialler.health.all_tried()
        await asyncio.sleep(RETRY_EVERY_S)


def _logins(server: Server) -> dict[str, tuple[bool, str]]:
    """The logins in use: whether their sessions are read-only, and as whom to try.

    Where each identity has a role of its own, the first will do.
    """
    found: dict[str, tuple[bool, str]] = {}
    first = {
        identity.role: identity.name
        for identity in reversed(list(server.identities))
        if not identity.disabled
    }
    for name in server.policy.roles:
        role = server.policy.role(name)
        if not role.may_login or role.upstream not in server.settings.upstream.logins:
            continue
        is_personal = server.settings.upstream.logins[role.upstream].is_per_identity
        if not is_personal or name in first:
            found[role.upstream] = (role.read_only, first.get(name, ""))
    return found


async def _try(
    server: Server, login: str, identity: str, *, is_read_only: bool
) -> None:
    dialler = server.dialler
    try:
        plan = dialler.own_plan(
            login, _database(server), identity=identity, is_read_only=is_read_only
        )
    except PgwardenError:
        # No password for this one: whoever reads the settings has said so.
        return
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
