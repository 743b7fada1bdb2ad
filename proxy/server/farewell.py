"""An upstream connection whose client is gone, until Postgres lets go of it.

What the client had sent is with Postgres and gets a moment to finish; then it is
cancelled, again and again, as more of it may come after. Nobody reads the answers.
Next: `proxy.server.link`, which hands its upstream over to this.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.server.link import Link

CANCEL_EVERY_S: Final = 0.25
ABORT_AFTER_S: Final = 5.0
"""A server that neither ends nor hears a cancel: its socket is not kept for longer."""


class Farewell(asyncio.Protocol):
    """Ends one upstream connection."""

    def __init__(
        self, link: Link, *, grace_s: float, ended: Callable[[Farewell], None]
    ) -> None:
        """Take over `link.upstream`, which was told to terminate.

        Args:
            link: the session that is over.
            grace_s: how long what runs may go on before it is cancelled.
            ended: called when the connection is closed.
        """
        self._link = link
        self._ended = ended
        loop = link.server.loop
        self._timer = loop.call_later(grace_s, self._cancel)
        self._abort = loop.call_later(ABORT_AFTER_S, link.upstream.abort)
        upstream = link.upstream
        upstream.set_protocol(self)
        upstream.resume_reading()
        if link.session.is_mid_request:
            # Postgres waits for the rest of a message: only the end can tell it.
            if upstream.can_write_eof():
                upstream.write_eof()
            else:
                upstream.close()

    def _cancel(self) -> None:
        link = self._link
        link.server.cancel_upstream(link)
        self._timer = link.server.loop.call_later(CANCEL_EVERY_S, self._cancel)

    @override
    def data_received(self, data: bytes) -> None:
        """Nobody wants it any more."""

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._abort.cancel()
        self._ended(self)
