"""The parent of several workers: starts them, restarts them, speaks for them all.

The parent opens the listening sockets and hands them down, so that a port is taken once
and a worker can be replaced without losing a connection that waits. It serves no client
itself. Next: `proxy.server.control`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import structlog

from proxy.errors import ConfigError, PgwardenError, UnavailableError
from proxy.metrics import merge, unpack
from proxy.server.cancel import worker_of
from proxy.server.control import (
    Cancel,
    Channel,
    Numbers,
    NumbersWanted,
    Ready,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from proxy.metrics import Snapshot
    from proxy.server.control import Note

_log = structlog.get_logger("supervisor")

ANSWER_WITHIN_S: Final = 2.0
READY_WITHIN_S: Final = 30.0
RESTART_AFTER_S: Final = 1.0
CONFIG_STATUS: Final = 2
"""How a worker ends that could not use its settings; see `proxy.cli.main`."""


class Worker:
    """One worker process, as its parent sees it."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: Channel
    ) -> None:
        self.number = number
        self.process = process
        self.channel = channel
        self.ready = asyncio.Event()
        self.asked: asyncio.Future[Numbers] | None = None


class Supervisor:
    """Keeps `count` workers running until it is told to stop."""

    def __init__(
        self,
        count: int,
        sockets: Sequence[socket.socket],
        *,
        command: Sequence[str],
        mock_key: bytes,
        drain_timeout_s: float,
    ) -> None:
        """Prepare.

        Args:
            count: how many workers.
            sockets: where they listen.
            command: starts a worker; worker number and descriptors are appended.
            mock_key: key to the salts of unknown names, for all of them.
            drain_timeout_s: how long a worker may take to stop.
        """
        self._count = count
        self._sockets = sockets
        self._command = command
        self._patience_s = drain_timeout_s + 10.0
        self._workers: dict[int, Worker] = {}
        self._mock_key = mock_key
        self._stopping = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """The process ids: ours, then the workers'."""
        return [os.getpid(), *(each.process.pid for each in self._workers.values())]

    async def run(
        self, around: Callable[[Supervisor], AbstractAsyncContextManager[None]]
    ) -> None:
        """Start the workers, keep them running, stop them all on SIGTERM or SIGINT.

        Raises:
            UnavailableError: a worker ended before it served.
            ConfigError: the same, as it could not use the settings.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_all)
        loop.add_signal_handler(signal.SIGHUP, self._tell_all, signal.SIGHUP)
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [
                    group.create_task(self._keep(number))
                    for number in range(self._count)
                ]
                await self._all_ready(keepers)
                async with around(self):
                    await self._stopping.wait()
        except* PgwardenError as problems:
            raise problems.exceptions[0] from None

    async def numbers(self) -> Snapshot:
        """The sum over the workers that answer in time."""
        return merge(
            [unpack(each.snapshot) for each in await self._ask_all() if each.snapshot]
        )

    async def problems(self) -> list[str]:
        """What keeps any worker from being ready."""
        answers = await self._ask_all()
        found = {problem for each in answers for problem in each.problems}
        if len(answers) < self._count:
            found.add(f"{self._count - len(answers)} worker(s) do not answer")
        return sorted(found)

    async def _ask_all(self) -> list[Numbers]:
        loop = asyncio.get_running_loop()
        asked = []
        for worker in self._workers.values():
            if worker.asked is None:
                worker.asked = loop.create_future()
                worker.channel.send(NumbersWanted())
            asked.append(asyncio.shield(worker.asked))
        if not asked:
            return []
        done, _ = await asyncio.wait(asked, timeout=ANSWER_WITHIN_S)
        return [each.result() for each in done]

    async def _all_ready(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        async with asyncio.timeout(READY_WITHIN_S):
            while len(self._workers) < self._count or not all(
                each.ready.is_set() for each in self._workers.values()
            ):
                for keeper in keepers:
                    if keeper.done():
                        await keeper
                if self._stopping.is_set():
                    return
                await asyncio.sleep(0.02)

    async def _keep(self, number: int) -> None:
        """Run one worker, and another when it ends too early."""
        while not self._stopping.is_set():
            worker = await self._start(number)
            self._workers[number] = worker
            listening = asyncio.create_task(self._listen(worker))  # noqa: TID251 - awaited below
            ended = asyncio.create_task(worker.process.wait())  # noqa: TID251
            stop = asyncio.create_task(self._stopping.wait())  # noqa: TID251
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                await self._stop(worker)
            stop.cancel()
            code = await ended
            await listening
            worker.channel.close()
            if self._stopping.is_set():
                return
            if not worker.ready.is_set():
                self._stopping.set()
                kind = ConfigError if code == CONFIG_STATUS else UnavailableError
                raise kind(f"worker {number} ended with status {code}")
            _log.error("worker_ended", worker=number, status=code)
            await asyncio.sleep(RESTART_AFTER_S)

    async def _start(self, number: int) -> Worker:
        ours, theirs = socket.socketpair()
        descriptors = [each.fileno() for each in self._sockets]
        process = await asyncio.create_subprocess_exec(
            *self._command,
            f"--worker={number}",
            f"--control-fd={theirs.fileno()}",
            *(f"--listen-fd={descriptor}" for descriptor in descriptors),
            pass_fds=[theirs.fileno(), *descriptors],
            stdin=asyncio.subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the parent alone; it tells the workers.
            start_new_session=True,
        )
        theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        channel = Channel(reader, writer)
        channel.send(Welcome(self._mock_key))
        return Worker(number, process, channel)

    async def _stop(self, worker: Worker) -> None:
        if worker.process.returncode is None:
            worker.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._patience_s):
                await worker.process.wait()
        except TimeoutError:
            _log.error("worker_killed", worker=worker.number)
            worker.process.kill()

    async def _listen(self, worker: Worker) -> None:
        async for note in worker.channel.notes():
            self._heard(worker, note)
        if worker.asked is not None and not worker.asked.done():
            worker.asked.set_result(Numbers(b"", ["a worker is gone"]))

    def _heard(self, worker: Worker, note: Note) -> None:
        match note:
            case Ready():
                worker.ready.set()
            case Numbers():
                if worker.asked is not None and not worker.asked.done():
                    worker.asked.set_result(note)
                worker.asked = None
            case Cancel(pid):
                other = self._workers.get(worker_of(pid))
                if other is not None and other is not worker:
                    other.channel.send(note)
            case NumbersWanted() | Welcome():
                _log.error("unexpected_note", worker=worker.number)

    def _stop_all(self) -> None:
        if self._stopping.is_set():
            # Asked a second time: the workers shall not wait either.
            self._tell_all(signal.SIGTERM)
        self._stopping.set()

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.send_signal(number)


def worker_command() -> list[str]:
    """The command line of a worker, up to its own options."""
    return [sys.executable, "-m", "proxy.cli.main", "serve"]
