"""The admin port over a real socket, in a loop that keeps its signals."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from proxy.console.app import admin_app, admin_server, listen
from proxy.metrics import Metrics, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def test_it_serves_and_stops() -> None:
    metrics = Metrics(version="1.2.3", started=0.0)

    async def snapshot() -> Snapshot:
        return metrics.snapshot(1.0)

    async def problems() -> Sequence[str]:
        return ()

    before = signal.getsignal(signal.SIGTERM)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = admin_server(admin_app(snapshot=snapshot, problems=problems))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        head, body = await ask(port, b"GET /metrics HTTP/1.1")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"\r\nserver:" not in head.lower()
        assert b'pgwarden_build_info{version="1.2.3"} 1.0' in body
        head, body = await ask(port, b"HEAD / HTTP/1.1")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b""
        head, _ = await ask(port, b"POST / HTTP/1.1")
        assert head.startswith(b"HTTP/1.1 405")
        head, _ = await ask(port, b"\x00\x01 not http")
        assert head.startswith(b"HTTP/1.1 400")
        server.should_exit = True
    assert signal.getsignal(signal.SIGTERM) is before
