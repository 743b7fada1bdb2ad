"""A client from another address: a relay that dials the server from 127.0.0.2.

All of 127.0.0.0/8 is this machine, and Postgres tells its addresses apart.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster

ELSEWHERE = "127.0.0.2"


@contextmanager
def relayed(cluster: Cluster, source: str = ELSEWHERE) -> Iterator[int]:
    """The port of a relay to `cluster`, which sees it come from `source`."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = [listener]

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(
                    (cluster.host, cluster.port), source_address=(source, 0)
                )
            except OSError:
                return
            ends.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        for each in ends:
            _close(each)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass  # the other side has gone
    _close(target)


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already
    end.close()
