"""Staging and production on this machine: two servers, and a pgwarden before each.

    python -m proxy.demo.pair FOLDER

Serves until its standard input ends or it is told to stop, and leaves nothing behind.
Into FOLDER it writes the settings of both, and `environment`, which a shell reads when
everything listens. For deploy/ci/local.sh and for trying migrations out; both databases
are the demo's shop. Imports `embedded`, `config`, `serving`. Next: `proxy.demo.run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from proxy.demo.binaries import wheel_bin_dir
from proxy.demo.config import Ports, fill_store, people, write_settings
from proxy.demo.embedded import EmbeddedGround
from proxy.demo.folder import DemoFolder, write_private
from proxy.demo.postgres import url
from proxy.demo.serving import serving, until_serving, until_trouble
from proxy.errors import PgwardenError
from proxy.shipped import policy_path

if TYPE_CHECKING:
    import subprocess
    from contextlib import AsyncExitStack

ENVIRONMENT: Final = "environment"
"""The file of FOLDER that is written last."""
STAGING: Final[dict[str, Any]] = {
    "environment": "staging",
    "keys": "keys.yaml",
    "signing_key": "record.key",
}
"""The section `migrations` of staging's settings."""
PRODUCTION: Final[dict[str, Any]] = {
    "environment": "production",
    "keys": "keys.yaml",
    "accept": [{"environment": "staging", "database": "shop"}],
    "gates": {"backup": {"file": "backups", "max_age_h": 24}},
}
PROOFS: Final = {"staging": "record", "production": "require"}
"""What the policy of each says of the deploy job."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of them, serving.

    Attributes:
        name: `staging` or `production`.
        deploy_url: the deploy job's, through pgwarden.
        past_url: the superuser's, past pgwarden.
    """

    name: str
    folder: DemoFolder
    ground: EmbeddedGround
    proxy: subprocess.Popen[bytes]
    deploy_url: str
    past_url: str


async def serve(target: Path) -> None:
    """Serve both until cancelled.

    Args:
        target: FOLDER.

    Raises:
        UnavailableError: one of them did not start, or ended by itself.
    """
    (target / "backups").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        sides = [await _side(stack, target, name) for name in PROOFS]
        staging, production = sides
        lines = {
            "STAGING_URL": staging.deploy_url,
            "PRODUCTION_URL": production.deploy_url,
            "PAST_STAGING": staging.past_url,
            "PAST_PRODUCTION": production.past_url,
            "AUDIT": str(production.folder.audit),
            "POSTGRES_PROGRAMS": str(wheel_bin_dir()),
        }
        text = "".join(f"{k}={shlex.quote(v)}\n" for k, v in lines.items())
        write_private(target / ENVIRONMENT, text)
        await asyncio.gather(
            *(until_trouble(each.proxy, each.ground, each.folder) for each in sides)
        )


async def _side(stack: AsyncExitStack, target: Path, name: str) -> Side:
    folder = stack.enter_context(DemoFolder(None))
    ground = EmbeddedGround(folder)
    stack.push_async_callback(ground.restore)
    served = await ground.prepare()
    await asyncio.to_thread(fill_store, folder)
    settings = write_settings(
        folder, served, Ports(0, 0), workers=1, policy=_policy(target, name)
    )
    content = yaml.safe_load(settings.read_text("utf-8"))
    content["migrations"] = PRODUCTION if name == "production" else STAGING
    write_private(target / f"{name}.yaml", yaml.safe_dump(content, sort_keys=False))
    proxy = stack.enter_context(serving(folder, target / f"{name}.yaml"))
    opened = await until_serving(proxy, folder)
    deploy = next(one for one in people(folder.passwords) if one.kind == "migrator")
    through = url(deploy.user, deploy.password, opened.port, served.database)
    return Side(name, folder, ground, proxy, through, served.superuser_url)


def _policy(target: Path, name: str) -> Path:
    """The shipped one, with what proofs are to its deploy job."""
    document = yaml.safe_load(policy_path(name).read_text("utf-8"))
    document["roles"]["migrator"]["migrations"] = {"proofs": PROOFS[name]}
    path = target / f"policy-{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return path


async def _until_told(target: Path) -> None:
    loop = asyncio.get_running_loop()
    working = loop.create_task(serve(target))
    is_over = False

    def stop() -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            working.cancel()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    loop.add_reader(sys.stdin, read)
    try:
        await working
    except asyncio.CancelledError:
        if not is_over:
            raise


def main() -> int:
    """The command; exit status 1 with a line on stderr where something is wrong."""
    try:
        asyncio.run(_until_told(Path(sys.argv[1]).absolute()))
    except PgwardenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
