"""A client that sends bytes as they are: libpq logs in, then the socket is ours.

`talk` plays one script and gives the messages that came back, whatever their number,
so that a bare Postgres and pgwarden can be compared message by message.
"""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, Self

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

ASYNCHRONOUS = frozenset("NSA")
"""Notices, ParameterStatus, notifications: their place is not fixed."""
QUIET_S = 0.05
"""So long nothing comes before "nothing more comes" is believed."""
LONGEST_S = 10.0


class RawClient:
    """One logged-in connection, spoken to in bytes."""

    def __init__(self, dsn: str) -> None:
        """Log in, then take the socket from libpq."""
        self._login = psycopg.connect(dsn, autocommit=True, sslmode="disable")
        self.socket = socket.socket(fileno=os.dup(self._login.pgconn.socket))
        self.socket.setblocking(True)
        self._rest = b""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._login.pgconn.finish()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def receive(
        self, until: str = "", *, times: int = 1, last: bytes = b""
    ) -> list[tuple[str, bytes]]:
        """Messages up to the `times`-th of a type in `until`, or until it is quiet.

        With `last`: up to the ReadyForQuery after a DataRow that ends in it.
        """
        got: list[tuple[str, bytes]] = []
        if last:
            until, times = "Z", 1 << 30
        while True:
            for message in self._whole():
                got.append(message)
                if last and message[0] == "D" and message[1].endswith(last):
                    times = 1
                times -= message[0] in until
            if (until and times <= 0) or self.closed:
                return got
            wait = LONGEST_S if until else QUIET_S
            if not select.select([self.socket], [], [], wait)[0]:
                return got
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
            self._rest += data

    def _whole(self) -> Sequence[tuple[str, bytes]]:
        data, position, got = self._rest, 0, []
        while position + 5 <= len(data):
            end = position + 1 + int.from_bytes(data[position + 1 : position + 5])
            if end > len(data):
                break
            got.append((chr(data[position]), data[position + 5 : end]))
            position = end
        self._rest = data[position:]
        return got
