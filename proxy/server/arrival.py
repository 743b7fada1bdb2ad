"""A connection that has just been accepted: who it is from, and what it begins with.

A listed balancer first says who its client is (`proxy.wire.proxy_protocol`). Then the
first byte is looked at, not read: direct TLS begins with 0x16, a Postgres packet with
the high byte of a small length, so one port serves both; asyncio can't take back bytes
that a protocol has been given. Next: `proxy.server.entrance`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from proxy.addresses import is_loopback
from proxy.auth.throttle import place_of
from proxy.errors import FrontendError
from proxy.server.entrance import Entrance
from proxy.wire.proxy_protocol import FIRST_VERSION, SIGNATURE, HeaderIntake

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxy.server.server import Server
    from proxy.server.unfinished import Seat
    from proxy.wire.proxy_protocol import ProxyHeader

_log = structlog.get_logger("listener")

TLS_HANDSHAKE: Final = 0x16
"""TLS record type of a ClientHello: RFC 8446 section 5.1."""
HELD_WAIT_S: Final = 1.0
"""A person can bear it; each place of an attacker is good for one try a second."""
_ENOUGH: Final = len(SIGNATURE)


class Origin(NamedTuple):
    """Where a connection comes from.

    Attributes:
        address: the client's, numeric: everything goes by it.
        port: the client's.
        peer: of who is at the other end of the connection: the client's, or a
            balancer's.
    """

    address: str
    port: int
    peer: str

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine, and every part of the way there."""
        return is_loopback(self.address) and is_loopback(self.peer)


class Arrival:
    """One of them, until its first byte."""

    def __init__(
        self,
        server: Server,
        client: socket.socket,
        *,
        origin: Origin,
        ended: Callable[[Arrival], None],
    ) -> None:
        """Begin; `start` waits.

        Args:
            server: see there.
            client: not blocking.
            origin: as the socket has it.
            ended: told once, whatever becomes of it.
        """
        self._server = server
        self._client = client
        self._origin = origin
        self._ended = ended
        self._intake = HeaderIntake() if server.is_balancer(origin.peer) else None
        self._seat: Seat | None = None
        self._has_waited = self._is_gone = False
        self._waiting: asyncio.TimerHandle | None = None
        self._timer = server.loop.call_later(
            server.settings.limits.first_packet_s, self._silent
        )

    def start(self, seat: Seat) -> None:
        """Wait for the first byte."""
        self._seat = seat
        self._server.loop.add_reader(self._client.fileno(), self._look)

    def _wait_if_held(self) -> bool:
        """Let a client that can only be refused wait first, unread and unanswered.

        Else a storm of them takes the processor from those who are to come in.
        """
        place = place_of(self._origin.address)
        if self._has_waited or not self._server.door.is_held(place):
            return False
        self._has_waited = True
        loop, number = self._server.loop, self._client.fileno()
        loop.remove_reader(number)
        self._waiting = loop.call_later(
            HELD_WAIT_S, loop.add_reader, number, self._look
        )
        return True

    def leave(self) -> None:
        """Send away; nobody knows yet whether it speaks Postgres."""
        self._is_gone = True
        self._stop()
        self._close()

    def _silent(self) -> None:
        self._server.metrics.login("timeout")
        self.leave()

    def _stop(self) -> None:
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        self._server.loop.remove_reader(self._client.fileno())
        self._ended(self)

    def _close(self) -> None:
        if self._seat is not None:
            self._seat.release()
        self._client.close()

    def _look(self) -> None:
        if self._intake is not None and not self._is_told(self._intake):
            return
        if self._wait_if_held():
            return
        try:
            first = self._client.recv(_ENOUGH, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        self._stop()
        if not first:
            self._close()
        elif SIGNATURE.startswith(first[:_ENOUGH]) or first.startswith(FIRST_VERSION):
            # As a Postgres packet either would be of 200 MB or more.
            self._refuse("a PROXY header, from an address that is not listed for it")
        else:
            is_tls = first[0] == TLS_HANDSHAKE
            self._server.tasks.start(self._enter(is_tls=is_tls))

    def _is_told(self, intake: HeaderIntake) -> bool:
        """Take what has come of the balancer's header; whether it is whole."""
        try:
            data = self._client.recv(intake.wanted)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.leave()
            return False
        try:
            header = intake.feed(data)
            if header is None:
                return False
            self._intake = None
            self._origin = self._named(header)
        except FrontendError as error:
            self._stop()
            self._refuse(error.message)
            return False
        place = place_of(self._origin.address).address
        if self._seat is not None and not self._server.door.move(self._seat, place):
            self.leave()
            return False
        return True

    def _named(self, header: ProxyHeader) -> Origin:
        """The origin that a balancer has told."""
        peer = self._origin.peer
        if not header.address:
            return self._origin
        if is_loopback(header.address) and not is_loopback(peer):
            # True on its machine; here it would make a stranger one of ours.
            raise FrontendError("PROXY header with a loopback address from elsewhere")
        return Origin(header.address, header.port, peer)

    def _refuse(self, why: str) -> None:
        """After `_stop`."""
        self._server.metrics.login("error")
        _log.warning("proxy_header_refused", peer=self._origin.peer, why=why)
        self._close()

    async def _enter(self, *, is_tls: bool) -> None:
        server, seat = self._server, self._seat
        tls = server.tls if is_tls else None
        if seat is None or self._is_gone:
            return
        if is_tls and tls is None:
            server.metrics.login("error")
            _log.info(
                "tls_failed",
                client=self._origin.address,
                error="there is no certificate",
            )
            self._close()
            return
        entrance = Entrance(server, self._origin, tls=tls, seat=seat)
        entrance.hang_up = self._hang_up
        try:
            await server.loop.connect_accepted_socket(
                lambda: entrance,
                self._client,
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=(
                    server.settings.limits.first_packet_s if is_tls else None
                ),
            )
        except (ssl.SSLError, OSError) as error:
            entrance.failed(error)
            self._client.close()

    def _hang_up(self) -> None:
        """The event loop has the socket, and sees that nothing more comes."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
