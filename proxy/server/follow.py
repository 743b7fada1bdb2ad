"""Notice that a file of ours was changed, wherever it lives.

Looks instead of listening: a look costs microseconds, and it also sees what inotify
does not tell of, such as a network file system or the symbolic link that Kubernetes
swaps when a ConfigMap changes. Next: `proxy.server.sources`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOOK_EVERY_S: Final = 0.5

Seen = tuple[tuple[int, int, int] | None, ...]


def look(paths: Sequence[Path]) -> Seen:
    """What tells one state of the files from another: inode, size, time of change."""
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


class Follower:
    """Calls `changed` after each change of the files."""

    def __init__(
        self, paths: Sequence[Path], changed: Callable[[], None], *, known: Seen
    ) -> None:
        """Begin with the state that `known` tells of, which `look` saw."""
        self._paths = paths
        self._changed = changed
        self._known = known

    def now(self) -> None:
        """Somebody says that they have changed: believe it."""
        self._known = look(self._paths)
        self._changed()

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        before = self._known
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            found = look(self._paths)
            # Only at rest: an editor may be half-way through its write.
            if found != self._known and found == before:
                self.now()
            before = found
