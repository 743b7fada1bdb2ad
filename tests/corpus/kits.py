"""Where the tools of each language are installed: once, into `.cache/` of the checkout.

A folder is named after the content of its manifest, so another version is another
folder. Nothing of this is a part of `make setup`: only the recorder needs it, the tests
read what it wrote. What this machine lacks is a loud skip. Next: `tests.corpus.tools`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.clients import npm
from tests.clients.tools import program, run

Drive: TypeAlias = Callable[[int, Mapping[str, str], Path], str]
"""Major version of the server, environment, folder for files; the tool's version."""

Run: TypeAlias = tuple[int, Drive]
"""The major version of the server to record at, and what is done there."""

DRIVERS = Path(__file__).with_name("drivers")
_INSTALL_S = 1200.0
_DRIVE_S = 300.0


def python(name: str, *arguments: str) -> Drive:
    """A driver in Python, in an environment of its own."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        manifest = DRIVERS / "python" / "requirements.txt"
        target = _once("python", manifest, _install_python)
        # -P: a driver is named like the package that it drives
        script = DRIVERS / "python" / f"{name}.py"
        interpreter = target / "bin" / "python"
        command: list[str | Path] = [interpreter, "-P", script, *arguments]
        return _version(command, environment, folder)

    return drive


def _install_python(target: Path, manifest: Path) -> None:
    _install([sys.executable, "-m", "venv", target])
    _install([target / "bin" / "pip", "install", "-q", "-r", manifest])


def node(name: str, *arguments: str) -> Drive:
    """A driver in JavaScript, beside the packages of `drivers/node/package.json`."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        source = DRIVERS / "node"
        modules = npm.node_modules(source / "package.json")
        (folder / "node_modules").symlink_to(modules)
        for script in (f"{name}.mjs", "version.mjs"):
            shutil.copy(source / script, folder)
        command: list[str | Path] = ["node", f"{name}.mjs", *arguments]
        return _version(command, environment, folder)

    return drive


def java(name: str) -> Drive:
    """A driver in Java, compiled each time; `Pgjdbc` has what others share."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        jars = _once("java", DRIVERS / "java" / "pom.xml", _install_java)
        path = f"{jars}/*:{folder}"
        files = [DRIVERS / "java" / f"{one}.java" for one in {"Pgjdbc", name}]
        _install([program("javac"), "-cp", path, "-d", folder, *files])
        return _version([program("java"), "-cp", path, name], environment, folder)

    return drive


def _install_java(target: Path, manifest: Path) -> None:
    _install(
        [
            *(program("mvn"), "-q", "-B", "-f", manifest),
            *("dependency:copy-dependencies", f"-DoutputDirectory={target}"),
        ]
    )


def go(name: str) -> Drive:
    """A driver in Go, a package of the module in `drivers/go`."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        built = folder / name
        _install(
            [program("go"), "-C", DRIVERS / "go", "build", "-o", built, f"./{name}"]
        )
        return _version([built], environment, folder)

    return drive


def rust(name: str) -> Drive:
    """A driver in Rust, a program of the crate in `drivers/rust`."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        # Built from a copy: cargo writes its lock file beside the manifest.
        source = npm.CACHE / "corpus-rust"
        shutil.copytree(DRIVERS / "rust", source, dirs_exist_ok=True)
        _install(
            [program("cargo"), "build", "-q", "--manifest-path", source / "Cargo.toml"]
        )
        return _version([source / "target" / "debug" / name], environment, folder)

    return drive


def system(interpreter: str, file: str) -> Drive:
    """A driver for what the system's packages install; its first line says which."""

    def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
        # Copied, because some tools put the script's path into application_name.
        shutil.copy(DRIVERS / "system" / file, folder)
        return _version([program(interpreter), file], environment, folder)

    return drive


def _version(
    command: list[str | Path], environment: Mapping[str, str], folder: Path
) -> str:
    """Run a driver to its end; what it printed behind "version" in its first line."""
    done = run(command, environment=environment, cwd=folder, timeout_s=_DRIVE_S).ok()
    first = done.out.split("\n", 1)[0]
    assert re.match(r"version \d", first), first
    return first.removeprefix("version ").strip()


def _once(kit: str, manifest: Path, install: Callable[[Path, Path], None]) -> Path:
    wanted = hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    target = npm.CACHE / f"corpus-{kit}-{wanted}"
    if not target.exists():
        npm.CACHE.mkdir(exist_ok=True)
        try:
            install(target, manifest)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    return target


def _install(command: list[str | Path]) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
