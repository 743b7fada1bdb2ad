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
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from proxy.audit.writer import ChainWriter
from proxy.errors import UnavailableError
from proxy.metrics import Metrics
from proxy.server.client_tls import warn_if_outdated
from proxy.server.committer import Committer
from proxy.server.dial import Dialler
from proxy.server.fetch import client_for
from proxy.server.follow import Follower, look
from proxy.server.issuers import Issuers
from proxy.server.listener import Listener, bind
from proxy.server.probe import watch_hosts, watch_upstream
from proxy.server.proof_settings import not_followed
from proxy.server.reload import tell_left_out
from proxy.server.server import Server
from proxy.server.sources import read_sources, source_paths
from proxy.server.sweep import sweep
from proxy.server.tasks import Tasks
from proxy.server.tls import frontend_tls, refuse_outdated

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from proxy.server.gate import Gate
    from proxy.server.sources import Sources
    from proxy.server.stored import Stored
    from proxy.server.tls import FrontendTls
    from proxy.settings import Settings

_log = structlog.get_logger("server")

DRAIN_LOOK_EVERY_S = 0.02
FAREWELL_WITHIN_S = 2.0
"""How long the upstream may take, at the very end, to stop what was cancelled."""
FINISH_WITHIN_S = 5.0
STORE_RETRY_S = 1.0
GC_THRESHOLDS = (50_000, 20, 50)
"""Python's default of 700 makes the collector walk the verdict caches many times a
second: a fifth of the time of a statement."""


async def serve_sessions(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    worker: int = 0,
    mock_key: bytes,
    gate: Gate | None = None,
    around: Callable[[Server], AbstractAsyncContextManager[None]],
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: how.
        sockets: where to listen.
        worker: number of this process among the workers.
        mock_key: key to the salts of unknown names, the same in all workers.
        gate: lets sessions in; None begins with a closed one.
        around: what else runs while it serves, entered once clients can come in.

    Raises:
        ConfigError: something of the settings can't be used.
    """
    stored = await _opened(settings)
    try:
        server, follower = _made(
            settings, stored, worker=worker, mock_key=mock_key, gate=gate
        )
        await _serve(server, follower, sockets, around)
    finally:
        if stored is not None:
            await stored.close()


def _made(
    settings: Settings,
    stored: Stored | None,
    *,
    worker: int,
    mock_key: bytes,
    gate: Gate | None,
) -> tuple[Server, Follower]:
    """The server, and who notices that its files have changed."""
    wall_clock = time.time  # noqa: TID251 - this is where the clock is injected
    loop = asyncio.get_running_loop()
    metrics = Metrics(version=version("pgwarden"), started=time.monotonic())
    tasks = Tasks()
    paths = source_paths(settings)
    seen = look(paths)
    sources = read_sources(settings, stored.roll if stored is not None else None)
    tls = _frontend_tls(settings, sources)
    dialler = Dialler(settings.upstream, tasks=tasks, keys=sources.keys)
    dialler.hosts.passed_over = metrics.upstream.failover
    issuers = Issuers(
        settings.issuers, tasks=tasks, counters=metrics.issuers, clock=time.monotonic
    )
    # Last: a mistake in any of the above must not leave an audit file behind.
    writer = ChainWriter(
        settings.audit.folder,
        worker=str(worker),
        at=wall_clock(),
        counters=metrics.audit,
        durability=settings.audit.durability,
    )
    committer = Committer(loop, writer, wall_clock=wall_clock)
    server = Server(
        settings,
        loop=loop,
        metrics=metrics,
        committer=committer,
        dialler=dialler,
        tasks=tasks,
        sources=sources,
        tls=tls,
        issuers=issuers,
        worker=worker,
        gate=gate,
    )
    server.mock_key = mock_key
    server.stored = stored
    if settings.migrations is not None and stored is not None:
        from proxy.server.migrating.ground import Ground  # noqa: PLC0415 - needs a store

        server.ground = Ground(
            settings.migrations, stored.store, server.tools, now=wall_clock
        )
    tell_left_out(sources)
    if worker == 0 and (problem := not_followed(sources.policy, settings)):
        _log.warning("migrations_not_followed", problem=problem)
    return server, Follower(paths, server.reload, known=seen)


async def _serve(
    server: Server,
    follower: Follower,
    sockets: list[socket.socket],
    around: Callable[[Server], AbstractAsyncContextManager[None]],
) -> None:
    """From the first client until everybody has gone."""
    loop, tasks, stored = server.loop, server.tasks, server.stored
    loans = await _loans(server, stored)
    stopping = asyncio.Event()
    hurry = asyncio.Event()

    def stop() -> None:
        # Asked a second time, somebody has no patience for running statements.
        (hurry if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    server.stop = stopping.set
    loop.add_signal_handler(signal.SIGHUP, follower.now)
    listeners = [Listener(server, listening) for listening in sockets]
    keeping = _keep(server, follower)
    keeping += [tasks.spawn(work) for work in loans]
    listen = [_shown(each) for each in sockets]
    _log.info("serving", listen=listen, worker=server.worker)
    # What was made up to here stays; what a statement makes rarely forms cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    async with around(server):
        await stopping.wait()
    _log.info("draining", sessions=len(server.links))
    for listener in listeners:
        listener.close()
    await _drain(server, hurry)
    for task in keeping:
        task.cancel()
    await tasks.finish(FINISH_WITHIN_S)
    await server.issuers.close()
    server.door.close()
    server.committer.close()
    _log.info("stopped")


def _keep(server: Server, follower: Follower) -> list[asyncio.Task[None]]:
    """What goes on beside the sessions, until the end."""
    refresh_s = server.settings.upstream.catalog.refresh_s
    return [
        server.tasks.spawn(each)
        for each in (
            follower.follow(),
            sweep(server),
            watch_upstream(server),
            watch_hosts(server),
            server.issuers.follow(),
            server.catalogs.follow(refresh_s),
            *(server.stored.works(server) if server.stored is not None else ()),
        )
    ]


async def _opened(settings: Settings) -> Stored | None:
    if settings.store is None:
        return None
    # Whoever has no store does not load its libraries.
    from proxy.server.stored import Stored  # noqa: PLC0415 - see above

    is_told = False
    while True:
        try:
            return await Stored.open(settings.store, time.perf_counter)
        except UnavailableError as error:
            # The parent could read it when it started. A worker that takes the place
            # of another one waits: ending would end those that serve.
            if not is_told:
                _log.error("store_unavailable", problem=error.message)
                is_told = True
            await asyncio.sleep(STORE_RETRY_S)


async def _loans(
    server: Server, stored: Stored | None
) -> list[Coroutine[object, object, None]]:
    if stored is None:
        return []
    from proxy.server.loans import lend  # noqa: PLC0415 - as above

    return await lend(server, stored)


async def _drain(server: Server, hurry: asyncio.Event) -> None:
    """End sessions as they fall idle; the rest when the time is up."""
    until = server.clock() + server.settings.limits.drain_timeout_s
    for entrance in list(server.entrances):
        entrance.abandon()
    while server.links or server.farewells:
        now = server.clock()
        if hurry.is_set():
            until = min(until, now)
        for link in list(server.links):
            if now >= until or link.is_quiet:
                link.shut_down()
        await asyncio.sleep(DRAIN_LOOK_EVERY_S)
        if now >= until + FAREWELL_WITHIN_S:
            break


def check_sources(settings: Settings) -> Sources:
    """Try everything that the settings name, so that a mistake is told at once.

    Not the audit folder, which would be made, nor the addresses, which may be in use.

    Raises:
        ConfigError: something can't be used.
    """
    sources = read_sources(settings)
    _frontend_tls(settings, sources)
    for issuer in settings.issuers.values():
        client_for(issuer.ca)
    Dialler(settings.upstream, tasks=Tasks(), keys=sources.keys)
    return sources


def _frontend_tls(settings: Settings, sources: Sources) -> FrontendTls | None:
    if settings.tls is None:
        return None
    refuse_outdated(settings.tls, datetime.now(UTC))
    tls = frontend_tls(settings.tls, sources.policy.logins)
    warn_if_outdated(tls.revocations, datetime.now(UTC))
    return tls


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
