"""What a worker says of itself: its numbers, what is amiss, what only needs a look.

Next: `proxy.server.control`, which carries it to the parent; `proxy.console.app`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.metrics import pack
from proxy.server.control import Numbers

if TYPE_CHECKING:
    from proxy.metrics import Snapshot
    from proxy.server.server import Server


def snapshot(server: Server) -> Snapshot:
    """Every number as it is now."""
    upstream = server.metrics.upstream
    upstream.hosts_down = server.dialler.hosts.number_down
    upstream.critical_findings = server.gate.alarms
    return server.metrics.snapshot(time.monotonic())


def warnings(server: Server) -> list[str]:
    """What somebody should look at though pgwarden serves: short lines for anyone."""
    return server.gate.warnings() + server.dialler.hosts.warnings()


def numbers(server: Server) -> Numbers:
    """What this worker tells its parent."""
    return Numbers(pack(snapshot(server)), server.problems(), warnings(server))
