"""Cancel keys of our own: what a client holds is never the upstream's real key.

A CancelRequest proves nothing but that its sender knows pid and key, so an unknown one
causes no connection to the upstream and no answer. Next: `proxy.server.server`.
Source: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.server.link import Link

SHORT_KEY = 4
"""Protocol 3.0."""
LONG_KEY = 32
"""Protocol 3.2 allows up to 256; Postgres 18 uses 32."""
WORKER_BITS = 6
"""The low bits of a synthetic pid: which worker made it (at most 64 workers)."""


class CancelKeys:
    """The keys of this process's sessions."""

    def __init__(self, worker: int = 0) -> None:
        self._worker = worker
        self._links: dict[int, tuple[bytes, Link]] = {}

    def issue(self, link: Link, *, minor: int) -> tuple[int, bytes]:
        """A new (pid, key) for a session of protocol 3.`minor`."""
        pid = 0
        while not pid or pid in self._links:
            pid = secrets.randbits(31 - WORKER_BITS) << WORKER_BITS | self._worker
        key = secrets.token_bytes(LONG_KEY if minor >= 2 else SHORT_KEY)
        self._links[pid] = (key, link)
        return pid, key

    def find(self, pid: int, key: bytes) -> Link | None:
        """The session that was given exactly this pair."""
        known, link = self._links.get(pid, (b"", None))
        return link if hmac.compare_digest(known, key) else None

    def forget(self, pid: int) -> None:
        """The session is over."""
        self._links.pop(pid, None)

    def are_ours(self, pid: int) -> bool:
        """Whether this worker issued the pid, if any did."""
        return worker_of(pid) == self._worker


def worker_of(pid: int) -> int:
    """Which worker issued this pid."""
    return pid & ((1 << WORKER_BITS) - 1)
