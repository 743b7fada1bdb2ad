"""The end of a session under a grant: at once, whatever it is doing.

Its client is told; what runs is cancelled, and what the client has sent ahead does not
run on: a Postgres that can't send its answers ends by itself.
Next: `proxy.server.link`, `proxy.server.lending`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.errors import ADMIN_SHUTDOWN, ErrorReport

if TYPE_CHECKING:
    from proxy.server.link import Link

CUT_AFTER_S: Final = 0.05
"""Time for the last bytes to leave, in both directions."""
CANCEL_AFTER_S: Final = (0.0, 0.05, 0.1, 0.3, 0.6, 1.0)
"""The first stops what runs now. The connection is cut then, so that a further
statement fails when it answers; the others stop it where it takes long to."""


def end_lent(link: Link, problem: str) -> None:
    """End a session whose grant does not hold any more."""
    if link.session.ending is not None:
        return
    is_busy = bool(link.session.queue)
    link.end_overdue(
        problem,
        ErrorReport(
            ADMIN_SHUTDOWN,
            f"terminating connection: {problem}",
            detail="What was not committed is rolled back.",
            hint="reconnect to go on with your own role; "
            "CALL pgwarden.request_access(...) asks for the other one again",
            severity="FATAL",
        ),
    )
    if is_busy:
        link.server.tasks.start(_stop(link))


async def _stop(link: Link) -> None:
    loop = link.server.loop
    loop.call_later(CUT_AFTER_S, link.upstream.abort)
    waited_s = 0.0
    for after_s in CANCEL_AFTER_S:
        await asyncio.sleep(after_s - waited_s)
        waited_s = after_s
        await link.server.cancel_now(link)
