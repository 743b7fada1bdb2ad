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


async def follow(paths: Sequence[Path], changed: Callable[[], None]) -> None:
    """Call `changed` after each change, once the files have come to rest."""
    known = before = look(paths)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now = look(paths)
        # Only at rest: an editor may be half-way through its write.
        if now != known and now == before:
            known = now
            changed()
        before = now
