"""`pgwarden serve`: put the parts together and run them until told to stop.

The composition root: the server shell knows nothing of the console, which sits above
it. With several workers this process is their parent, and runs itself again for each.
Next: `proxy.server.run` (one worker), `proxy.server.supervisor` (the parent).
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
import uvloop

from proxy.cli.output import counted
from proxy.console.app import admin_app, admin_server, listen
from proxy.doctor.gate import at_start, tell, words_of
from proxy.doctor.watch import watch
from proxy.logs import configure
from proxy.server import report
from proxy.server.control import Cancel, Channel, Numbers, NumbersWanted, Ready, Welcome
from proxy.server.gate import Gate
from proxy.server.mock_key import mock_key
from proxy.server.proof_settings import not_followed
from proxy.server.run import (
    check_sources,
    open_sockets,
    serve_sessions,
    write_ready_file,
)
from proxy.server.sockets import allow_descriptors
from proxy.server.supervisor import Supervisor, worker_command
from proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.applications import Starlette

    from proxy.doctor.gate import Passed
    from proxy.metrics import Snapshot
    from proxy.server.server import Server
    from proxy.settings import Settings

_log = structlog.get_logger("server")


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
    *,
    is_check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read all that a start would read, say so, and end."
        ),
    ] = False,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
    control_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    listen_fd: Annotated[list[int] | None, typer.Option(hidden=True)] = None,
    gate_passed: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Guard a Postgres: listen for clients and judge every statement.

    SIGHUP reads policy, identities, certificates and upstream passwords again; a change
    of the policy, the identities or the certificate does so by itself. SIGTERM lets
    running statements end, then stops. Exit status 2: the configuration can't be used.

    Where the policy says so (`doctor: {gate: true}`, as production does), it refuses
    to start while `pgwarden doctor` finds something critical. Where the database can't
    be reached at the start it serves nobody until it could look.

    Before a restart or a reload: pgwarden serve --check --config pgwarden.yaml
    """
    settings = load_settings(config, os.environ)
    if is_check:
        _check(config, settings)
        return
    configure(settings.log.format, settings.log.level)
    if worker is not None and control_fd is not None:
        gate = Gate(gate_passed)
        uvloop.run(_work(settings, worker, control_fd, listen_fd or [], gate=gate))
        return
    allow_descriptors()
    sources = check_sources(settings)
    # Before the database is asked, which takes a while: a port that is taken is told at
    # once, and who connects meanwhile waits in the queue of the socket.
    sockets = open_sockets(settings)
    admin = settings.admin
    admin_socket = None if admin is None else listen(admin.host, admin.port)
    # One line of ours, not one of each worker; and before anybody is answered.
    passed = at_start(settings, sources)
    tell(passed.found)
    if passed.note:
        _log.error("gate_is_closed", problem=passed.note)
    try:
        # Last: it makes the audit folder, and a mistake must leave none behind.
        key = mock_key(settings)
        if settings.workers == 1:
            uvloop.run(
                _serve_alone(settings, sockets, admin_socket, Gate(passed.version), key)
            )
        else:
            command = _worker_command(config, passed)
            uvloop.run(_supervise(command, settings, sockets, admin_socket, key))
    finally:
        if settings.ready_file is not None:
            settings.ready_file.unlink(missing_ok=True)


def _check(config: Path, settings: Settings) -> None:
    """Say whether a start would go well."""
    sources = check_sources(settings)
    passed = at_start(settings, sources)
    policy, identities = sources.policy, sources.identities
    typer.echo(
        f"{config} can be used: policy {policy.name} ({policy.version}), "
        f"{counted(len(identities), 'identity', 'identities')}"
    )
    for line in words_of(passed.found):
        typer.echo(line)
    if problem := not_followed(policy, settings):
        typer.echo(problem)
    if passed.note:
        typer.echo(f"nobody would be served yet: {passed.note}", err=True)


def _worker_command(config: Path, passed: Passed) -> list[str]:
    command = [*worker_command(), "--config", str(config)]
    return [*command, f"--gate-passed={passed.version}"] if passed.version else command


async def _serve_alone(
    settings: Settings,
    sockets: list[socket.socket],
    admin_socket: socket.socket | None,
    gate: Gate,
    key: bytes,
) -> None:
    """One process does everything."""

    @asynccontextmanager
    async def around(server: Server) -> AsyncIterator[None]:
        async def numbers() -> Snapshot:
            return report.snapshot(server)

        async def problems() -> list[str]:
            return server.problems()

        async def warnings() -> list[str]:
            return report.warnings(server)

        app = admin_app(snapshot=numbers, problems=problems, warnings=warnings)
        async with _admin(admin_socket, app), _watched(server):
            write_ready_file(settings, sockets, admin_socket, [os.getpid()])
            yield

    await serve_sessions(settings, sockets, mock_key=key, gate=gate, around=around)


async def _supervise(
    command: Sequence[str],
    settings: Settings,
    sockets: list[socket.socket],
    admin_socket: socket.socket | None,
    key: bytes,
) -> None:
    """This process is the parent of several workers."""

    @asynccontextmanager
    async def around(supervisor: Supervisor) -> AsyncIterator[None]:
        app = admin_app(
            snapshot=supervisor.numbers,
            problems=supervisor.problems,
            warnings=supervisor.warnings,
        )
        async with _admin(admin_socket, app):
            write_ready_file(settings, sockets, admin_socket, supervisor.pids)
            yield

    supervisor = Supervisor(
        settings.workers,
        sockets,
        command=command,
        mock_key=key,
        drain_timeout_s=settings.limits.drain_timeout_s,
    )
    await supervisor.run(around)


async def _work(
    settings: Settings,
    worker: int,
    control_fd: int,
    listen_fds: Sequence[int],
    *,
    gate: Gate,
) -> None:
    """One worker of several: serves the parent's sockets, answers its questions."""
    control = socket.socket(fileno=control_fd)
    reader, writer = await asyncio.open_unix_connection(sock=control)
    channel = Channel(reader, writer)
    notes = channel.notes()
    first = await anext(notes, None)
    if not isinstance(first, Welcome):
        # The parent is gone already.
        return

    @asynccontextmanager
    async def around(server: Server) -> AsyncIterator[None]:
        async def listen_to_parent() -> None:
            async for note in notes:
                match note:
                    case NumbersWanted():
                        channel.send(report.numbers(server))
                    case Cancel():
                        server.cancel_here(note.pid, note.key)
                    case Numbers() | Ready() | Welcome():
                        pass
            # The parent is gone, and with it everything that could stop us.
            server.stop()

        server.pass_on_cancel = lambda pid, key: channel.send(Cancel(pid, key))
        listening = server.tasks.spawn(listen_to_parent())
        channel.send(Ready())
        try:
            async with _watched(server):
                yield
        finally:
            listening.cancel()
            channel.close()

    sockets = [socket.socket(fileno=descriptor) for descriptor in listen_fds]
    await serve_sessions(
        settings,
        sockets,
        worker=worker,
        mock_key=first.mock_key,
        gate=gate,
        around=around,
    )


@asynccontextmanager
async def _watched(server: Server) -> AsyncIterator[None]:
    """The gate is looked after while the server runs."""
    watching = server.tasks.spawn(watch(server))
    try:
        yield
    finally:
        watching.cancel()


@asynccontextmanager
async def _admin(
    listening: socket.socket | None, app: Starlette
) -> AsyncIterator[None]:
    """The admin port while the server runs."""
    if listening is None:
        yield
        return
    console = admin_server(app)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(console.serve(sockets=[listening]))
        try:
            yield
        finally:
            console.should_exit = True
            await asyncio.wait([running], timeout=3.0)
