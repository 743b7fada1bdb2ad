"""TCP options of every connection, and room for their descriptors.

Next: `proxy.server.listener` and `proxy.server.dial`.
"""

from __future__ import annotations

import os
import resource
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_COUNT: Final = 4
"""A peer whose machine or network is gone is noticed after two minutes of silence; the
system's default is two hours."""
_OPTIONS: Final = {
    "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
    "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
    "TCP_KEEPCNT": KEEPALIVE_COUNT,
}


def prepare(connection: socket.socket) -> None:
    """Send small packets at once, and notice a peer that vanished."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def prepare_transport(transport: asyncio.BaseTransport) -> None:
    """The same for a connection that the event loop has made."""
    made = transport.get_extra_info("socket")
    if made is None or made.fileno() < 0:
        return
    # uvloop's stand-in for the socket has no setsockopt; the options belong to the
    # connection, whatever descriptor they are set through.
    with socket.socket(fileno=os.dup(made.fileno())) as same:
        prepare(same)


def allow_descriptors() -> int:
    """Use as many descriptors as the system lets us; returns how many that is.

    The usual soft limit of 1,024 is for programs that use select(2); we do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
