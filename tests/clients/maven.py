"""The Java driver of `java/pom.xml`, fetched once and kept, and run.

As `tests.clients.npm` does it for Node: in `.cache/`, in a folder named after the
content of pom.xml. Without Java, Maven or a registry the tests are left out, loudly.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.npm import CACHE
from tests.clients.tools import bare_environment, program, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HERE = Path(__file__).parent / "java"
_INSTALL_S = 300.0


def login() -> Path:
    """The folder with the driver's jars and `Login`; makes it the first time."""
    pom, source = _HERE / "pom.xml", _HERE / "Login.java"
    content = pom.read_bytes() + source.read_bytes()
    target = CACHE / f"java-{hashlib.sha256(content).hexdigest()[:16]}"
    if target.exists():
        return target
    CACHE.mkdir(exist_ok=True)
    work = target.with_suffix(".partial")
    shutil.rmtree(work, ignore_errors=True)
    copying = ("dependency:copy-dependencies", f"-DoutputDirectory={work}")
    _make([program("mvn"), "-q", "-B", "-f", pom, *copying])
    _make([program("javac"), "-cp", f"{work}/*", "-d", work, source])
    work.rename(target)
    return target


def _make(command: list[str | Path]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_INSTALL_S, check=False
    )
    if done.returncode:
        pytest.skip(f"{command[0]} failed: {(done.stdout + done.stderr)[-300:]}")


def log_in(logins: Sequence[Mapping[str, str]]) -> list[str]:
    """Run `Login.java` on each of these properties; what it prints of each."""
    folder = login()
    lines = "".join(
        "".join(f"{name}={value}\n" for name, value in properties.items()) + "\n"
        for properties in logins
    )
    done = run(
        [program("java"), "-cp", f"{folder}/*:{folder}", "Login"],
        environment=bare_environment(),
        text=lines,
        timeout_s=120,
    )
    return done.ok().out.splitlines()
