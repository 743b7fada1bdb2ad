"""A client that speaks raw protocol and writes down both sides, as PQtrace does.

What changes from run to run (keys, nonces, versions, audit ids) is left out.
"""

from __future__ import annotations

import re
import secrets
import select
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Self

from proxy.auth.scram_client import ClientExchange
from tests.unit.session.playbook import client_lines, error_fields, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.wire.startup import FirstPacket

ANSWERS = {
    "1": "ParseComplete",
    "2": "BindComplete",
    "3": "CloseComplete",
    "A": "NotificationResponse",
    "C": "CommandComplete",
    "D": "DataRow",
    "E": "ErrorResponse",
    "G": "CopyInResponse",
    "H": "CopyOutResponse",
    "I": "EmptyQueryResponse",
    "K": "BackendKeyData",
    "N": "NoticeResponse",
    "R": "Authentication",
    "S": "ParameterStatus",
    "T": "RowDescription",
    "Z": "ReadyForQuery",
    "c": "CopyDone",
    "d": "CopyData",
    "n": "NoData",
    "s": "PortalSuspended",
    "t": "ParameterDescription",
    "v": "NegotiateProtocolVersion",
}
REQUESTS = {
    "Q": "Query",
    "P": "Parse",
    "B": "Bind",
    "E": "Execute",
    "D": "Describe",
    "C": "Close",
    "S": "Sync",
    "H": "Flush",
    "F": "FunctionCall",
    "c": "CopyDone",
    "d": "CopyData",
    "f": "CopyFail",
    "X": "Terminate",
}
LONGEST_S = 10.0
AUTHENTICATION = {0: "Ok", 10: "SASL", 11: "SASLContinue", 12: "SASLFinal"}


class Speaker:
    """One connection, and what was said on it so far."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=LONGEST_S)
        self._rest = b""
        self._bodies: list[tuple[str, bytes]] = []
        self.lines: list[str] = []
        self.key = (0, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    # --- before and during the login ---

    def ask(self, packet: FirstPacket, *, extra: bytes = b"") -> str:
        """An SSLRequest or the like; the answer is one byte, or the end."""
        behind = " and a byte too many" if extra else ""
        self.lines.append(f"F {type(packet).__name__}{behind}")
        self._socket.sendall(packet.encode() + extra)
        answer = self._socket.recv(1).decode()
        self.lines.append(f"B {answer or 'closed'}")
        return answer

    def start_tls(self, authority: str) -> None:
        context = ssl.create_default_context(cafile=authority)
        self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")
        self.lines.append("- TLS")

    def start(self, packet: FirstPacket) -> None:
        self.lines.append(f"F {_startup(packet)}")
        self._socket.sendall(packet.encode())

    def log_in(self, packet: FirstPacket, password: str) -> Self:
        self.start(packet)
        self.hear("R")
        exchange = ClientExchange(password, secrets.token_hex(9).encode())
        first = exchange.first()
        head = b"SCRAM-SHA-256\0" + struct.pack(">i", len(first))
        self._say("SASLInitialResponse SCRAM-SHA-256", frame("p", head + first))
        _, body = self.hear("R")
        final = exchange.respond(exchange.challenge(body[4:]).derive())
        self._say("SASLResponse", frame("p", final))
        self.hear("ZE")
        return self

    # --- the conversation ---

    def say(self, *messages: bytes) -> Self:
        """Send in one segment."""
        for line in client_lines(b"".join(messages)):
            name = REQUESTS[line[0]]
            what = "" if line[0] == "F" else line[2:].replace("\0", "\\0")
            self.lines.append(f"F {name} {what}".rstrip())
        self._socket.sendall(b"".join(messages))
        return self

    def _say(self, line: str, message: bytes) -> None:
        self.lines.append(f"F {line}")
        self._socket.sendall(message)

    def hear(self, until: str, *, times: int = 1) -> tuple[str, bytes]:
        """Up to the `times`-th message of a type in `until`; "" is up to the end."""
        while True:
            while not self._bodies:
                if not self._receive():
                    self.lines.append("B closed")
                    return "", b""
            kind, body = self._bodies.pop(0)
            self.lines.append(f"B {self._line(kind, body)}")
            if kind in until:
                times -= 1
                if not times:
                    return kind, body

    def _receive(self) -> bool:
        if not select.select([self._socket], [], [], LONGEST_S)[0]:
            raise TimeoutError(self.lines)
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._rest += data
        while len(self._rest) >= 5:
            end = 1 + int.from_bytes(self._rest[1:5])
            if len(self._rest) < end:
                break
            self._bodies.append((chr(self._rest[0]), self._rest[5:end]))
            self._rest = self._rest[end:]
        return bool(data)

    def _line(self, kind: str, body: bytes) -> str:
        if kind == "K":
            self.key = (int.from_bytes(body[:4]), body[4:])
        shown = SHOWN.get(kind)
        return f"{ANSWERS[kind]} {shown(body)}" if shown else ANSWERS[kind]


def _startup(packet: FirstPacket) -> str:
    parameters = getattr(packet, "parameters", {})
    shown = " ".join(k for k in parameters if k not in {"user", "database"})
    return f"StartupMessage 3.{getattr(packet, 'minor', 0)} {shown}".rstrip()


def _fields(body: bytes) -> str:
    fields = error_fields(body)
    shown = [f"{k} {fields[k]!r}" for k in "VCMDHP" if k in fields]
    return re.sub(r"audit id [\w-]+", "audit id ...", ", ".join(shown))


def _values(body: bytes) -> str:
    position, shown = 2, []
    for _ in range(int.from_bytes(body[:2])):
        length = int.from_bytes(body[position : position + 4], signed=True)
        position += 4
        value = body[position : position + max(length, 0)]
        shown.append(
            "NULL" if length < 0 else repr(value.decode("utf-8", "backslashreplace"))
        )
        position += max(length, 0)
    return " ".join(shown)


def _notification(body: bytes) -> str:
    channel, payload = body[4:].split(b"\0")[:2]
    return f"{channel.decode()} {payload.decode()}"


def _text(body: bytes) -> str:
    return body.rstrip(b"\0\n").decode()


SHOWN: dict[str, Callable[[bytes], str]] = {
    "A": _notification,
    "C": _text,
    "D": _values,
    "E": _fields,
    "K": lambda body: f"with a key of {len(body) - 4} bytes",
    "N": _fields,
    "R": lambda body: AUTHENTICATION[int.from_bytes(body[:4])],
    "S": lambda body: body.split(b"\0")[0].decode(),
    "T": lambda body: f"of {int.from_bytes(body[:2])}",
    "Z": _text,
    "d": _text,
    "v": lambda body: f"3.{int.from_bytes(body[:4]) & 0xFFFF}",
}
