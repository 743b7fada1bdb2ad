"""A psql with a person at it: a pseudo-terminal, keys in, screen out.

Needed for what psql only does on a terminal: completion on Tab, Ctrl-C, `\\watch` until
it is stopped. Next: `tests.clients.test_psql_terminal`.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.clients.tools import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROMPT = re.compile(r"=[>#] $")
TAB = "\t"
CTRL_C = "\x03"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x07|\r")
_STEP_S = 0.1


class Terminal:
    """One program on a terminal of its own."""

    def __init__(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str]
    ) -> None:
        self._master, side = pty.openpty()
        # A session of its own makes this terminal the controlling one, so that ^C
        # becomes SIGINT there and nowhere else.
        self._process = subprocess.Popen(
            [program("setsid"), "--ctty", "--wait", *map(str, command)],
            stdin=side,
            stdout=side,
            stderr=side,
            env={**environment, "TERM": "dumb", "INPUTRC": "/dev/null"},
        )
        os.close(side)
        self._screen = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, pattern: str | re.Pattern[str], *, timeout_s: float = 15) -> str:
        """What appeared since the last call, once it matches."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self._screen):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self._screen}"
            self._read()
        seen, self._screen = self._screen, ""
        return seen

    def enter(self, line: str, *, until: str | re.Pattern[str] = PROMPT) -> str:
        """Type a line and Return; what came back up to the next prompt."""
        self.press(line + "\n")
        return self.wait_for(until)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        os.close(self._master)
        self._process.wait(10)

    def _read(self) -> None:
        ready, _, _ = select.select([self._master], [], [], _STEP_S)
        if ready:
            with contextlib.suppress(OSError):  # EIO: the program is gone
                said = os.read(self._master, 65536).decode("utf-8", "replace")
                self._screen += _ESCAPES.sub("", said)


@contextlib.contextmanager
def terminal(
    command: Sequence[str | Path], *, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """A program on a terminal, ended afterwards."""
    opened = Terminal(command, environment=environment)
    try:
        yield opened
    finally:
        opened.close()
