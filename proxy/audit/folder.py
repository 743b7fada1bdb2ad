"""The audit folder: names of its files, their order, and how one of them ends.

Used by the writer (which file came before?), by `verify` and by `tail`. Reads files,
writes none. Next: `proxy.audit.writer`.
"""

from __future__ import annotations

import fcntl
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.audit.chain import TAIL_LENGTH
from proxy.audit.checkpoint import MAX_LINE, Link, read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = re.compile(
    r"audit-(?P<worker>[a-z0-9_]{1,32})"
    r"-(?P<opened>\d{8}T\d{6}\.\d{6}Z)-[0-9a-f]{8}\.jsonl"
)
WORKER_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")

_LINE_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n')
_LINE_HEAD: Final = re.compile(rb'\{"v":1,"seq":([1-9]\d{0,18}),"at":"')


class FileEnd(Struct, frozen=True):
    """The last whole line of a file (`seq` 0 if it has none) and what follows it."""

    seq: int
    hash: str
    torn_bytes: int


def file_name(worker: str, at: float, file_id: str) -> str:
    """The name of a new file; names of one worker sort by the time of opening."""
    when = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S.%f")
    return f"audit-{worker}-{when}Z-{file_id[:8]}.jsonl"


def worker_of(name: str) -> str:
    """The worker that a file name states, "" if it is not an audit file's name."""
    found = FILE_NAME.fullmatch(name)
    return found["worker"] if found else ""


def audit_files(folder: Path) -> list[Path]:
    """All audit files of a folder, by worker and then by time of opening."""
    return sorted(path for path in folder.iterdir() if FILE_NAME.fullmatch(path.name))


def seq_of(line: bytes) -> int:
    """The number that a line states, 0 if it does not look like one of ours."""
    found = _LINE_HEAD.match(line)
    return int(found[1]) if found else 0


def stated_hash(line: bytes) -> str:
    """The hash that a whole line states, "" if it does not look like one of ours."""
    found = _LINE_TAIL.fullmatch(line, max(0, len(line) - TAIL_LENGTH))
    return found[1].decode() if found else ""


def first_line(path: Path) -> bytes:
    """The first line of a file, with its newline if it has one."""
    with path.open("rb") as file:
        return file.readline(MAX_LINE)


def end_of(path: Path) -> FileEnd:
    """How a file ends; reads only its last few lines."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start, block = size, b""
        while start > 0 and block.count(b"\n") < 2 and len(block) < 2 * MAX_LINE:
            start = max(0, start - 65_536)
            file.seek(start)
            block = file.read(size - start)
    whole, newline, torn = block.rpartition(b"\n")
    if not newline:
        return FileEnd(0, "", size)
    line = whole.rpartition(b"\n")[2] + newline
    return FileEnd(seq_of(line), stated_hash(line), len(torn))


def latest_link(folder: Path, worker: str) -> Link | None:
    """The end of this worker's last file: the one that no other file continues.

    The order comes from the links, not from the names: a clock may have gone back.
    """
    paths = [path for path in audit_files(folder) if worker_of(path.name) == worker]
    continued = set()
    for path in paths:
        opening = read_checkpoint(first_line(path))
        if opening is not None and isinstance(opening.previous, Link):
            continued.add(opening.previous.file)
    ends = [path for path in paths if path.name not in continued]
    if not ends:
        return None
    end = end_of(ends[-1])
    return Link(ends[-1].name, end.seq, end.hash, end.torn_bytes)


def is_being_written(path: Path) -> bool:
    """Whether a writer holds this file open right now."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
