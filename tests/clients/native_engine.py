"""Prisma's native schema engine, played on the wire: its binary is not always there.

What it sends is known from its sources (prisma-engines, sql-schema-connector, and
quaint for the driver): the rows of history as prepared statements s0, s1 and so on with
values in binary, and each migration's whole file as one Query.
Next: `tests.protocol.speaker`.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from proxy.wire.startup import StartupMessage
from tests.protocol.speaker import Speaker
from tests.unit.session.playbook import (
    SYNC,
    close,
    describe,
    execute,
    frame,
    parse as parse_message,
    query as query_message,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.proving import Side

_PROBE = (
    "SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(),"
    " current_setting('server_version_num')::integer as numeric_version;"
)
_READ = (
    'SELECT "id", "checksum", "finished_at", "migration_name", "logs",'
    ' "rolled_back_at", "started_at", "applied_steps_count" FROM "_prisma_migrations"'
    ' ORDER BY "started_at" ASC'
)
_ANNOUNCE = (
    'INSERT INTO "_prisma_migrations"'
    ' ("id","checksum","started_at","migration_name") VALUES ($1,$2,$3,$4)'
)
_STEP = (
    'UPDATE "_prisma_migrations" SET "applied_steps_count" ='
    ' ("applied_steps_count" + $1) WHERE "id" = $2'
)
_FINISH = 'UPDATE "_prisma_migrations" SET "finished_at" = $1 WHERE "id" = $2'
_FAILED = 'UPDATE "_prisma_migrations" SET "logs" = $1 WHERE "id" = $2'
_ROLLED_BACK = 'UPDATE "_prisma_migrations" SET "rolled_back_at" = $1 WHERE "id" = $2'
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class NativeEngine:
    """One `prisma migrate deploy`."""

    def __init__(self, side: Side) -> None:
        proxy = side.proxy
        self._speaker = Speaker(proxy.host, proxy.port)
        login = {"user": proxy.user("migrator"), "database": side.database}
        self._speaker.log_in(
            StartupMessage(0, {**login, "search_path": "public"}),
            proxy.password("migrator"),
        )
        self._serial = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._speaker.say(frame("X"))
        self._speaker.hear("")
        self._speaker.__exit__()

    def deploy(self, files: Mapping[str, str]) -> str:
        """Apply these files; the error that stopped it, or ""."""
        self.query("SELECT version()")
        self._run(_PROBE, b"public")
        self.query("SELECT pg_advisory_lock(72707369)")
        self._run(_READ)
        for name, text in files.items():
            key = str(uuid.uuid4()).encode()
            checksum = hashlib.sha256(text.encode()).hexdigest().encode()
            if why := self._run(_ANNOUNCE, key, checksum, _now(), name.encode()):
                return why
            if why := self.query(text):
                self._run(_FAILED, why.encode(), key)
                return why
            self._run(_STEP, struct.pack(">i", 1), key)
            if why := self._run(_FINISH, _now(), key):
                return why
        return ""

    def resolve_rolled_back(self, key: str) -> str:
        """`prisma migrate resolve --rolled-back`, of the row with this id."""
        self.query("SELECT version()")
        self._run(_PROBE, b"public")
        self.query("SELECT pg_advisory_lock(72707369)")
        return self._run(_ROLLED_BACK, _now(), key.encode())

    def query(self, text: str) -> str:
        """One simple Query; its error, or ""."""
        return self._said(query_message(text))

    def _run(self, text: str, *values: bytes) -> str:
        name, self._serial = f"s{self._serial}", self._serial + 1
        prepared = self._said(parse_message(text, name), describe("S", name), SYNC)
        return (
            prepared
            or self._said(_bind(name, values), execute(), SYNC)
            or self._said(close("S", name), SYNC)
        )

    def _said(self, *messages: bytes) -> str:
        speaker = self._speaker
        before = len(speaker.lines)
        speaker.say(*messages).hear("Z")
        errors = [line for line in speaker.lines[before:] if "ErrorResponse" in line]
        return "; ".join(errors)


def _bind(name: str, values: tuple[bytes, ...]) -> bytes:
    """All values in binary, and the rows too."""
    count = struct.pack(">H", len(values))
    body = b"\0" + name.encode() + b"\0" + b"\0\1\0\1" + count
    body += b"".join(struct.pack(">i", len(each)) + each for each in values)
    return frame("B", body + b"\0\1\0\1")


def _now() -> bytes:
    passed = datetime.now(UTC) - _EPOCH
    micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    return struct.pack(">q", micros)
