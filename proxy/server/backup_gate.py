"""Is there a fresh backup? A file's age says so, or a program of the operator's.

Next: `proxy.migrations.gates`, what is answered; `proxy.server.program`, what runs.
"""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from proxy.errors import ConfigError, reason_of
from proxy.migrations.gates import BACKUP, GateAnswer, GateState, shown
from proxy.server.program import ProgramError, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from proxy.migrations.gates import BackupSource

DATABASE: Final = "{database}"
MAX_AHEAD_S: Final = 300.0
"""A file server's clock may be so far ahead of ours, as that of a signature may."""
LOOK_WITHIN_S: Final = 5.0
"""A network disk that is gone answers never."""
MOST_ENTRIES: Final = 10_000
"""A folder with more is no folder of backups, and takes seconds to look through."""
MAX_OUTPUT_BYTES: Final = 64 * 1024
_HOUR_S: Final = 3600.0


class BackupGateSettings(Protocol):
    """What of the settings is needed: one of `file` and `command`."""

    @property
    def file(self) -> Path | None:
        """A backup, or the folder that backups are put into."""

    @property
    def max_age_h(self) -> float:
        """Hours that the newest may be old."""

    @property
    def command(self) -> Sequence[str] | None:
        """A program and its arguments; one that is "{database}" stands for its name."""

    @property
    def timeout_s(self) -> float:
        """Seconds that the program may take."""


def backup_source_of(
    settings: BackupGateSettings | None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BackupSource:
    """The source that the settings name; one that is always satisfied without them.

    Raises:
        ConfigError: they name none, or both, or "{database}" inside of an argument.
    """
    if settings is None:
        return NoSource()
    if bool(settings.command) == (settings.file is not None):
        raise ConfigError('a backup gate has one of "file" and "command"')
    if settings.file is not None:
        return FileAge(settings.file, settings.max_age_h, now=now)
    return Command(settings.command or (), settings.timeout_s)


class NoSource:
    """No backup is asked for, and the record says so."""

    async def check(self, database: str) -> GateAnswer:  # noqa: ARG002 - for any
        """Satisfied."""
        detail = "no backup is asked for"
        return _answer(GateState.SATISFIED, detail, [("backup", "no gate is set")])


class FileAge:
    """The age of a file, or of the newest file in a folder.

    The path itself may be a link, as "latest" is. In a folder only what lies there and
    holds something counts: a link would take its age from anywhere, a folder is as
    fresh as its last empty file, and a name with a dot in front is still being copied.
    No file is opened, so pgwarden needs no right to read a backup.
    """

    def __init__(
        self, path: Path, max_age_h: float, *, now: Callable[[], datetime]
    ) -> None:
        """Look at nothing yet.

        Args:
            path: of a backup, or of the folder that backups are put into.
            max_age_h: hours that the newest may be old.
            now: the clock, in UTC.
        """
        self._path = path
        self._max_age_h = max_age_h
        self._now = now
        self._look: asyncio.Future[tuple[float, int] | None] | None = None

    async def check(self, database: str) -> GateAnswer:  # noqa: ARG002 - one for all
        """Look now."""
        said = [("backup", str(self._path))]
        try:
            newest = await self._newest()
        except TimeoutError:
            return _unavailable(f"no answer within {LOOK_WITHIN_S:g} s", said)
        except OSError as error:
            return _unavailable(reason_of(error), said)
        if newest is None:
            detail = "the backup is empty, or there is none in its folder"
            return _answer(GateState.UNSATISFIED, detail, said)
        return self._judged(*newest, said)

    async def _newest(self) -> tuple[float, int] | None:
        if self._look is None or self._look.done():
            loop = asyncio.get_running_loop()
            self._look = loop.run_in_executor(None, _newest, self._path)
            # Whoever gave up does not hear of it; without this, asyncio complains.
            self._look.add_done_callback(
                lambda look: look.cancelled() or look.exception()
            )
        # One look at a time: on a disk that is gone each would keep a thread for good.
        async with asyncio.timeout(LOOK_WITHIN_S):
            return await asyncio.shield(self._look)

    def _judged(
        self, at_s: float, size: int, said: list[tuple[str, str]]
    ) -> GateAnswer:
        age_s = self._now().timestamp() - at_s
        said += [
            ("backup_at", _moment(at_s)),
            ("backup_bytes", str(size)),
            ("backup_age_h", f"{age_s / _HOUR_S:.1f}"),
            ("max_age_h", f"{self._max_age_h:g}"),
        ]
        if age_s < -MAX_AHEAD_S:
            return _unavailable("it is from the future, so one clock is wrong", said)
        age = f"the newest backup is {max(age_s, 0.0) / _HOUR_S:.1f} h old"
        if age_s > self._max_age_h * _HOUR_S:
            detail = f"{age}; it may be {self._max_age_h:g} h old"
            return _answer(GateState.UNSATISFIED, detail, said)
        return _answer(GateState.SATISFIED, age, said)


class Command:
    """A program says it: exit status 0 for a fresh backup, 1 for none."""

    def __init__(self, argv: Sequence[str], timeout_s: float) -> None:
        """Run nothing yet.

        Args:
            argv: the program and its arguments; never a shell's text.
            timeout_s: seconds that it may take.

        Raises:
            ConfigError: no program, or "{database}" inside of an argument, where a
                database's name could become code.
        """
        if not argv or not argv[0]:
            raise ConfigError("the backup gate's command names no program")
        if any(DATABASE in each and each != DATABASE for each in argv):
            raise ConfigError(
                f'"{DATABASE}" has to be an argument by itself in the backup gate\'s '
                "command"
            )
        if argv[0] == DATABASE:
            raise ConfigError(f"the backup gate's command can't be \"{DATABASE}\"")
        self._argv = tuple(argv)
        self._timeout_s = timeout_s

    async def check(self, database: str) -> GateAnswer:
        """Run it now."""
        # Not the arguments: one of them may be a secret.
        said = [("backup_command", self._argv[0]), ("database", shown(database))]
        if DATABASE in self._argv and database.startswith("-"):
            why = (
                "a database whose name begins with a dash would be taken for an option"
            )
            return _unavailable(why, said)
        argv = [database if each == DATABASE else each for each in self._argv]
        try:
            ran = await run_program(
                argv, within_s=self._timeout_s, max_bytes=MAX_OUTPUT_BYTES
            )
        except ProgramError as error:
            return _unavailable(f"its command {error}", said)
        line = _first_line(ran.said)
        said += [("status", str(ran.status)), ("said", line)]
        match ran.status:
            case 0:
                return _answer(GateState.SATISFIED, line or "there is a backup", said)
            case 1:
                detail = line or "there is no fresh backup"
                return _answer(GateState.UNSATISFIED, detail, said)
            case status:
                more = f": {line}" if line else ""
                return _unavailable(f"its command ended with {status}{more}", said)


def _newest(path: Path) -> tuple[float, int] | None:
    """When the newest was written, in seconds of Unix time, and its bytes.

    None if there is none, or it is empty.

    Raises:
        OSError: it can't be looked at.
    """
    found = path.stat()
    if stat.S_ISREG(found.st_mode):
        return (found.st_mtime, found.st_size) if found.st_size else None
    if not stat.S_ISDIR(found.st_mode):
        raise OSError("neither a file nor a folder")
    newest: tuple[float, int] | None = None
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= MOST_ENTRIES:
                raise OSError(f"more than {MOST_ENTRIES:,} files in its folder")
            each = None if entry.name.startswith(".") else _written(entry)
            if each is not None and (newest is None or each > newest):
                newest = each
    return newest


def _written(entry: os.DirEntry[str]) -> tuple[float, int] | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # removed meanwhile, as old ones are
    if not (stat.S_ISREG(found.st_mode) and found.st_size):
        return None
    return found.st_mtime, found.st_size


def _moment(at_s: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{at_s:.0f} s of Unix time"


def _first_line(said: bytes) -> str:
    # Only the line feed ends it: what a carriage return would hide is shown.
    return shown(said.partition(b"\n")[0].decode(errors="replace"))


def _unavailable(why: str, evidence: list[tuple[str, str]]) -> GateAnswer:
    detail = f"nobody can say how fresh the backup is: {why}"
    return _answer(GateState.UNAVAILABLE, detail, evidence)


def _answer(
    state: GateState, detail: str, evidence: list[tuple[str, str]]
) -> GateAnswer:
    return GateAnswer(BACKUP, state, detail, tuple(evidence))
