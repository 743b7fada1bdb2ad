"""`pgwarden serve` as a child of the demo: started, waited for, watched, stopped.

Imports `children`, `config`, `folder`. Next: `proxy.demo.run`, `proxy.demo.pair`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from proxy.demo import children
from proxy.demo.config import serving_file
from proxy.demo.words import Opened
from proxy.errors import UnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.folder import DemoFolder
    from proxy.demo.ground import Ground

_POLL_S: Final = 0.1
_SERVING_S: Final = 30.0
_STOP_PROXY: Final = ((signal.SIGTERM, 10.0),)


@contextlib.contextmanager
def serving(folder: DemoFolder, settings: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The proxy with these settings, until the end of the block."""
    # The settings file says it all: PGWARDEN_* of this shell would change the demo.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PGWARDEN_")
    }
    proxy = children.spawn(
        # -P: a folder named "proxy" where the person stands is not ours.
        [
            sys.executable,
            "-P",
            "-m",
            "proxy.cli.main",
            "serve",
            "--config",
            str(settings),
        ],
        _proxy_log(folder),
        environment=environment,
    )
    try:
        yield proxy
    finally:
        children.stop(proxy, *_STOP_PROXY)


async def until_serving(proxy: subprocess.Popen[bytes], folder: DemoFolder) -> Opened:
    """Where it listens, once it does.

    Raises:
        UnavailableError: it ended instead, or takes too long.
    """
    file = serving_file(folder)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SERVING_S):
            while not file.exists():
                if proxy.poll() is not None:
                    raise UnavailableError(_ending("the proxy did not start", folder))
                await asyncio.sleep(_POLL_S)
            told: dict[str, Any] = json.loads(file.read_text("utf-8"))
            return Opened(
                _port(told["listen"][0]), _port(told["admin"]), tuple(told["pids"])
            )
    raise UnavailableError(
        _ending(f"the proxy does not listen after {_SERVING_S:.0f} seconds", folder)
    )


async def until_trouble(
    proxy: subprocess.Popen[bytes], ground: Ground, folder: DemoFolder
) -> None:
    """Return never; watch both.

    Raises:
        UnavailableError: one of them ended without being asked to.
    """
    while True:
        if proxy.poll() is not None:
            raise UnavailableError(_ending("the proxy ended by itself", folder))
        if trouble := ground.trouble():
            raise UnavailableError(trouble)
        await asyncio.sleep(_POLL_S)


def _proxy_log(folder: DemoFolder) -> Path:
    return folder.scratch / "pgwarden.log"


def _ending(what: str, folder: DemoFolder) -> str:
    said = children.last_lines(_proxy_log(folder))
    return f"{what}:\n{said}" if said else what


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
