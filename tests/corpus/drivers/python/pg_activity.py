"""pg_activity on a terminal: a few rounds of each of its three lists."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

print("version", importlib.metadata.version("pg_activity"), flush=True)
screen, side = pty.openpty()
fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
program = subprocess.Popen(
    [sys.executable, "-P", "-m", "pgactivity"],
    stdin=side,
    stdout=side,
    stderr=side,
    env={**os.environ, "TERM": "xterm"},
)
for key in (b"", b"1", b"2", b"3", b"q"):
    os.write(screen, key)
    until = time.monotonic() + 3
    while time.monotonic() < until and program.poll() is None:
        if select.select([screen], [], [], 0.1)[0]:
            try:
                os.read(screen, 65536)
            except OSError:
                break
program.wait(20)
