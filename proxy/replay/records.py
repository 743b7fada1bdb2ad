"""The audit log as a replay reads it: line by line, only what matters, only its share.

Several processes read the same files, and each takes the sessions that fall to it, so
that one long file is shared out as well. Nothing here proves the log; that is
`proxy.audit.verify`. Next: `proxy.replay.sessions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from proxy.audit.checkpoint import MAX_LINE
from proxy.audit.folder import audit_files
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HEAD: Final = re.compile(
    rb'\{"v":1,"seq":[1-9]\d{0,18},"at":"([0-9TZ:.-]{27})","kind":"([a-z.]{1,32})"'
    rb',"session":(?:"([^"\\]{1,200})"|null)'
)
_PROGRESS_BYTES: Final = 1 << 20


class Record(Struct, frozen=True, kw_only=True):
    """One record of a session: the fields of docs/reference/audit-log.md in use here.

    What a kind has not keeps its default.
    """

    at: str
    session: str
    identity: str
    role: str
    database: str
    application_name: str
    client_address: str
    audit_id: str = ""
    message: str = ""
    statement_name: str = ""
    portal: str = ""
    decision: str = ""
    rule: str = ""
    quarantines: bool = False
    shadow: dict[str, Any] = {}
    trouble: str = ""
    text: str = ""
    text_length: int = 0
    text_escaped: bool = False
    status: str = ""
    settings: dict[str, str] = {}
    purpose: str = ""
    detail: dict[str, str] = {}

    @property
    def would_refuse(self) -> str:
        """Id of the rule in shadow that would have refused the statement; ""."""
        return str(self.shadow.get("rule", ""))

    @property
    def is_allowed(self) -> bool:
        """Whether the statement was forwarded."""
        return self.decision == "allow"


decode: Final = msgspec.json.Decoder(Record).decode
"""A whole line to a `Record`; raises `msgspec.DecodeError` (a ValueError)."""


class Line(NamedTuple):
    """A line whose beginning was read: enough to tell whether to decode it."""

    at: str
    kind: bytes
    session: bytes
    whole: bytes


class Share(NamedTuple):
    """The part of a log that one process takes: every session of one remainder."""

    number: int = 0
    of: int = 1

    def takes(self, session: bytes) -> bool:
        """Whether a session is in this share; lines of no session are in the first."""
        return self.of == 1 or crc32(session) % self.of == self.number


def log_files(folder: Path) -> list[Path]:
    """The audit files of a folder.

    Raises:
        ConfigError: there are none.
    """
    if not folder.is_dir():
        raise ConfigError(f'"{folder}" is not a folder')
    found = audit_files(folder)
    if not found:
        raise ConfigError(
            f'no audit files in "{folder}"', hint="their names are audit-*.jsonl"
        )
    return found


class Progress(NamedTuple):
    """What was read since the last word: bytes of files, records of the share."""

    bytes: int
    records: int


class Reader:
    """The lines of one share of a log.

    Attributes:
        records: records read that fall into the share, checkpoints in the first one.
        unreadable: whole lines that are no record of version 1, told by the first one.
    """

    def __init__(
        self, share: Share, until: str, *, on_progress: Callable[[Progress], None]
    ) -> None:
        """`until` is a time as the records show it, "" for all that there is."""
        self._share = share
        self._until = until
        self._on_progress = on_progress
        self.records = 0
        self.unreadable = 0

    def lines(self, path: Path) -> Iterator[Line]:
        """The lines of a file that tell of a session of this share, in order.

        A last line without its newline is being written or was cut short, and what it
        announces was never forwarded: it is passed over.
        """
        unreported, reported = 0, self.records
        with path.open("rb", buffering=1 << 20) as file:
            while line := file.readline(MAX_LINE):
                unreported += len(line)
                if unreported >= _PROGRESS_BYTES:
                    self._on_progress(Progress(unreported, self.records - reported))
                    unreported, reported = 0, self.records
                head = _HEAD.match(line)
                if head is None or not line.endswith(b"\n"):
                    is_whole = line.endswith(b"\n") or len(line) >= MAX_LINE
                    self.unreadable += is_whole and self._share.number == 0
                    continue
                at, kind, session = head.groups()
                if not self._share.takes(session or b""):
                    continue
                if self._until and at.decode() > self._until:
                    break
                self.records += 1
                if session is not None:
                    yield Line(at.decode(), kind, session, line)
        self._on_progress(Progress(unreported, self.records - reported))
