"""The last audit records of a folder, newest from all files, and those still to come.

Reads files backwards in blocks and merges them by time, so the last twenty records of a
hundred gigabytes cost a few reads. Records are decoded only to be shown or filtered;
nothing here proves them (that is `proxy.audit.verify`). Next: `proxy.cli.audit`.
"""

from __future__ import annotations

import heapq
import os
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from proxy.audit.folder import audit_files
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Record = dict[str, Any]

_BLOCK: Final = 65_536
_AT: Final = re.compile(rb'"at":"([0-9TZ:.-]{27})"')
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Filter(Struct, frozen=True):
    """Which records to show; an empty field lets all pass. Times as in the records."""

    identities: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    decision: str = ""
    since: str = ""
    until: str = ""
    in_shadow: bool = False

    def passes(self, record: Record) -> bool:
        """Whether a record is wanted."""
        return (
            (not self.identities or record.get("identity") in self.identities)
            and (not self.kinds or record.get("kind") in self.kinds)
            and (not self.sessions or record.get("session") in self.sessions)
            and (not self.decision or record.get("decision") == self.decision)
            and (not self.in_shadow or record.get("shadow") is not None)
            and (not self.since or str(record.get("at", "")) >= self.since)
            and (not self.until or str(record.get("at", "")) <= self.until)
        )


def moment(text: str, now: float) -> str:
    """A time as the records show it, from "10m", "2h", "1d" (ago) or ISO 8601.

    Raises:
        ConfigError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        span = timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
        when = datetime.fromtimestamp(now, UTC) - span
    else:
        try:
            when = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigError(
                f'"{text}" is not a time', hint='give "10m", "2h", "1d" or ISO 8601'
            ) from None
        when = when.astimezone(UTC)
    return when.isoformat(timespec="microseconds")[:26] + "Z"


class Tail:
    """Reads a folder's records from the end, then those that are added.

    Not thread-safe. `latest` first; `more` returns what came since the last call.
    """

    def __init__(self, folder: Path, wanted: Filter) -> None:
        self._folder = folder
        self._wanted = wanted
        self._read: dict[Path, int] = {}

    def latest(self, count: int) -> list[tuple[bytes, Record]]:
        """The last `count` records that pass, oldest first, each with its line."""
        streams = []
        for path in audit_files(self._folder):
            end = _end_of_last_line(path)
            self._read[path] = end
            streams.append(_backwards(path, end))
        newest_first = heapq.merge(*streams, key=_at, reverse=True)
        return [*islice(self._passing_since(newest_first), count)][::-1]

    def more(self) -> list[tuple[bytes, Record]]:
        """Records written since the last call that pass, in order of time."""
        lines: list[bytes] = []
        for path in audit_files(self._folder):
            start = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = start + len(whole)
            lines += whole.split(b"\n")[:-1]
        lines.sort(key=_at)
        return [*self._passing(iter(lines))]

    def _passing_since(
        self, newest_first: Iterator[bytes]
    ) -> Iterator[tuple[bytes, Record]]:
        since = self._wanted.since.encode()
        for line in newest_first:
            if since and _at(line) < since:
                return
            yield from self._passing(iter((line,)))

    def _passing(self, lines: Iterator[bytes]) -> Iterator[tuple[bytes, Record]]:
        for line in lines:
            record = _decode(line)
            if record is not None and self._wanted.passes(record):
                yield line, record


def _decode(line: bytes) -> Record | None:
    try:
        return msgspec.json.decode(line, type=Record)
    except msgspec.DecodeError:
        return None


def _at(line: bytes) -> bytes:
    found = _AT.search(line, 0, 64)
    return found[1] if found else b""


def _end_of_last_line(path: Path) -> int:
    end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def _backwards(path: Path, end: int) -> Iterator[bytes]:
    """The lines of a file before `end`, last one first, without their newlines."""
    rest = b""
    with path.open("rb") as file:
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start, os.SEEK_SET)
            lines = (file.read(end - start) + rest).split(b"\n")
            rest = lines[0]
            yield from filter(None, reversed(lines[1:]))
            end = start
    if rest:
        yield rest


def printable(text: str) -> str:
    """Text on one line that can do nothing to a terminal.

    White space becomes one space; control, format (bidirectional marks) and other
    invisible characters are shown as escapes.
    """
    line = " ".join(text.split())
    return "".join(
        each
        if each.isprintable()
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in line
    )
