"""`pgwarden demo` from start to end: a server, the proxy before it, nothing left over.

Postgres and the proxy are children; this process watches both and takes them down in
order. Imports `folder`, `embedded`, `foreign`, `config`, `serving`. Next:
`proxy.demo.postgres`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.demo import dsn
from proxy.demo.config import (
    LISTEN_HOST,
    Ports,
    everyone,
    fill_store,
    write_settings,
)
from proxy.demo.embedded import EmbeddedGround
from proxy.demo.folder import DemoFolder, write_private
from proxy.demo.foreign import ForeignGround, ForeignPlan
from proxy.demo.gate import waive
from proxy.demo.serving import serving, until_serving, until_trouble
from proxy.demo.words import Opened, introduction
from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from proxy.demo.ground import Ground, Served


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The command line of `pgwarden demo`."""

    port: int = 6432
    admin_port: int = 9187
    upstream: str | None = field(default=None, repr=False)
    database: str | None = None
    reader_role: str | None = None
    ready_file: Path | None = None
    data_dir: Path | None = None
    workers: int = 1


def run_demo(options: DemoOptions, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP. Call it from the main thread.

    Args:
        options: The command line.
        tell: Prints a paragraph.

    Raises:
        ConfigError: the options can't work, or a port is taken.
        UnavailableError: Postgres or the proxy did not start, or ended by itself.
    """
    _check(options)
    asyncio.run(_until_signalled(_Demo(options, tell)))


async def _until_signalled(demo: _Demo) -> None:
    loop = asyncio.get_running_loop()
    serving = loop.create_task(demo.serve())
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:  # a second Ctrl-C must not interrupt the clearing up
            stopped = True
            serving.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        await serving
    except asyncio.CancelledError:
        if not stopped:
            raise


class _Demo:
    """One run, from the folders to the ready-file and back."""

    def __init__(self, options: DemoOptions, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell

    async def serve(self) -> None:
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            folder = stack.enter_context(DemoFolder(options.data_dir))
            ground = self._ground(folder)
            served = await stack.enter_async_context(self._prepared(ground))
            settings, waived = await self._settings(folder, served)
            proxy = stack.enter_context(serving(folder, settings))
            opened = await until_serving(proxy, folder)
            for warning in (*served.warnings, *waived):
                self._tell(_framed(warning))
            self._tell(
                introduction(opened, served, everyone(folder.passwords), folder.audit)
            )
            stack.enter_context(self._ready_file(opened, served, folder))
            await until_trouble(proxy, ground, folder)

    def _ground(self, folder: DemoFolder) -> Ground:
        if self._options.upstream is None:
            self._tell("starting an embedded postgres with sample data ...")
            return EmbeddedGround(folder)
        plan = ForeignPlan(
            dsn.parse(self._options.upstream),
            self._options.database,
            self._options.reader_role,
        )
        return ForeignGround(plan)

    @contextlib.asynccontextmanager
    async def _prepared(self, ground: Ground) -> AsyncIterator[Served]:
        try:
            yield await ground.prepare()
        finally:
            for line in await ground.restore():
                self._tell(line)

    async def _settings(
        self, folder: DemoFolder, served: Served
    ) -> tuple[Path, list[str]]:
        """The settings file, and what its policy had to waive to be served."""
        await asyncio.to_thread(fill_store, folder)
        ports = Ports(self._options.port, self._options.admin_port)
        workers = self._options.workers
        settings = write_settings(folder, served, ports, workers=workers)
        waived = await waive(folder, settings)
        if waived is None:
            return settings, []
        settings = write_settings(
            folder, served, ports, workers=workers, policy=waived.policy
        )
        return settings, [waived.warning]

    @contextlib.contextmanager
    def _ready_file(
        self, opened: Opened, served: Served, folder: DemoFolder
    ) -> Iterator[None]:
        path = self._options.ready_file
        if path is None:
            yield
            return
        persons = everyone(folder.passwords)
        content = {
            "host": LISTEN_HOST,
            "port": opened.port,
            "database": served.database,
            "admin_url": opened.admin_url,
            "upstream_dsn": served.superuser_url,
            "audit_log": str(folder.audit),
            "pids": list(opened.pids),
            "identities": {person.kind: person.for_ready_file() for person in persons},
        }
        write_private(path, json.dumps(content, indent=2) + "\n")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _check(options: DemoOptions) -> None:
    """Find out before Postgres is started what would fail afterwards."""
    if options.upstream is None and (options.database or options.reader_role):
        raise ConfigError(
            "--database and --reader-role belong to --upstream",
            hint="the embedded postgres has its own database and roles",
        )
    if options.upstream is not None:
        dsn.parse(options.upstream)
    if options.port == options.admin_port != 0:
        raise ConfigError(f"--port and --admin-port are both {options.port}")
    for option, port in (
        ("--port", options.port),
        ("--admin-port", options.admin_port),
    ):
        _check_port(option, port)
    if options.ready_file is not None:
        if not options.ready_file.absolute().parent.is_dir():
            raise ConfigError(f'no folder for --ready-file "{options.ready_file}"')
        if options.ready_file.is_dir():
            raise ConfigError(f'--ready-file "{options.ready_file}" is a folder')
        # One left over from a killed demo would tell that this one serves already.
        options.ready_file.unlink(missing_ok=True)


def _check_port(option: str, port: int) -> None:
    with socket.socket() as probe:
        # As the server will: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LISTEN_HOST, port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else reason_of(error)
            raise ConfigError(
                f"port {port} on {LISTEN_HOST} {why}",
                hint=f"choose another one, or any free one: {option} 0",
            ) from None


def _framed(text: str) -> str:
    line = "!" * 78
    return "\n".join(("", line, *(f"! {part}" for part in text.splitlines()), line))
