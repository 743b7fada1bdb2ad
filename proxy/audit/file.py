"""One audit file held open for appending: whole batches or nothing.

The one place that writes audit bytes. A write that fails or falls short is taken back
with ftruncate, so that the file always ends with a whole batch. Next:
`proxy.audit.writer`, which decides what a failure means.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class AppendFile:
    """An append-only file of our own making: mode 0600, locked while it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self._descriptor = descriptor
        self._is_dirty = False

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create the file; it must not exist, not even as a symbolic link.

        Raises:
            OSError: it can't be created or locked.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            # Blocking: a reader that asks "is it being written?" holds it for moments.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def append(self, data: bytes, *, is_synced: bool) -> None:
        """Write all of `data`, or leave the file as it was.

        Raises:
            OSError: nothing was written, and `is_clean` tells whether what was written
                in part could be taken back.
        """
        self.take_back()
        self._is_dirty = True
        try:
            self._write_all(data)
            if is_synced:
                os.fdatasync(self._descriptor)
        except OSError:
            self._try_to_take_back()
            raise
        self._is_dirty = False
        self.size += len(data)

    def _write_all(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        if written != len(data):
            # A regular file takes less only where it can't take more.
            short = f"wrote {written} of {len(data)} bytes"
            raise OSError(errno.ENOSPC, short)

    @property
    def is_clean(self) -> bool:
        """Whether the file ends with the last batch that was written whole."""
        return not self._is_dirty

    def take_back(self) -> None:
        """Cut off what a failed write left behind.

        Raises:
            OSError: not possible now; nothing may be appended before it is.
        """
        if self._is_dirty:
            os.ftruncate(self._descriptor, self.size)
            self._is_dirty = False

    def _try_to_take_back(self) -> None:
        try:
            self.take_back()
        except OSError:
            # Stays dirty: the next append tries again before it writes.
            return

    def is_in_place(self) -> bool:
        """Whether the path leads to this file and nobody else changed its size."""
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        is_same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        return is_same and (self._is_dirty or ours.st_size == self.size)

    def close(self) -> None:
        """Close the file and so give up its lock."""
        os.close(self._descriptor)
