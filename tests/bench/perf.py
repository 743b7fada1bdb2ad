"""CPU samples of a running process by the library they fall in, where `perf` is there.

Unlike cProfile this sees the kernel and the C libraries and slows nothing down, but
Python is one block to it. Next: `profiling`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES_PER_S = 999
_STOP_S = 20.0
_LINE = re.compile(r"^\s*(\d+\.\d+)%\s+(\S.*?)\s*$", re.MULTILINE)


@contextlib.contextmanager
def sampled(pid: int, into: Path) -> Iterator[None]:
    """Sample while the block runs; without perf or the right to use it, do nothing."""
    perf = shutil.which("perf")
    if perf is None:
        yield
        return
    sampler = subprocess.Popen(
        [
            *(perf, "record", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S)),
            *("-p", str(pid), "-o", str(into)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        try:
            sampler.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            sampler.kill()
            sampler.wait()


def shares(recorded: Path) -> list[tuple[str, float]]:
    """Library and its share of the samples, largest first; [] without samples."""
    perf = shutil.which("perf")
    if perf is None or not recorded.exists():
        return []
    told = subprocess.run(
        [perf, "report", "-i", str(recorded), "--sort", "dso", "--stdio"],
        capture_output=True,
        text=True,
        check=False,
    )
    return read_shares(told.stdout)


def read_shares(told: str) -> list[tuple[str, float]]:
    """The lines of `perf report --sort dso --stdio`."""
    return [(name, float(percent) / 100) for percent, name in _LINE.findall(told)]
