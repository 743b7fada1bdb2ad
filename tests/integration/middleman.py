"""Somebody between pgwarden and Postgres who ends TLS on both sides and reads along."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PLUS = b"SCRAM-SHA-256-PLUS\0"


def honest(data: bytes) -> bytes:
    """Pass on what the server says."""
    return data


def without_plus(data: bytes) -> bytes:
    """Take SCRAM-SHA-256-PLUS off the server's offer."""
    if data[:1] != b"R" or _PLUS not in data:
        return data
    size = int.from_bytes(data[1:5], "big") - len(_PLUS)
    return b"R" + size.to_bytes(4, "big") + data[5:].replace(_PLUS, b"")


class Middleman:
    """Listens on a loopback port until it is closed."""

    def __init__(
        self,
        port: int,
        certificate: Path,
        key: Path,
        *,
        change: Callable[[bytes], bytes] = honest,
    ) -> None:
        self._upstream = port
        self._change = change
        self._shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._shown.load_cert_chain(certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.met = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.met += 1
                threading.Thread(
                    target=self._stand_between, args=(client,), daemon=True
                ).start()

    def _stand_between(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            assert client.recv(8) == SSL_REQUEST
            client.sendall(b"S")
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.check_hostname = False
            trusting.verify_mode = ssl.CERT_NONE
            with (
                self._shown.wrap_socket(client, server_side=True) as near,
                socket.create_connection(("127.0.0.1", self._upstream)) as plain,
            ):
                plain.sendall(SSL_REQUEST)
                assert plain.recv(1) == b"S"
                with trusting.wrap_socket(plain) as far:
                    self._relay(near, far)

    def _relay(self, near: ssl.SSLSocket, far: ssl.SSLSocket) -> None:
        while True:
            waiting = [each for each in (near, far) if each.pending()]
            ready = waiting or select.select([near, far], [], [], 20)[0]
            for side in ready:
                data = side.recv(65536)
                if not data:
                    return
                if side is near:
                    far.sendall(data)
                else:
                    near.sendall(self._change(data))
