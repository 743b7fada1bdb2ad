"""The hash chain of one audit file: which bytes are hashed, and the checkpoints.

Pure. A line is `BODY,"hash":"<64 hex digits>"}` and a newline, where the hash is
SHA-256 of the previous line's hash (64 ASCII digits; zeros before the first line) and
the exact bytes of BODY, which starts `{"v":1,"seq":N,"at":"...",`. Nothing is
canonicalised: `head -c`, `sha256sum` and a few lines of any language can check it.
Next: `proxy.audit.writer`, `proxy.audit.verify`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from proxy.audit.records import json_ascii

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 1
NO_HASH: Final = b"0" * 64
"""Stands before the first line of a file."""

HASH_KEY: Final = b',"hash":"'
LINE_END: Final = b'"}\n'
TAIL_LENGTH: Final = len(HASH_KEY) + 64 + len(LINE_END)
"""Bytes at the end of each line that are not hashed."""

MAX_LINE: Final = 8 * 1024 * 1024
"""No record comes near this (see the ceilings in `proxy.audit.judged`), so a longer
line in a file is not ours, and reading one can't take all memory."""


class Link(Struct, frozen=True):
    """The end of an earlier file, as its successor states it.

    `hash` and `records` are those of its last whole line; `torn_bytes` follow it, left
    by a crash in the middle of a write. What torn records announce never happened.
    """

    file: str
    records: int
    hash: str
    torn_bytes: int = 0


class Checkpoint(Struct, kw_only=True):
    """A record about the chain itself. It belongs to no session, so those are null.

    Attributes:
        event: "open" is the first line of a file, "close" the last; "periodic" and
            "recovered" (after a time when nothing could be written) stand between.
        records: lines before this one in the file.
        previous: on "open": the end of this worker's file before, null if none.
        failed_appends: on "recovered": writes that failed, so that all was refused.
        outage_s: on "recovered": seconds during which nothing could be written.
        lost_records: on "recovered": records of what had happened before or during the
            outage for which there was no room left in memory.
    """

    kind: Literal["checkpoint"] = "checkpoint"
    session: None = None
    identity: None = None
    role: None = None
    database: None = None
    application_name: None = None
    client_address: None = None
    event: Literal["open", "periodic", "recovered", "close"]
    records: int
    file: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET
    worker: str | UnsetType = UNSET
    pgwarden: str | UnsetType = UNSET
    previous: Link | UnsetType | None = UNSET
    failed_appends: int | UnsetType = UNSET
    outage_s: float | UnsetType = UNSET
    lost_records: int | UnsetType = UNSET

    def fragment(self) -> bytes:
        """As a record fragment."""
        return json_ascii(self)[1:-1]


_CHECKPOINT: Final = msgspec.json.Decoder(Checkpoint)


def read_checkpoint(line: bytes) -> Checkpoint | None:
    """The checkpoint in a line, or None if it holds something else."""
    try:
        return _CHECKPOINT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def stamp(at: float) -> bytes:
    """A POSIX time as the records show it: UTC, microseconds, fixed width."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return text[:26].encode() + b"Z"


class Chain:
    """How far a file's chain has come: number and hash of its last line."""

    __slots__ = ("last", "seq")

    def __init__(self, seq: int = 0, last: bytes = NO_HASH) -> None:
        self.seq = seq
        self.last = last

    def extend(self, fragments: Sequence[bytes], at: float) -> tuple[bytes, int, bytes]:
        """The lines for some fragments; the chain itself does not move yet.

        Returns:
            the bytes to write, and `seq` and `last` to set once they are written.
        """
        seq = self.seq
        last = self.last
        when = stamp(at)
        parts: list[bytes] = []
        for fragment in fragments:
            seq += 1
            body = b'{"v":1,"seq":%d,"at":"%b",%b' % (seq, when, fragment)
            digest = sha256(last)
            digest.update(body)
            last = digest.hexdigest().encode()
            parts += (body, HASH_KEY, last, LINE_END)
        return b"".join(parts), seq, last


def hash_of(previous: bytes, body: bytes) -> bytes:
    """The hash that a line with this body must carry."""
    digest = sha256(previous)
    digest.update(body)
    return digest.hexdigest().encode()
