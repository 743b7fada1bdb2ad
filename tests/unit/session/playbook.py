"""A conversation as a transcript: the client sends, Postgres answers, what came of it.

Messages are written as short lines ("Q SELECT 1", "P s SELECT 1", "Z I") and read back
in the same form by a small decoder of this file's own, so that a mistake in
`proxy.wire` can't hide itself. Verdicts come from a real Judge with a shipped policy.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from proxy.audit.records import SessionRecords
from proxy.metrics import Metrics
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.session.session import Limits, Session
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.session.surroundings import Surroundings

TOKEN = "tttt"
STAND_IN = re.compile(rb"pgwarden_tttt_(\d+)")


def frame(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">i", len(body) + 4) + body


# --- what a client sends ------------------------------------------------------


def query(text: str | bytes) -> bytes:
    return frame("Q", _bytes(text) + b"\0")


def parse(text: str | bytes, name: str = "") -> bytes:
    return frame("P", name.encode() + b"\0" + _bytes(text) + b"\0\0\0")


def bind(statement: str = "", portal: str = "", *values: bytes | None) -> bytes:
    body = portal.encode() + b"\0" + statement.encode() + b"\0\0\0"
    body += struct.pack(">H", len(values))
    for value in values:
        body += struct.pack(">i", -1 if value is None else len(value)) + (value or b"")
    return frame("B", body + b"\0\0")


def execute(portal: str = "", rows: int = 0) -> bytes:
    return frame("E", portal.encode() + b"\0" + struct.pack(">i", rows))


def describe(kind: str, name: str = "") -> bytes:
    return frame("D", kind.encode() + name.encode() + b"\0")


def close(kind: str, name: str = "") -> bytes:
    return frame("C", kind.encode() + name.encode() + b"\0")


def copy_data(data: bytes = b"1\n") -> bytes:
    return frame("d", data)


def copy_fail(reason: str = "no") -> bytes:
    return frame("f", reason.encode() + b"\0")


def run(text: str, *, name: str = "", portal: str = "", rows: int = 0) -> bytes:
    """Parse, Bind and Execute of a text, without Sync."""
    return parse(text, name) + bind(name, portal) + execute(portal, rows)


SYNC = frame("S")
FLUSH = frame("H")
COPY_DONE = frame("c")
TERMINATE = frame("X")
FUNCTION_CALL = frame("F", struct.pack(">IHHH", 2078, 0, 0, 0))


# --- what Postgres answers ----------------------------------------------------

PARSED = frame("1")
BOUND = frame("2")
CLOSED = frame("3")
NO_DATA = frame("n")
SUSPENDED = frame("s")
EMPTY = frame("I")
COPY_IN = frame("G", b"\0\0\0")
COPY_OUT = frame("H", b"\0\0\0")
COLUMNS = frame("T", b"\0\0")
ROW = frame("D", b"\0\0")


def parameters() -> bytes:
    return frame("t", b"\0\0")


def done(tag: str) -> bytes:
    return frame("C", tag.encode() + b"\0")


def ready(status: str = "I") -> bytes:
    return frame("Z", status.encode())


def failed(
    sqlstate: str = "22012",
    message: str = "division by zero",
    *,
    severity: str = "ERROR",
    position: int = 0,
) -> bytes:
    fields = [f"S{severity}", f"V{severity}", f"C{sqlstate}", f"M{message}"]
    if position:
        fields.append(f"P{position}")
    return frame("E", "\0".join(fields).encode() + b"\0\0")


def no_such(serial: int, **change: Any) -> bytes:
    """The syntax error that Postgres gives for the stand-in of this number."""
    message = f'syntax error at or near "pgwarden_{TOKEN}_{serial}"'
    settings: dict[str, Any] = {"position": 1} | change
    return failed("42601", message, **settings)


def reported(name: str, value: str) -> bytes:
    return frame("S", name.encode() + b"\0" + value.encode() + b"\0")


# --- reading it back ----------------------------------------------------------


def split(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Whole messages as (type, body); a rest is an error."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from(">i", data, position + 1)
        end = position + 1 + length
        assert length >= 4, data[position:]
        assert end <= len(data), data[position:]
        yield chr(data[position]), data[position + 5 : end]
        position = end


def client_lines(data: bytes) -> list[str]:
    return [_client_line(kind, body) for kind, body in split(data)]


def server_lines(data: bytes) -> list[str]:
    return [_server_line(kind, body) for kind, body in split(data)]


def _client_line(kind: str, body: bytes) -> str:
    body = STAND_IN.sub(rb"<\1>", body)
    if kind == "B":
        portal, statement = body.split(b"\0")[:2]
        return _line("B", portal, statement)
    if kind == "P":
        name, text = body.split(b"\0")[:2]
        return _line("P", name, text)
    if kind == "E":
        return _line("E", body[:-5], str(struct.unpack(">i", body[-4:])[0]).encode())
    if kind == "d":
        return f"d {len(body)}"
    return _line(kind, body.rstrip(b"\0"))


def _server_line(kind: str, body: bytes) -> str:
    if kind == "E":
        fields = error_fields(body)
        return f"{fields['V']} {fields['C']} {fields['M']}"
    if kind in "CZ":
        return _line(kind, body.rstrip(b"\0"))
    return kind


def error_fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def _line(kind: str, *parts: bytes) -> str:
    return " ".join([kind, *(part.decode() for part in parts)]).rstrip()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


# --- the session --------------------------------------------------------------


@cache
def judge_of(role: str, policy: str = "production") -> Judge:
    """A real judge; its cache is shared by the tests of a process."""
    text = policy_path(policy).read_text("utf-8")
    return Judge(Policy(load(text, source=policy)), role, database="shop")


class Playbook:
    """A session with its shell: records are written first, then the bytes leave."""

    def __init__(
        self,
        role: str = "developer",
        *,
        judge: Judge | None = None,
        limits: Limits | None = None,
        watched: dict[str, str] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        made = SessionRecords(
            "s1",
            identity="dev",
            role=role,
            database="shop",
            application_name="t",
            client_address="::1",
        )
        ticks = itertools.count()
        self.session = Session(
            judge or judge_of(role),
            made,
            token=TOKEN,
            clock=lambda: float(next(ticks)),
            tally=Metrics(version="test", started=0.0).tally,
            limits=limits,
            watched=watched,
            surroundings=surroundings,
        )
        self.log_is_full = False
        self.records: list[dict[str, Any]] = []
        self.sent = b""
        self.seen = b""
        self._looked_at = [0, 0, 0]

    def client(self, *messages: bytes) -> Self:
        """The client sends, in one segment."""
        self.session.from_frontend(b"".join(messages))
        return self._commit()

    def server(self, *messages: bytes) -> Self:
        """Postgres answers, in one segment."""
        self.session.from_backend(b"".join(messages))
        return self._commit()

    def lost(self) -> Self:
        """One side is gone."""
        self.session.lost()
        return self._commit()

    def _commit(self) -> Self:
        session = self.session
        if session.records:
            if self.log_is_full:
                session.refuse_unrecorded()
            written = b"[" + b",".join(b"{%b}" % r for r in session.records) + b"]"
            self.records += json.loads(written)
            session.records = []
        session.committed()
        self.sent += b"".join(session.to_backend)
        session.to_backend = []
        self.seen += b"".join(session.to_frontend)
        session.to_frontend = []
        return self

    # --- what came of it since the last look ---

    def forwarded(self) -> list[str]:
        """What left for Postgres; a stand-in shows as <serial>."""
        lines = client_lines(self.sent)
        start, self._looked_at[0] = self._looked_at[0], len(lines)
        return lines[start:]

    def shown(self) -> list[str]:
        """What the client was sent."""
        lines = server_lines(self.seen)
        start, self._looked_at[1] = self._looked_at[1], len(lines)
        return lines[start:]

    def recorded(self) -> list[str]:
        """What went into the audit log."""
        start, self._looked_at[2] = self._looked_at[2], len(self.records)
        return [_record_line(record) for record in self.records[start:]]

    def is_held(self) -> bool:
        """Whether the client's messages wait for an answer of Postgres."""
        return self.session.held

    def ending(self) -> str:
        """SQLSTATE with which the session ends; "quietly", or "" while it lasts."""
        ending = self.session.ending
        if ending is None:
            return ""
        return ending.report.sqlstate if ending.report else "quietly"


def _record_line(record: dict[str, Any]) -> str:
    if record["kind"] == "internal":
        return f"internal {record['purpose']}"
    serial = record["audit_id"].rpartition("-")[2]
    if record["kind"] == "outcome":
        what = record.get("sqlstate") or record.get("tag", "")
        return f"{serial} {record['status']} {what}".rstrip()
    rule = "" if record["decision"] == "allow" else record["rule"]
    parts = (serial, record["decision"], record["message"], rule, record["text"])
    return " ".join(part for part in parts if part)
