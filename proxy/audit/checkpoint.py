"""The records that a chain keeps about itself: where a file begins, ends, recovers.

Pure. Next: `proxy.audit.chain`, `proxy.audit.writer`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from proxy.audit.ascii import json_ascii

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
