"""A client that logs in by hand over TLS, and somebody in the middle of others' logins.

`Knocker` says each message of a login by itself; `Middle` ends the TLS of real clients
with a certificate of its own and passes on what they say.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from proxy.wire import messages
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import SSLRequest, StartupMessage
from tests.scram_speaker import END_POINT, ScramSpeaker

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 10.0
PLUS, PLAIN = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"


def lenient(chain: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client's context that trusts anyone, and shows `chain` (certificate, key)."""
    # Not the default context: it reads the system's authorities, for 30 ms.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if chain is not None:
        context.load_cert_chain(*chain)
    return context


class Knocker:
    """One connection before and during its login."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        source: str = "",
        before: bytes = b"",
    ) -> None:
        """Connect from `source`; `before` is what a balancer says first."""
        self.socket: socket.socket = socket.create_connection(
            (host, port), WAIT_S, (source, 0) if source else None
        )
        # As every client does; or the second of two messages waits for an ACK, 40 ms.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(before)
        self.certificate = b""
        """The server's, as DER."""
        self.is_taken_up: bool | None = None
        """Whether the TLS session is an old one."""
        self._rest = b""
        if tls is not None:
            self.socket.sendall(SSLRequest().encode())
            assert self.socket.recv(1) == b"S"
            secure = tls.wrap_socket(self.socket, session=session)
            self.is_taken_up = secure.session_reused
            self.certificate = secure.getpeercert(binary_form=True) or b""
            self.socket = secure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def start(self, user: str, database: str = "postgres") -> Self:
        packet = StartupMessage(0, {"user": user, "database": database}, ())
        self.socket.sendall(packet.encode())
        return self

    def send(self, message: bytes) -> Self:
        self.socket.sendall(message)
        return self

    def hear(self) -> tuple[str, bytes]:
        """The next message; ("", b"") at the end."""
        while True:
            if len(self._rest) >= 5:
                (length,) = struct.unpack("!i", self._rest[1:5])
                if len(self._rest) > length:
                    kind, body = chr(self._rest[0]), self._rest[5 : 1 + length]
                    self._rest = self._rest[1 + length :]
                    return kind, body
            try:
                data = self.socket.recv(1 << 16)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                return "", b""
            self._rest += data

    def asked(self) -> messages.Authentication:
        """The next message, which is a question of the login."""
        kind, body = self.hear()
        if kind == "E":
            raise AssertionError(parse_error_fields(body))
        assert kind == "R", kind
        return messages.decode_authentication(body)

    def error(self) -> dict[str, str]:
        """The error that ends the login."""
        while True:
            kind, body = self.hear()
            assert kind, "closed without a word"
            if kind == "E":
                return parse_error_fields(body)

    def offers(self) -> tuple[str, ...]:
        """The SASL mechanisms that are offered."""
        found = self.asked()
        assert isinstance(found, messages.AuthenticationSASL), found
        return found.mechanisms

    def prove(self, password: str, *, bound_to: bytes | None = None) -> Self:
        """Answer the offer; bound to a certificate's hash, or not."""
        flag = b"n" if bound_to is None else END_POINT
        scram = ScramSpeaker(password, flag=flag, bound_to=bound_to or b"")
        self.choose(PLAIN if bound_to is None else PLUS, scram.first())
        found = self.asked()
        assert isinstance(found, messages.AuthenticationSASLContinue), found
        return self.send(messages.SASLResponse(scram.final(found.data)).encode())

    def choose(self, mechanism: str, first: bytes) -> Self:
        return self.send(messages.SASLInitialResponse(mechanism, first).encode())

    def outcome(self) -> dict[str, str]:
        """What ends the login: its error, or {} where the server waits for a query."""
        while True:
            kind, body = self.hear()
            assert kind, "closed without a word"
            if kind == "Z":
                return {}
            if kind == "E":
                return parse_error_fields(body)

    def is_in(self) -> bool:
        """Whether the server says that it waits for a query."""
        while True:
            kind, _ = self.hear()
            if kind in {"", "E", "Z"}:
                return kind == "Z"


class Listening:
    """A port of loopback, each of whose clients is met in a thread of its own."""

    def __init__(self) -> None:
        """Listen from now on: what `meet` needs must be there already."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._meet, args=[client]).start()

    def _meet(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(WAIT_S)
            self.meet(client)

    def meet(self, client: socket.socket) -> None:
        """Talk to one client."""
        raise NotImplementedError


class Middle(Listening):
    """Listens with a certificate of its own and passes on to a server, over TLS too.

    It reads everything. With `strip` it takes SCRAM-SHA-256-PLUS out of the offer.
    """

    def __init__(
        self, host: str, port: int, chain: tuple[Path, Path], *, strip: bool = False
    ) -> None:
        self._server = (host, port)
        self._strip = strip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*chain)
        super().__init__()

    @override
    def meet(self, client: socket.socket) -> None:
        assert client.recv(8) == SSLRequest().encode()
        client.sendall(b"S")
        with (
            self._context.wrap_socket(client, server_side=True) as near,
            Knocker(*self._server, tls=lenient()) as far,
        ):
            self._relay(near, far.socket)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        """Both directions in one thread: OpenSSL wants one at a time."""
        sides = ((near, far), (far, near))
        while True:
            select.select([near, far], [], [], 0.02)
            for source, sink in sides:
                data = _at_hand(source)
                if data is None:
                    continue
                if self._strip and data[:1] == b"R" and PLUS.encode() in data:
                    data = messages.AuthenticationSASL((PLAIN,)).encode()
                sink.settimeout(WAIT_S)
                sink.sendall(data)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return


def _at_hand(source: socket.socket) -> bytes | None:
    """What has arrived; None if nothing has, b"" at the end."""
    source.setblocking(False)
    try:
        return source.recv(1 << 16)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return b""
