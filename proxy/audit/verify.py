"""Checks audit files: every line against its hash, every file against the one before.

Streams each file once. What is found is named (file, line, number, what); after a
finding the check goes on from what the next lines state, so that one change is not
reported a thousand times. A *notice* is not a sign of tampering: a file still being
written, or one whose writer was killed. Next: docs/reference/audit-log.md, which says
what a chain without an outside anchor can't prove.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.audit.chain import HASH_KEY, LINE_END, NO_HASH, TAIL_LENGTH, hash_of
from proxy.audit.checkpoint import MAX_LINE, Checkpoint, Link, read_checkpoint
from proxy.audit.folder import (
    audit_files,
    is_being_written,
    seq_of,
    stated_hash,
    worker_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

MAX_FINDINGS: Final = 1_000
"""Findings kept of one file; the rest is counted."""

_PROGRESS_LINES: Final = 4_096
_CHECKPOINT_KEY: Final = b'"kind":"checkpoint"'
_STAMP_LENGTH: Final = len('2026-01-01T00:00:00.000000Z",')
_WHOLE_LINE: Final = re.compile(rb',"hash":"[0-9a-f]{64}"\}')


class Finding(Struct, frozen=True):
    """One thing that is wrong or worth knowing. `line` is 1-based, 0: the file."""

    file: str
    line: int
    seq: int
    what: str


class FileReport(Struct):
    """What one file holds."""

    name: str
    records: int = 0
    last_seq: int = 0
    last_hash: str = ""
    torn_bytes: int = 0
    is_closed: bool = False
    is_live: bool = False
    opening: Checkpoint | None = None
    findings: list[Finding] = []
    findings_total: int = 0

    def found(self, line: int, seq: int, what: str) -> None:
        """Take note of something wrong."""
        self.findings_total += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(self.name, line, seq, what))


class Report(Struct):
    """The result for a folder. It is intact where `findings` is empty."""

    files: list[FileReport]
    records: int
    findings: list[Finding]
    findings_total: int
    notices: list[Finding]


class _FileCheck:
    """One pass over one file."""

    def __init__(self, path: Path, expected: set[bytes]) -> None:
        self.report = FileReport(path.name)
        self._path = path
        self._expected = expected
        self._previous = NO_HASH
        self._others: tuple[bytes, ...] = ()
        self._is_after_garbage = False
        self._seq = 0
        self._line = 0

    def run(self, on_progress: Callable[[int], None]) -> FileReport:
        report = self.report
        live_before = is_being_written(self._path)
        unreported = 0
        with self._path.open("rb", buffering=1 << 20) as file:
            while line := file.readline(MAX_LINE):
                self._line += 1
                unreported += len(line)
                if not self._is_next(line):
                    self._look_closer(line)
                if self._line % _PROGRESS_LINES == 0:
                    on_progress(unreported)
                    unreported = 0
        on_progress(unreported)
        report.is_live = live_before or is_being_written(self._path)
        report.last_seq = self._seq
        report.last_hash = self._previous.decode() if self._seq else ""
        return report

    def _is_next(self, line: bytes) -> bool:
        """The path of every sound line: right number, right hash."""
        seq = self._seq + 1
        body = line[:-TAIL_LENGTH]
        digest = hash_of(self._previous, body)
        head = b'{"v":1,"seq":%d,"at":"' % seq
        if line[-TAIL_LENGTH:] != HASH_KEY + digest + LINE_END:
            return False
        if not body.startswith(head):
            return False
        self._previous = digest
        self._others = ()
        self._is_after_garbage = False
        self._accept(line, seq, len(head))
        return True

    def _accept(self, line: bytes, seq: int, head: int) -> None:
        report = self.report
        if report.is_closed:
            report.found(self._line, seq, "a record after the closing checkpoint")
        self._seq = seq
        report.records += 1
        if self._expected:
            self._expected.discard(self._previous)
        if line.startswith(_CHECKPOINT_KEY, head + _STAMP_LENGTH) or seq == 1:
            self._note_checkpoint(line, seq)

    def _note_checkpoint(self, line: bytes, seq: int) -> None:
        report = self.report
        checkpoint = read_checkpoint(line)
        if seq == 1:
            report.opening = checkpoint
            if checkpoint is None or checkpoint.event != "open":
                report.found(self._line, seq, "the first record is not an opening")
        if checkpoint is None:
            return
        if checkpoint.records != seq - 1:
            what = f"the checkpoint counts {checkpoint.records} records, not {seq - 1}"
            report.found(self._line, seq, what)
        report.is_closed |= checkpoint.event == "close"

    def _look_closer(self, line: bytes) -> None:
        """A line that is not the next one: say why, and where to go on."""
        if not line.endswith(b"\n"):
            self._take_tail(line)
            return
        seq, stated = seq_of(line), stated_hash(line).encode()
        expected = self._seq + 1
        if not seq or not stated:
            self._found(expected, "this line is not a record: changed or inserted")
            self._is_after_garbage = True
            return
        if seq < expected:
            self._found(seq, f"record {seq} again: repeated, inserted or moved here")
            self._others += (stated,)
            return
        # A line that is no record may have been the one before: then its hash is lost.
        missing = seq - expected - self._is_after_garbage
        if missing > 0:
            span = f"{seq - 1}" if missing == 1 else f"{seq - missing} to {seq - 1}"
            self._found(seq, f"record {span} is missing before this one")
        elif seq == expected and not self._follows_another(line):
            self._found(seq, f"record {seq} was changed: it does not fit its hash")
        computed = hash_of(self._previous, line[:-TAIL_LENGTH])
        self._previous = stated
        self._others = (computed,)
        self._is_after_garbage = False
        self._accept(line, seq, len(b'{"v":1,"seq":%d,"at":"' % seq))

    def _follows_another(self, line: bytes) -> bool:
        """Whether this one is sound, after one whose stated hash is not its own."""
        body, stated = line[:-TAIL_LENGTH], stated_hash(line).encode()
        return any(hash_of(other, body) == stated for other in self._others)

    def _take_tail(self, line: bytes) -> None:
        """The end of the file without a newline: a write cut short, or a forgery."""
        expected = self._seq + 1
        head = b'{"v":1,"seq":%d,"at":"' % expected
        is_prefix = head.startswith(line[: len(head)])
        if len(line) >= MAX_LINE:
            self._found(expected, "this line is longer than any record")
        elif not is_prefix or _WHOLE_LINE.search(line[:-1]):
            self._found(expected, "the end of the file was changed")
        self.report.torn_bytes = len(line)

    def _found(self, seq: int, what: str) -> None:
        self.report.found(self._line, seq, what)


def verify_folder(
    folder: Path,
    *,
    anchors: Collection[str] = (),
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check all audit files of a folder.

    Args:
        folder: the audit folder.
        anchors: hashes of records, kept elsewhere, that must still be there.
        on_progress: called with the bytes read since the last call.

    Raises:
        OSError: a file can't be read.
    """
    expected = {anchor.encode() for anchor in anchors}
    files = [
        _FileCheck(path, expected).run(on_progress) for path in audit_files(folder)
    ]
    by_name = {file.name: file for file in files}
    _check_links(files, by_name)
    loose = [
        Finding("", 0, 0, f"no record has the anchored hash {anchor.decode()}")
        for anchor in sorted(expected)
    ]
    return Report(
        files,
        sum(file.records for file in files),
        [finding for file in files for finding in file.findings] + loose,
        sum(file.findings_total for file in files) + len(loose),
        list(_notices(files)),
    )


def _check_links(files: list[FileReport], by_name: dict[str, FileReport]) -> None:
    continued = Counter[str]()
    firsts = Counter[str]()
    for file in files:
        opening = file.opening
        if opening is None:
            if file.records == 0 and not file.findings_total:
                continue  # nothing was ever written: a full disk at the start
            file.found(0, 0, "the file has lost its opening record")
            continue
        worker = worker_of(file.name)
        if opening.file != file.name or opening.worker != worker:
            file.found(
                1, 1, f"the file was opened as {opening.file}: renamed or copied"
            )
        if not isinstance(opening.previous, Link):
            firsts[worker] += 1
            if firsts[worker] > 1:
                file.found(1, 1, "the file claims that no other came before it")
            continue
        continued[opening.previous.file] += 1
        if continued[opening.previous.file] > 1:
            name = opening.previous.file
            file.found(1, 1, f"the file continues {name}, as another one does")
        _check_link(file, opening.previous, by_name.get(opening.previous.file))


def _check_link(file: FileReport, link: Link, previous: FileReport | None) -> None:
    if previous is None:
        file.found(1, 1, f"the file before it, {link.file}, is missing")
        return
    now = (previous.last_seq, previous.last_hash, previous.torn_bytes)
    if now == (link.records, link.hash, link.torn_bytes):
        return
    if link.records > previous.last_seq:
        what = f"{link.records - previous.last_seq} records are missing at its end"
    elif link.records < previous.last_seq:
        what = f"{previous.last_seq - link.records} records were added at its end"
    else:
        what = "its end was changed"
    previous.found(0, previous.last_seq, f"{what}, by what {file.name} states")


def _notices(files: list[FileReport]) -> Iterable[Finding]:
    continued = {
        file.opening.previous.file
        for file in files
        if file.opening is not None and isinstance(file.opening.previous, Link)
    }
    for file in files:
        if file.is_live:
            what = "is being written now"
        elif file.torn_bytes:
            what = f"torn tail: {file.torn_bytes} bytes of a write that was cut short"
            if file.name in continued:
                what += ", as the next file states"
        elif not file.is_closed and file.name not in continued:
            what = "was not closed: whether records are missing at its end is unknown"
        else:
            continue
        yield Finding(file.name, 0, file.last_seq, what)
