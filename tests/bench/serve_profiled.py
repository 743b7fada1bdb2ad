"""`pgwarden serve` under cProfile, for `python -m tests.bench profile`.

SIGUSR1 begins, SIGUSR2 ends and writes `profile.pstats` beside the settings file. The
parts are those of `proxy.cli.serve`, without the admin port: metrics are counted all
the same. Next: `profiling`.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from proxy.logs import configure
from proxy.server.run import open_sockets, serve_sessions, write_ready_file
from proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.server.server import Server

PROFILE = "profile.pstats"


def main(config: Path) -> None:
    """Serve until SIGTERM."""
    settings = load_settings(config, os.environ)
    configure(settings.log.format, settings.log.level)
    sockets = open_sockets(settings)
    profile = cProfile.Profile()

    def end() -> None:
        profile.disable()
        partial = config.with_name(f".{PROFILE}")
        profile.dump_stats(partial)
        partial.replace(config.with_name(PROFILE))

    @asynccontextmanager
    async def around(_: Server) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, profile.enable)
        loop.add_signal_handler(signal.SIGUSR2, end)
        write_ready_file(settings, sockets, None, [os.getpid()])
        yield

    uvloop.run(serve_sessions(settings, sockets, mock_key=bytes(32), around=around))


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
