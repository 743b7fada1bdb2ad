"""`pgwarden serve` from top to bottom: open everything, serve, drain, close.

Next: `proxy.server.server`, `proxy.server.listener`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from watchfiles import awatch

from proxy.audit.writer import ChainWriter
from proxy.errors import IDLE_SESSION_TIMEOUT, ErrorReport
from proxy.metrics import Metrics
from proxy.server.committer import Committer
from proxy.server.dial import Dialler
from proxy.server.listener import Listener, bind
from proxy.server.server import Server
from proxy.server.tasks import Tasks
from proxy.server.tls import frontend_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from proxy.settings import Settings

_log = structlog.get_logger("server")

SWEEP_EVERY_S = 1.0
FINISH_WITHIN_S = 5.0
GC_THRESHOLDS = (50_000, 20, 50)
"""Python's default of 700 makes the collector walk the verdict caches many times a
second: a fifth of the time of a statement."""


async def serve_sessions(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    worker: int = 0,
    around: Callable[[Server], AbstractAsyncContextManager[None]],
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: how.
        sockets: where to listen.
        worker: number of this process among the workers.
        around: what else runs while it serves, entered once clients can come in.

    Raises:
        ConfigError: something of the settings can't be used.
    """
    loop = asyncio.get_running_loop()
    wall_clock = time.time  # noqa: TID251 - this is where the clock is injected
    metrics = Metrics(version=version("pgwarden"), started=time.monotonic())
    tasks = Tasks()
    tls_context = frontend_context(settings.tls) if settings.tls else None
    dialler = Dialler(settings.upstream, tasks=tasks)
    writer = ChainWriter(
        settings.audit.folder,
        worker=str(worker),
        at=wall_clock(),
        counters=metrics.audit,
        durability=settings.audit.durability,
    )
    committer = Committer(loop, writer, wall_clock=wall_clock)
    try:
        server = Server(
            settings,
            loop=loop,
            metrics=metrics,
            committer=committer,
            dialler=dialler,
            tasks=tasks,
            tls_context=tls_context,
            worker=worker,
        )
    except BaseException:
        committer.close()
        raise
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server.stop = stopping.set
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    listeners = [Listener(server, listening) for listening in sockets]
    watching = tasks.spawn(_follow_files(server))
    sweeping = tasks.spawn(_sweep(server))
    _log.info("serving", listen=[_shown(each) for each in sockets], worker=worker)
    # What was made up to here stays; what a statement makes rarely forms cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    async with around(server):
        await stopping.wait()
    _log.info("draining", sessions=len(server.links))
    for listener in listeners:
        listener.close()
    watching.cancel()
    await _drain(server)
    sweeping.cancel()
    await tasks.finish(FINISH_WITHIN_S)
    committer.close()
    _log.info("stopped")


async def _follow_files(server: Server) -> None:
    """Reload when policy or identities change on disk."""
    paths = {server.settings.policy, server.settings.identities}
    folders = {path.parent for path in paths}
    names = {os.fspath(path.resolve()) for path in paths} | {
        os.fspath(path) for path in paths
    }
    async for changes in awatch(
        *folders,
        recursive=False,
        debounce=300,
        watch_filter=lambda _, path: path in names,
    ):
        if changes:
            server.reload()


async def _sweep(server: Server) -> None:
    """Once a second: end sessions that are idle for too long, measure the loop."""
    limit_s = server.settings.limits.idle_session_timeout_s
    loop = server.loop
    while True:
        due = loop.time() + SWEEP_EVERY_S
        await asyncio.sleep(SWEEP_EVERY_S)
        server.metrics.loop_lag_s = max(0.0, loop.time() - due)
        if not limit_s:
            continue
        for link in list(server.links):
            if link.active or not link.is_quiet:
                link.active = False
                link.idle_s = 0.0
                continue
            link.idle_s += SWEEP_EVERY_S
            if link.idle_s >= limit_s:
                link.end_idle(
                    ErrorReport(
                        IDLE_SESSION_TIMEOUT,
                        f"terminating connection: idle for more than {limit_s:g} s",
                        hint="reconnect",
                        severity="FATAL",
                    )
                )


async def _drain(server: Server) -> None:
    """End sessions as they fall idle; the rest when the time is up."""
    until = server.clock() + server.settings.limits.drain_timeout_s
    for entrance in list(server.entrances):
        entrance.abandon()
    while server.links:
        is_late = server.clock() >= until
        for link in list(server.links):
            if is_late or link.is_quiet:
                link.shut_down()
        await asyncio.sleep(0.02)
        if is_late:
            break


def open_sockets(settings: Settings) -> list[socket.socket]:
    """Listen on every address of the settings.

    Raises:
        ConfigError: one can't be had.
    """
    sockets: list[socket.socket] = []
    try:
        for address in settings.listen:
            sockets += bind(address)
    except BaseException:
        for listening in sockets:
            listening.close()
        raise
    return sockets


def write_ready_file(
    settings: Settings,
    sockets: list[socket.socket],
    admin: socket.socket | None,
    pids: list[int],
) -> None:
    """Tell where we listen, atomically and for the owner's eyes only."""
    path = settings.ready_file
    if path is None:
        return
    content = {
        "listen": [_shown(listening) for listening in sockets],
        "admin": None if admin is None else _shown(admin),
        "pids": pids,
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    partial.replace(path)


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
