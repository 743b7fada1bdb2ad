"""Accept clients, and look at their first byte before anything reads it.

Direct TLS begins with 0x16, a Postgres packet with the high byte of a small length, so
one port serves both; asyncio can't take back bytes that a protocol has been given.
Next: `proxy.server.entrance`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import structlog

from proxy.errors import ConfigError, reason_of
from proxy.server.entrance import Entrance
from proxy.server.sockets import prepare

if TYPE_CHECKING:
    import asyncio

    from proxy.addresses import Address
    from proxy.server.server import Server

_log = structlog.get_logger("listener")

TLS_HANDSHAKE = 0x16
"""TLS record type of a ClientHello: RFC 8446 section 5.1."""
BACKLOG = 512
ACCEPTS_A_TURN = 64
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
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._pausing: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept no more; who has not sent a byte is sent away."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._server.loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for client in list(self._waiting):
            self._stop_waiting(client)
            client.close()

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
            server = self._server
            unfinished = len(self._waiting) + len(server.entrances)
            if unfinished >= server.settings.limits.unfinished_logins:
                server.metrics.login("refused")
                client.close()
                continue
            client.settimeout(0)
            prepare(client)
            self._waiting[client] = server.loop.call_later(
                server.settings.limits.login_timeout_s, self._silent, client
            )
            server.loop.add_reader(client.fileno(), self._look, client, where)

    def _pause(self) -> None:
        loop = self._server.loop
        loop.remove_reader(self._socket.fileno())
        self._pausing = loop.call_later(ACCEPT_AGAIN_AFTER_S, self._listen)

    def _listen(self) -> None:
        self._server.loop.add_reader(self._socket.fileno(), self._accept)

    def _silent(self, client: socket.socket) -> None:
        self._server.metrics.login("timeout")
        self._stop_waiting(client)
        client.close()

    def _stop_waiting(self, client: socket.socket) -> None:
        self._waiting.pop(client).cancel()
        self._server.loop.remove_reader(client.fileno())

    def _look(self, client: socket.socket, where: tuple[str, int]) -> None:
        try:
            first = client.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        self._stop_waiting(client)
        if not first:
            client.close()
            return
        is_tls = first[0] == TLS_HANDSHAKE
        self._server.tasks.start(self._enter(client, where, is_tls=is_tls))

    async def _enter(
        self, client: socket.socket, where: tuple[str, int], *, is_tls: bool
    ) -> None:
        server = self._server
        tls = server.tls if is_tls else None
        address = where[0].removeprefix("::ffff:")
        if is_tls and tls is None:
            server.metrics.login("error")
            _log.info("tls_failed", client=address, error="there is no certificate")
            client.close()
            return
        entrance = Entrance(server, address, where[1], tls=tls)
        try:
            await server.loop.connect_accepted_socket(
                lambda: entrance,
                client,
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=(
                    server.settings.limits.login_timeout_s if is_tls else None
                ),
            )
        except (ssl.SSLError, OSError) as error:
            entrance.failed(error)
            client.close()
