"""The pair of sockets between a parent and its workers, when one of them is gone."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from proxy.server.control import Channel, NumbersWanted


def test_a_note_to_somebody_who_is_gone_is_lost() -> None:
    """A worker was killed, and /metrics is asked before its parent has noticed."""

    async def speak() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(*await asyncio.open_unix_connection(sock=ours))
        theirs.close()
        assert [note async for note in channel.notes()] == []
        for _ in range(3):
            channel.send(NumbersWanted())
            await asyncio.sleep(0.01)
        channel.close()

    uvloop.run(speak())
