"""What the parent and its workers say to each other over a socket pair.

Frames of a four-byte length and a body whose first byte says what it is. The parent
asks for numbers and passes on CancelRequests that reached the wrong worker; a worker
whose parent is gone stops. Next: `proxy.server.supervisor`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from proxy.errors import PgwardenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_BYTES: Final = 16 * 1024 * 1024
"""A snapshot of every series that the ceilings allow stays far below."""


class Ready(Struct, tag=True):
    """A worker serves."""


class Welcome(Struct, tag=True):
    """The parent's first word: the key to made-up salts, the same in every worker.

    Otherwise an unknown name would show another salt at each worker, and a known one
    always the same.
    """

    mock_key: bytes


class NumbersWanted(Struct, tag=True):
    """The parent wants a snapshot."""


class Numbers(Struct, tag=True):
    """A worker's snapshot (`proxy.metrics.pack`) and what keeps it from being ready.

    `warnings` keep nobody out.
    """

    snapshot: bytes
    problems: list[str]
    warnings: list[str] = []


class Cancel(Struct, tag=True):
    """A CancelRequest for a session of another worker."""

    pid: int
    key: bytes


Note = Welcome | Ready | NumbersWanted | Numbers | Cancel

_decoder = msgspec.msgpack.Decoder(Note)


class BrokenControlError(PgwardenError):
    """The other side of the socket pair sent nonsense: a bug of ours."""


class Channel:
    """One end of the socket pair."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, note: Note) -> None:
        """Say something; nothing happens if the other side is gone."""
        if self._writer.is_closing():
            return  # uvloop would raise
        body = msgspec.msgpack.encode(note)
        self._writer.write(len(body).to_bytes(4, "big") + body)

    async def notes(self) -> AsyncIterator[Note]:
        """What the other side says, until it is gone.

        Raises:
            BrokenControlError: a frame makes no sense.
        """
        while True:
            try:
                size = int.from_bytes(await self._reader.readexactly(4), "big")
                if size > MOST_BYTES:
                    raise BrokenControlError("a control frame is too large")
                yield _decoder.decode(await self._reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            except msgspec.DecodeError as error:
                raise BrokenControlError("a control frame makes no sense") from error

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
