"""Run a program of the operator's: without a shell, bounded in time and output.

Next: `proxy.server.password_command` and `proxy.server.backup_gate`, which do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from proxy.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_OURS: Final = "PGWARDEN_"
_KILLED_WITHIN_S: Final = 5.0
"""A program that waits for a disk that is gone can't even be killed; nobody waits for
that."""


class ProgramError(Exception):
    """It did not come to an end by itself: why, as "took longer than 10 s"."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended.

    Attributes:
        status: its exit status; -N if signal N ended it.
        said: what it printed.
    """

    status: int
    said: bytes


async def run_program(argv: Sequence[str], *, within_s: float, max_bytes: int) -> Ran:
    """Run it to its end; if that takes too long, it and all it started are killed.

    Its standard error goes nowhere: a program in trouble may well print its secrets
    there. It gets our environment without pgwarden's own variables.

    Args:
        argv: the program and its arguments, each as it is.
        within_s: seconds until its end, and that of its output.
        max_bytes: most that it may print.

    Raises:
        ProgramError: it can't be run, took too long or printed too much.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, output = await loop.subprocess_exec(
            lambda: _Output(max_bytes),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith(_OURS)},
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"can't be run: {reason_of(error)}") from error
    except ValueError as error:
        raise ProgramError("can't be run: a NUL in its arguments") from error
    try:
        async with asyncio.timeout(within_s):
            await output.complete.wait()
            if not output.is_too_long:
                await output.exited.wait()
    except TimeoutError:
        raise ProgramError(f"took longer than {within_s:g} s") from None
    finally:
        if not (output.complete.is_set() and output.exited.is_set()):
            # Also what it has started and left behind, and when the caller is over.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILLED_WITHIN_S):
                await output.exited.wait()
        transport.close()
    if output.is_too_long:
        raise ProgramError(f"printed more than {max_bytes:,} bytes")
    status = transport.get_returncode()
    if status is None:
        raise ProgramError("went without an exit status")
    return Ran(status, bytes(output.said))


class _Output(asyncio.SubprocessProtocol):
    """What a program prints, up to the ceiling."""

    def __init__(self, max_bytes: int) -> None:
        self.said = bytearray()
        self.complete = asyncio.Event()
        self.exited = asyncio.Event()
        self._max_bytes = max_bytes

    @property
    def is_too_long(self) -> bool:
        return len(self.said) > self._max_bytes

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said += data[: self._max_bytes + 1 - len(self.said)]
        if self.is_too_long:
            self.complete.set()

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.complete.set()

    @override
    def process_exited(self) -> None:
        self.exited.set()
