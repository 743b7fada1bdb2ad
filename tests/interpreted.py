"""A pytest plugin: `proxy` from its sources, though it is compiled beside them.

`pytest -p tests.interpreted`, before anything is imported; see `make test-interpreted`.
What compilers are absent from runs the sources, so they are tested too.
"""

from __future__ import annotations

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parents[1] / "proxy")


def _sources_only(path: str) -> FileFinder:
    if not path.startswith(PACKAGE):
        raise ImportError
    return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


sys.path_hooks.insert(0, _sources_only)


def pytest_configure() -> None:
    from proxy.compiled import is_compiled  # noqa: PLC0415 - after the hook is there

    if is_compiled():
        raise RuntimeError("the sources were to be tested, not what is compiled")
