"""Compiles the path of every statement ahead of time, with mypyc.

The modules named in pyproject.toml stay ordinary Python: without a C compiler, or with
PGWARDEN_COMPILE=never, they run interpreted, and slower. Hatchling calls the hook for a
wheel; `make setup` runs this file, which puts the result beside the sources. What was
compiled from which source is noted, so that a checkout whose sources have changed since
says so instead of running what was (`proxy.compiled`).
Source: https://mypyc.readthedocs.io and https://hatch.pypa.io/latest/plugins/build-hook/custom/
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    BuildHookInterface = object
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    except ImportError:  # run by hand, before hatchling is installed
        BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
GROUP = "pgwarden"
LIBRARY = f"{GROUP}__mypyc{SUFFIX}"
"""All that is compiled, at the top; each module is a few lines that load it."""
NOTE = Path("proxy") / "compiled.json"
TYPES = """\
[mypy]
ignore_missing_imports = True
ignore_errors = True
[mypy-asyncpg.*,cryptography.*,pglast.*,pydantic.*,pydantic_settings.*,structlog.*,yaml.*]
follow_imports = skip
"""
"""Of other packages only msgspec's types are looked at: half of the time saved. It is
`make types` that finds errors: here other packages may not be installed."""
NEEDED = ("mypy[mypyc]==2.4.1", "msgspec>=0.19", "setuptools>=65")
MODES = ("auto", "always", "never")


class CompileError(Exception):
    """It can't be compiled here; the text says why."""


def mode() -> str:
    """What PGWARDEN_COMPILE asks for.

    Raises:
        CompileError: nothing that is known.
    """
    asked = os.environ.get("PGWARDEN_COMPILE", "auto")
    if asked not in MODES:
        raise CompileError(f"PGWARDEN_COMPILE is {asked!r}, must be one of {MODES}")
    return asked


def modules() -> list[str]:
    """The sources to compile, as paths below the root."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: list[str] = project["tool"]["pgwarden"]["compiled"]
    return found


def artifacts() -> Iterator[Path]:
    """Everything compiled that lies beside the sources, of whatever Python."""
    yield from ROOT.glob(f"{GROUP}__mypyc.*.so")
    yield from (ROOT / "proxy").rglob("*.so")
    if (ROOT / NOTE).exists():
        yield ROOT / NOTE


def note() -> str:
    """What a compilation of the sources as they stand comes from."""
    digests = {
        name: sha256((ROOT / name).read_bytes()).hexdigest() for name in modules()
    }
    lines = [f'  "{name}": "{digest}"' for name, digest in sorted(digests.items())]
    own = sha256(Path(__file__).read_bytes()).hexdigest()
    lines.append(f'  "hatch_build.py {SUFFIX}": "{own}"')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def is_current() -> bool:
    """Whether the sources as they stand are compiled for this Python."""
    there = ROOT / NOTE
    return (
        there.exists()
        and (ROOT / LIBRARY).exists()
        and there.read_text("utf-8") == note()
    )


def clean() -> None:
    """Remove what is compiled: the sources run."""
    for path in list(artifacts()):
        path.unlink()


def compile_in_place() -> None:
    """Compile, and put the result beside the sources.

    Raises:
        CompileError: no compiler, no headers of Python, or it failed.
    """
    wanted = note()
    with tempfile.TemporaryDirectory(prefix="pgwarden-compile-") as folder:
        try:
            built = _build(Path(folder))
        # Compilers and their wrappers fail in many ways, SystemExit among them.
        except (Exception, SystemExit) as error:
            raise CompileError(str(error) or type(error).__name__) from error
        clean()
        for path in built.rglob(f"*{SUFFIX}"):
            target = ROOT / path.relative_to(built)
            # A running process keeps the file that it has mapped.
            partial = target.with_name(f".{target.name}.partial")
            shutil.copy2(path, partial)
            partial.replace(target)
    (ROOT / NOTE).write_text(wanted, "utf-8")


def _build(folder: Path) -> Path:
    from mypyc.build import mypycify  # noqa: PLC0415 - only who compiles needs it
    from setuptools import Distribution  # noqa: PLC0415

    os.chdir(ROOT)
    (folder / "mypy.ini").write_text(TYPES, "utf-8")
    extensions = mypycify(
        [
            f"--config-file={folder / 'mypy.ini'}",
            f"--cache-dir={ROOT / '.cache' / 'mypyc'}",
            *modules(),
        ],
        opt_level="1",  # as fast as 2 here, and a third less of a minute to wait
        debug_level="0",
        target_dir=str(folder / "c"),
        group_name=GROUP,
    )
    distribution = Distribution({"name": GROUP, "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = str(folder / "lib")
    command.build_temp = str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return folder / "lib"


def _check_tools() -> None:
    """Look for what a compilation needs, before the work that comes first.

    Raises:
        CompileError: it is not there.
    """
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        raise CompileError(f'there is no C compiler ("{compiler[0]}")')
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise CompileError(f'Python\'s own header "{header}" is not installed')


def ensure() -> str:
    """Do as PGWARDEN_COMPILE asks; why the result is not compiled, "" if it is.

    Raises:
        CompileError: it must be compiled, and can't be.
    """
    asked = mode()
    if asked == "never":
        clean()
        return "PGWARDEN_COMPILE=never"
    if is_current():
        return ""
    try:
        _check_tools()
        sys.stderr.write("compiling the path of every statement (once, a minute)\n")
        compile_in_place()
    except CompileError as error:
        clean()
        if asked == "always":
            raise
        return str(error)
    return ""


class CustomBuildHook(BuildHookInterface):
    """Hatchling's way in, for wheels; an editable install is compiled by `make`."""

    def dependencies(self) -> list[str]:
        """What the build environment needs on top."""
        return (
            ["mypy[mypyc]==2.4.1", "msgspec>=0.19", "setuptools>=65"]
            if mode() != "never"
            else []
        )

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and add the result to the wheel."""
        if version == "editable" or ensure():
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for path in artifacts():
            name = str(path.relative_to(ROOT))
            if path.suffix == ".so":
                build_data["force_include"][str(path)] = name


def main() -> int:
    """Compile the checkout."""
    try:
        why_not = ensure()
    except CompileError as error:
        sys.stderr.write(f"pgwarden can't be compiled: {error}\n")
        return 1
    if why_not:
        sys.stderr.write(
            f"pgwarden is not compiled ({why_not}): it runs all the same, at three "
            "times the processor time\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
