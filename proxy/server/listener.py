"""Accept clients, as long as there are places. Next: `proxy.server.arrival`."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import structlog

from proxy.auth.throttle import place_of
from proxy.errors import ConfigError, reason_of
from proxy.server.arrival import Arrival, Origin
from proxy.server.sockets import prepare
from proxy.server.unfinished import NOWHERE

if TYPE_CHECKING:
    import asyncio

    from proxy.addresses import Address
    from proxy.server.server import Server

_log = structlog.get_logger("listener")

BACKLOG = 512
ACCEPTS_A_TURN = 4
"""In a storm, a client that was accepted has few newcomers before it at each step of
its login: it waits once, in the backlog, and not at each of the six."""
ACCEPT_AGAIN_AFTER_S = 0.5


def bind(address: Address, *, is_shared: bool = False) -> list[socket.socket]:
    """Listening sockets for an address; a name may stand for several.

    Raises:
        ConfigError: the port is busy, or the address is not ours.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(where)
            listening.listen(BACKLOG)
            listening.settimeout(0)
    except OSError as error:
        for listening in sockets:
            listening.close()
        busy = error.errno == errno.EADDRINUSE
        raise ConfigError(
            f"can't listen on {address}: {reason_of(error)}",
            hint="another program uses the port; choose another" if busy else "",
        ) from error
    return sockets


class Listener:
    """One listening socket."""

    def __init__(self, server: Server, listening: socket.socket) -> None:
        """Begin to accept."""
        self._server = server
        self._socket = listening
        self._arrivals: set[Arrival] = set()
        self._pausing: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept no more; who has not sent a byte is sent away."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._server.loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for arrival in list(self._arrivals):
            arrival.leave()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                client, where = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Most likely no descriptor is left (EMFILE). The client stays in the
                # backlog; asking again at once would only burn the processor.
                _log.error("accept_failed", error=str(error))
                self._pause()
                return
            client.settimeout(0)
            self._arrived(client, where)

    def _arrived(self, client: socket.socket, where: tuple[str, int]) -> None:
        server = self._server
        address = where[0].removeprefix("::ffff:")
        share = NOWHERE if server.is_balancer(address) else place_of(address).address
        arrival = Arrival(
            server,
            client,
            origin=Origin(address, where[1], address),
            ended=self._arrivals.discard,
        )
        seat = server.door.admit(share, arrival.leave)
        if seat is None:
            arrival.leave()
            return
        prepare(client)
        self._arrivals.add(arrival)
        arrival.start(seat)

    def _pause(self) -> None:
        loop = self._server.loop
        loop.remove_reader(self._socket.fileno())
        self._pausing = loop.call_later(ACCEPT_AGAIN_AFTER_S, self._listen)

    def _listen(self) -> None:
        self._server.loop.add_reader(self._socket.fileno(), self._accept)
