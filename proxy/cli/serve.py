"""`pgwarden serve`: put the parts together and run them until told to stop.

The composition root: the server shell knows nothing of the console, which sits above
it. Next: `proxy.server.run`.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

from proxy.console.app import admin_app, admin_server, listen
from proxy.logs import configure
from proxy.server.run import open_sockets, serve_sessions, write_ready_file
from proxy.settings import load_settings

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from proxy.metrics import Snapshot
    from proxy.server.server import Server


def serve(
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            "-c",
            envvar="PGWARDEN_CONFIG",
            metavar="FILE",
            help="Settings in YAML; PGWARDEN_* variables are laid on top.",
        ),
    ],
) -> None:
    """Guard a Postgres: listen for clients and judge every statement.

    SIGHUP reads policy and identities again (a change of the files does, too); SIGTERM
    lets running statements end, then stops.
    """
    settings = load_settings(config, os.environ)
    configure(settings.log.format, settings.log.level)
    sockets = open_sockets(settings)
    admin = settings.admin
    admin_socket = None if admin is None else listen(admin.host, admin.port)

    @asynccontextmanager
    async def with_admin(server: Server) -> AsyncIterator[None]:
        async with _admin(server, admin_socket):
            write_ready_file(settings, sockets, admin_socket, [os.getpid()])
            yield

    uvloop.run(serve_sessions(settings, sockets, around=with_admin))
    if settings.ready_file is not None:
        settings.ready_file.unlink(missing_ok=True)


@asynccontextmanager
async def _admin(
    server: Server, listening: socket.socket | None
) -> AsyncIterator[None]:
    """The admin port while the server runs."""
    if listening is None:
        yield
        return

    async def snapshot() -> Snapshot:
        return server.metrics.snapshot(time.monotonic())

    async def problems() -> list[str]:
        return server.problems()

    console = admin_server(admin_app(snapshot=snapshot, problems=problems))
    running = server.tasks.spawn(console.serve(sockets=[listening]))
    try:
        yield
    finally:
        console.should_exit = True
        await asyncio.wait([running], timeout=3.0)
