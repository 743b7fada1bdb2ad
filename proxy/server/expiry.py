"""End the sessions of identities whose time is over: at a login it is looked at too.

Next: `proxy.server.sweep`, which calls this once a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.server.server import Server


def expel_expired(server: Server, now: datetime) -> None:
    """End what may not go on after `valid_until`, whatever it is doing."""
    over = {
        identity.name: identity.valid_until
        for identity in server.identities
        if identity.valid_until is not None and now > identity.valid_until
    }
    if not over:
        return
    for link in list(server.links):
        until = over.get(link.request.identity)
        if until is not None:
            link.expel(
                f'identity "{link.request.identity}" was valid until '
                f"{until.isoformat()}"
            )
