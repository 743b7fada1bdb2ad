"""The writer of one worker's audit files: records in, chained lines on disk.

Synchronous on purpose: one `append` a turn of the event loop, one write(2) for all
records of that turn, and a statement's bytes leave only after it returned. While
nothing can be written every append raises `AuditUnavailable` (so statements are
refused), and the first one that succeeds again ends the outage by itself. Next:
`proxy.audit.verify`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Literal

import structlog

from proxy.audit.chain import Chain
from proxy.audit.checkpoint import Checkpoint, Link
from proxy.audit.file import AppendFile
from proxy.audit.folder import WORKER_NAME, file_name, latest_link
from proxy.errors import AuditUnavailable, ConfigError
from proxy.metrics import AuditCounters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Durability = Literal["page-cache", "fdatasync"]
"""page-cache survives a crash of pgwarden, fdatasync (each append) of the machine."""

CHECKPOINT_EVERY: Final = 10_000
LOOK_EVERY_S: Final = 1.0
"""How often to look whether the open file is still in its place: one stat(2)."""

MAX_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Memory for records of what has already happened while nothing can be written: tens of
thousands of outcomes. New statements are refused meanwhile, so few are added."""

_log = structlog.get_logger(component="audit")


class ChainWriter:
    """Appends records to this worker's newest file; exactly one exists a worker."""

    def __init__(  # noqa: PLR0913 - settings
        self,
        folder: Path,
        *,
        worker: str = "0",
        at: float,
        counters: AuditCounters | None = None,
        durability: Durability = "page-cache",
        checkpoint_every: int = CHECKPOINT_EVERY,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        """Take the worker's lock and open a new file, chained to the last one.

        A full disk does not raise here: the writer begins in an outage and ends it by
        itself, as it would later.

        Args:
            folder: created with mode 0700 where it does not exist.
            worker: lower-case letters, digits and "_"; part of the file names.
            at: the time now, POSIX seconds.
            counters: where to count; see `proxy.metrics`.
            durability: see `Durability`.
            checkpoint_every: records between two periodic checkpoints.
            max_kept_bytes: see `MAX_KEPT_BYTES`.

        Raises:
            ConfigError: the folder can't be used, or another process writes as this
                worker.
        """
        if not WORKER_NAME.fullmatch(worker):
            raise ConfigError(
                f'audit worker name "{worker}" must match [a-z0-9_]{{1,32}}'
            )
        self.folder = folder
        self.worker = worker
        self.counters = counters or AuditCounters()
        self._is_synced = durability == "fdatasync"
        self._checkpoint_every = checkpoint_every
        self._max_kept_bytes = max_kept_bytes
        self._chain = Chain()
        self._file: AppendFile | None = None
        self._previous: Link | None = None
        self._opening: list[bytes] = []
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._lost_records = 0
        self._next_look = at + LOOK_EVERY_S
        self._outage_since: float | None = None
        self._failed_appends = 0
        self._lock = _lock_worker(folder, worker)
        try:
            self._previous = latest_link(folder, worker)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(
                f'audit file "{error.filename}" can\'t be read: {error.strerror}',
                hint="the new file must state how the one before it ends",
            ) from error
        with contextlib.suppress(AuditUnavailable):
            self._write((), at)

    @property
    def is_available(self) -> bool:
        """Whether the last append succeeded."""
        return self._outage_since is None

    @property
    def path(self) -> Path | None:
        """The file being written, None while none could be opened."""
        return self._file.path if self._file else None

    @property
    def head(self) -> tuple[str, int, str]:
        """File name, number and hash of the last line: an anchor to keep elsewhere."""
        name = self._file.path.name if self._file else ""
        return name, self._chain.seq, self._chain.last.decode()

    def append(self, fragments: Sequence[bytes], at: float) -> None:
        """Write the records of one turn with one write(2), all or none.

        Args:
            fragments: from `proxy.audit.records`.
            at: the time now, POSIX seconds.

        Raises:
            AuditUnavailable: none of them was written; nothing they announce may be
                forwarded. The next call tries again.
        """
        self._write(fragments, at)
        self.counters.records += len(fragments)

    def keep(self, fragments: Sequence[bytes]) -> None:
        """Take records of what has already happened; the next append writes them first.

        For outcomes, ends of sessions and refusals: refusing can't undo them, so they
        wait out an outage in memory (up to a ceiling; what is lost beyond that
        is counted, and stated in the log).
        """
        for fragment in fragments:
            has_room = self._kept_bytes + len(fragment) <= self._max_kept_bytes
            if not has_room or b"\n" in fragment:
                # A newline would be our bug; kept, it would block all that follows.
                self._lost_records += 1
                self.counters.lost += 1
            else:
                self._kept.append(fragment)
                self._kept_bytes += len(fragment)

    def _write(
        self, fragments: Sequence[bytes], at: float, *, is_last: bool = False
    ) -> None:
        try:
            file = self._ready_file(at)
            lines = self._with_checkpoints(fragments, at, is_last=is_last)
            if not lines:
                return
            data, seq, last = self._chain.extend(lines, at)
            _refuse_newlines(data, len(lines))
            file.append(data, is_synced=self._is_synced)
        except OSError as error:
            self._failed(error, at)
            raise AuditUnavailable(
                "the audit log can't be written, so nothing may run now",
                hint="try again; the operators of pgwarden see the reason in its log",
                operator_note=str(error),
            ) from error
        self._chain.seq = seq
        self._chain.last = last
        self._opening = []
        self.counters.bytes += len(data)
        if self._kept:
            self.counters.records += len(self._kept)
            self._kept = []
            self._kept_bytes = 0
        if self._outage_since is not None:
            self._recovered(at)

    def close(self, at: float) -> None:
        """Write the closing checkpoint and give up the locks.

        Without it (a crash, a full disk) the file counts as not closed, and the next
        one of this worker states how it ended.
        """
        if self._lock < 0:
            return
        try:
            if self._file is not None:
                self._write((), at, is_last=True)
        except AuditUnavailable as error:
            _log.warning("audit_not_closed", error=error.operator_note)
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            os.close(self._lock)
            self._lock = -1

    def _ready_file(self, at: float) -> AppendFile:
        """The open file, ready for a write. Opens a new one where that is needed."""
        file = self._file
        if file is not None and at >= self._next_look:
            self._next_look = at + LOOK_EVERY_S
            if not file.is_in_place():
                _log.error("audit_file_was_changed_by_others", file=str(file.path))
                self.counters.foreign_changes += 1
                self._previous = Link(
                    file.path.name, self._chain.seq, self._chain.last.decode()
                )
                file.close()
                self._file = file = None
        return file or self._open(at)

    def _open(self, at: float) -> AppendFile:
        if self._lock < 0:
            raise OSError("the audit writer is closed")
        file_id = secrets.token_hex(16)
        name = file_name(self.worker, at, file_id)
        file = AppendFile.create(self.folder / name)
        self._file = file
        self._chain = Chain()
        opening = Checkpoint(
            event="open",
            records=0,
            file=name,
            file_id=file_id,
            worker=self.worker,
            pgwarden=_pgwarden_version(),
            previous=self._previous,
        )
        self._opening = [opening.fragment()]
        return file

    def _with_checkpoints(
        self, fragments: Sequence[bytes], at: float, *, is_last: bool
    ) -> list[bytes]:
        lines = [*self._opening]
        seq = self._chain.seq
        if self._outage_since is not None:
            recovered = Checkpoint(
                event="recovered",
                records=seq + len(lines),
                failed_appends=self._failed_appends,
                outage_s=round(max(0.0, at - self._outage_since), 6),
                lost_records=self._lost_records,
            )
            lines.append(recovered.fragment())
        lines += self._kept
        lines += fragments
        every = self._checkpoint_every
        if (seq + len(lines)) // every > seq // every:
            periodic = Checkpoint(event="periodic", records=seq + len(lines))
            lines.append(periodic.fragment())
        if is_last:
            closing = Checkpoint(event="close", records=seq + len(lines))
            lines.append(closing.fragment())
        return lines

    def _failed(self, error: OSError, at: float) -> None:
        self._failed_appends += 1
        self.counters.write_errors += 1
        if self._outage_since is None:
            self._outage_since = at
            self.counters.unavailable = 1
            _log.error(
                "audit_unavailable",
                folder=str(self.folder),
                error=str(error),
                effect="statements are refused until a write succeeds",
            )
        self.counters.lag_s = max(0.0, at - self._outage_since)

    def _recovered(self, at: float) -> None:
        outage_s = at - (self._outage_since or at)
        _log.warning(
            "audit_recovered",
            outage_s=round(outage_s, 3),
            failed_appends=self._failed_appends,
            lost_records=self._lost_records,
        )
        self._outage_since = None
        self._lost_records = 0
        self._failed_appends = 0
        self.counters.unavailable = 0
        self.counters.lag_s = 0.0


def _refuse_newlines(data: bytes, lines: int) -> None:
    """A newline inside a record could forge another one: that would be our bug."""
    if data.count(b"\n") != lines:
        raise OSError("a record holds a newline")


def _lock_worker(folder: Path, worker: str) -> int:
    """Make sure of the folder, and that no one else writes as this worker."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode & 0o777
        if mode & 0o022:
            raise ConfigError(
                f'audit folder "{folder}" may be written by others (mode {mode:04o})',
                hint=f'chmod 700 "{folder}"',
            )
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(folder / f".writer-{worker}.lock", flags, 0o600)
    except OSError as error:
        raise ConfigError(
            f'audit folder "{folder}" can\'t be used: {error.strerror}'
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f'another pgwarden writes as worker "{worker}" into "{folder}"',
            hint="give each process its own audit folder",
        ) from error
    return descriptor


def _pgwarden_version() -> str:
    try:
        return version("pgwarden")
    except PackageNotFoundError:
        return "unknown"
