"""What the kernel knows of a process: CPU time used and memory held.

CPU time comes from schedstat, which counts nanoseconds (proc(5); Documentation/
scheduler/sched-stats.rst), the split into user and system time from stat, which counts
ticks of 10 ms. Linux only. Next: `rig`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """CPU seconds used so far; the split is coarser than the total."""

    total_s: float
    user_s: float
    system_s: float

    def since(self, before: Cpu) -> Cpu:
        """What was used between two looks."""
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


NO_CPU = Cpu(0.0, 0.0, 0.0)


def cpu(pid: int | None) -> Cpu:
    """All threads of a process; nothing for None, a server that is not one process."""
    if pid is None:
        return NO_CPU
    process = Path("/proc", str(pid))
    # The name of the program may hold blanks and brackets; what follows may not.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    user_s, system_s = (int(ticks) * _TICK_S for ticks in fields[11:13])
    total_s = 0.0
    for thread in (process / "task").iterdir():
        try:
            total_s += int((thread / "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread is over, or the kernel keeps no schedstat
    return Cpu(total_s or user_s + system_s, user_s, system_s)


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} tells no VmRSS")
