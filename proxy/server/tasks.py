"""The one way to start a task: it is kept alive, and its failure is never silent.

Next: `proxy.server.run`, which waits for what is left at the end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine

_log = structlog.get_logger("server")


class Tasks:
    """Tasks that nobody awaits."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Start `work`, which nobody waits for or stops before the end."""
        self._running.add(self.spawn(work))

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start `work`; an exception that it lets out is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self, within_s: float) -> None:
        """Give what still runs a moment, then cancel it."""
        running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=within_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", exc_info=error)
