"""A wire tap: passes bytes between a tool and Postgres, and notes what the tool says.

It changes nothing but the answer to "TLS?", which is no. For each connection it keeps
the startup parameters and every statement text with the form it came in, the
transaction status at that moment, and the SQLSTATE if Postgres did not like it; and
each run of a text, in order, with the values that were bound.
Next: `tests.corpus.sift`, which makes a corpus out of this.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from proxy.wire.queries import Bind
from proxy.wire.startup import (
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
    decode_first_packet,
    packet_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16


@dataclass(slots=True)
class Said:
    """One statement text.

    Attributes:
        text: as the client sent it.
        form: simple, extended (the unnamed statement) or named.
        types: OIDs of parameters that a Parse declares.
        status: I, T or E, as the last ReadyForQuery before it said.
        is_run: executed; an extended text may only have been described.
        sqlstate: of the first error in answer to it.
        name: of the prepared statement.
        portals: names that Binds gave to portals of it.
    """

    text: str
    form: str
    types: tuple[int, ...] = ()
    status: str = "I"
    is_run: bool = False
    sqlstate: str = ""
    name: str = ""
    portals: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ran:
    """One run of a text: a Query, or the Execute of a portal.

    Attributes:
        text, form, status, sqlstate: as of `Said`.
        binds: format (0 text, 1 binary) and value of each parameter.
    """

    text: str
    form: str
    status: str
    binds: tuple[tuple[int, bytes | None], ...] = ()
    sqlstate: str = ""


@dataclass(slots=True)
class Conversation:
    """One connection of a tool."""

    startup: dict[str, str]
    said: list[Said] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    function_calls: list[int] = field(default_factory=list)
    """OIDs of functions called by the protocol's own message, which has no text."""


class Ear:
    """Understands both directions of one connection after its startup packet."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._lock = threading.Lock()
        self._statements: dict[bytes, Said] = {}
        self._portals: dict[bytes, tuple[Said, Bind]] = {}
        self._waiting: deque[tuple[str, Said | None, Ran | None]] = deque()
        self._status = "I"
        self._rest = {"frontend": b"", "backend": b""}

    def hear(self, side: str, data: bytes) -> None:
        with self._lock:
            for kind, body in self._frames(side, data):
                if side == "frontend":
                    self._asked(kind, body)
                else:
                    self._answered(kind, body)

    def _frames(self, side: str, data: bytes) -> Iterator[tuple[str, bytes]]:
        data = self._rest[side] + data
        position = 0
        while position + 5 <= len(data):
            end = position + 1 + int.from_bytes(data[position + 1 : position + 5])
            if end > len(data):
                break
            yield chr(data[position]), data[position + 5 : end]
            position = end
        self._rest[side] = data[position:]

    def _asked(self, kind: str, body: bytes) -> None:
        about: Said | None = None
        ran: Ran | None = None
        match kind:
            case "Q":
                about = self._keep(Said(_text(body), "simple", is_run=True))
                ran = self._run(about)
            case "P":
                name, text, rest = body.split(b"\0", 2)
                form = "named" if name else "extended"
                about = Said(_text(text), form, _types(rest), name=name.decode())
                self._keep(about)
                self._statements[name] = about
            case "B":
                bind = Bind.decode(body)
                about = self._statements.get(bind.statement)
                if about is not None:
                    self._portals[bind.portal] = about, bind
                    if bind.portal:
                        about.portals.append(bind.portal.decode())
            case "E":
                opened = self._portals.get(body.split(b"\0", 1)[0])
                if opened is not None:
                    about, bind = opened
                    about.is_run = True
                    ran = self._run(about, _values(bind))
            case "F":
                oid = int.from_bytes(body[:4])
                self._conversation.function_calls.append(oid)
            case "D" | "C" | "S":
                pass
            case _:
                return
        self._waiting.append((kind, about, ran))

    def _run(
        self, about: Said, binds: tuple[tuple[int, bytes | None], ...] = ()
    ) -> Ran:
        ran = Ran(about.text, about.form, self._status, binds)
        self._conversation.ran.append(ran)
        return ran

    def _keep(self, said: Said) -> Said:
        said.status = self._status
        self._conversation.said.append(said)
        return said

    def _answered(self, kind: str, body: bytes) -> None:
        match kind:
            case "E":
                self._failed(_sqlstate(body))
            case "Z":
                self._status = chr(body[0])
                while self._waiting and self._waiting.popleft()[0] not in "QSF":
                    pass
            case "1" | "2" | "3" | "T" | "n" | "s" | "C" | "I":
                # within a simple Query only ReadyForQuery ends it
                if self._waiting and self._waiting[0][0] not in "QSF":
                    self._waiting.popleft()
            case _:
                pass

    def _failed(self, sqlstate: str) -> None:
        if not self._waiting:
            return
        _, about, ran = self._waiting[0]
        for one in (about, ran):
            if one is not None and not one.sqlstate:
                one.sqlstate = sqlstate
        while self._waiting and self._waiting[0][0] not in "QSF":
            self._waiting.popleft()  # Postgres skips to Sync


def _text(body: bytes) -> str:
    return body.rstrip(b"\0").decode("utf-8")


def _values(bind: Bind) -> tuple[tuple[int, bytes | None], ...]:
    formats = bind.parameter_formats or (0,)
    if len(formats) == 1:
        formats = formats * len(bind.parameters)
    return tuple(zip(formats, bind.parameters, strict=True))


def _types(rest: bytes) -> tuple[int, ...]:
    (count,) = struct.unpack_from("!H", rest)
    return struct.unpack_from(f"!{count}I", rest, 2)


def _sqlstate(body: bytes) -> str:
    for part in body.split(b"\0"):
        if part[:1] == b"C":
            return part[1:].decode()
    return "XX000"


class Tap:
    """Listens on a port of its own and leads to one server; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._conversations: list[Conversation] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def take(self) -> list[Conversation]:
        """The conversations so far; the next call gives those that came after."""
        taken, self._conversations = self._conversations, []
        return taken

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        packet = _packet(client)
        while packet in {SSLRequest().encode(), GSSENCRequest().encode()}:
            client.sendall(b"N")
            packet = _packet(client)
        if not packet:
            client.close()
            return
        server = socket.create_connection(self._upstream)
        server.sendall(packet)
        ear: Ear | None = None
        if isinstance(first := decode_first_packet(packet), StartupMessage):
            conversation = Conversation(first.parameters)
            self._conversations.append(conversation)
            ear = Ear(conversation)
        backwards = threading.Thread(
            target=_pump, args=(server, client, ear, "backend"), daemon=True
        )
        backwards.start()
        _pump(client, server, ear, "frontend")
        backwards.join()
        client.close()
        server.close()


def _packet(client: socket.socket) -> bytes:
    """A packet without a type; nothing if the client is gone."""
    data = b""
    while (length := packet_length(data)) is None or len(data) < length:
        part = client.recv((length or 4) - len(data))
        if not part:
            return b""
        data += part
    return data


def _pump(
    source: socket.socket, target: socket.socket, ear: Ear | None, side: str
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            if ear is not None:
                ear.hear(side, data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
