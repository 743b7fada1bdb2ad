"""Several processes over one log, each with a share of its sessions.

`run` is the way in. A share is a function of this module's callers, handed over by name
to processes that are started for it. Next: `proxy.replay.replay`, `proxy.replay.learn`.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from proxy.errors import PgwardenError
from proxy.replay.records import Progress, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    OnProgress = Callable[[Progress], None]

R = TypeVar("R")

SMALL_LOG: Final = 32 * 1024 * 1024
"""Bytes that one process has read before a second one would have started."""


def processes_for(size: int, jobs: int = 0) -> int:
    """How many processes to use for a log of so many bytes; `jobs` if that is given."""
    if jobs:
        return jobs
    return 1 if size < SMALL_LOG else len(os.sched_getaffinity(0))


def run(
    work: Callable[[Share, OnProgress], R],
    kind: type[R],
    processes: int,
    on_progress: OnProgress,
) -> list[R]:
    """The results of all shares, in no order.

    Args:
        work: does one share; can be pickled.
        kind: what it returns, as msgspec knows it.
        processes: how many shares to make.
        on_progress: called as the work goes on.

    Raises:
        PgwardenError: a process ended before its share was done.
    """
    if processes == 1:
        return [work(Share(), on_progress)]
    children = dict(_start(work, Share(n, processes)) for n in range(processes))
    try:
        return _gathered(children, kind, on_progress)
    finally:
        for pipe, child in children.items():
            pipe.close()
            child.kill()
            child.join()


def _start(
    work: Callable[[Share, OnProgress], R], share: Share
) -> tuple[Connection, BaseProcess]:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    # Not a fork: the progress display of the parent has a thread.
    child = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, work, share), daemon=True
    )
    child.start()
    theirs.close()
    return ours, child


def _serve(
    pipe: Connection, work: Callable[[Share, OnProgress], R], share: Share
) -> None:
    """A child: do the share, tell of the progress, hand over the result."""
    result = work(
        share, lambda progress: pipe.send_bytes(msgspec.json.encode(progress))
    )
    pipe.send_bytes(b"=" + msgspec.json.encode(result))


def _gathered(
    children: Mapping[Connection, BaseProcess], kind: type[R], on_progress: OnProgress
) -> list[R]:
    results = []
    waiting = list(children)
    while waiting:
        ready = multiprocessing.connection.wait(waiting)
        for pipe in [each for each in waiting if each in ready]:
            try:
                message = pipe.recv_bytes()
            except EOFError:
                raise PgwardenError(
                    "a process that was reading the log has ended before it was done",
                    hint="see what it said above; --jobs 1 reads in one process",
                ) from None
            if message[:1] == b"=":
                results.append(msgspec.json.decode(message[1:], type=kind))
                waiting.remove(pipe)
            else:
                on_progress(msgspec.json.decode(message, type=Progress))
    return results
