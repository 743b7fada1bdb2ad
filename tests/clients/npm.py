"""The Node packages of `node/package.json`, installed once and kept.

They live in `.cache/` of the checkout, in a folder named after package.json's content:
a changed version is a new folder, and a broken download leaves nothing behind. Without
Node, npm or a package registry the tests are left out, loudly; in CI that is a failure.
Next: `tests.clients.conftest`, `tests.clients.prisma_project`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.tools import program

_HERE = Path(__file__).parent
MANIFEST = _HERE / "node" / "package.json"
CACHE = _HERE.parent.parent / ".cache"
_INSTALL_S = 300.0


def node_modules(manifest: Path = MANIFEST) -> Path:
    """The folder `node_modules` of a package.json; installs it the first time."""
    program("node")
    npm = program("npm")
    wanted = hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    target = CACHE / f"node-{wanted}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "node.lock").open("w") as lock:
        # test processes run side by side; the first one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(npm, manifest, target)
    return target / "node_modules"


def _install(npm: str, manifest: Path, target: Path) -> None:
    work = target.with_suffix(".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copy(manifest, work)
    done = subprocess.run(
        # Install scripts would download Prisma's native engines; its WebAssembly ones
        # are in the packages.
        [
            *(npm, "install", "--ignore-scripts", "--no-package-lock"),
            *("--no-audit", "--no-fund", "--loglevel", "error"),
        ],
        cwd=work,
        env={**os.environ, "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr.strip()[-300:]}")
    work.rename(target)
