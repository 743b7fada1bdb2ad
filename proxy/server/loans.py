"""Opening what lends roles, beside an open store.

Next: `proxy.server.lending`; `proxy.server.run` calls this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.server.lending import Lending
from proxy.server.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from proxy.server.server import Server
    from proxy.server.stored import Stored


async def lend(server: Server, stored: Stored) -> list[Coroutine[object, object, None]]:
    """Have a server lend; returns what keeps that going while it serves.

    Raises:
        StoreUnavailable: the store can't be read.
        ConfigError: there is another store in its place.
    """
    lending = Lending(server, stored.store, problem=stored.watch.problem)
    await lending.read()
    server.lending = lending
    stored.watch.on_change(lending.read)
    works = [lending.follow()]
    if (settings := server.settings.access.webhook) is not None:
        webhook = Webhook(settings, server.metrics)
        lending.on_event = webhook.tell
        works.append(webhook.follow())
    return works
