"""The password that a program prints: run without a shell, bounded in time and size.

Next: `proxy.server.upstream_passwords`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHIN_S: Final = 10.0
"""A cloud's command line asks its metadata service in a second or two; a login that
waits for it is given up after 15 s."""
MAX_BYTES: Final = 16 * 1024
"""Amazon's tokens have some 1,500 bytes and Azure's up to 5,000; Postgres takes 65,535
(PG_MAX_AUTH_TOKEN_LENGTH)."""
_OURS: Final = "PGWARDEN_"


async def printed_by(argv: Sequence[str], user: str) -> str:
    """Run the program; what it printed, without the line's end.

    Its standard error goes nowhere: a program in trouble may well print its secrets
    there. It gets our environment without pgwarden's own variables.

    Args:
        argv: the program's full path, and its arguments.
        user: whose password it is, for the message.

    Raises:
        ConfigError: it did not end well in time, or did not print one line.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, output = await loop.subprocess_exec(
            _Output,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith(_OURS)},
            start_new_session=True,
        )
    except OSError as error:
        raise _problem(argv, user, f"can't be run: {reason_of(error)}") from error
    try:
        async with asyncio.timeout(WITHIN_S):
            await output.complete.wait()
            if not output.is_too_long:
                await output.exited.wait()
    except TimeoutError:
        raise _problem(argv, user, f"took longer than {WITHIN_S:g} s") from None
    finally:
        if not (output.complete.is_set() and output.exited.is_set()):
            # Also what it has started and left behind, and when the login is over.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
        await output.exited.wait()
        transport.close()
    if output.is_too_long:
        raise _problem(argv, user, f"printed more than {MAX_BYTES:,} bytes")
    if status := transport.get_returncode():
        raise _problem(
            argv, user, f"ended with status {status}; run it by hand to see why"
        )
    return _one_line(argv, user, bytes(output.said))


class _Output(asyncio.SubprocessProtocol):
    """What a program prints, up to the ceiling."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.complete = asyncio.Event()
        self.exited = asyncio.Event()

    @property
    def is_too_long(self) -> bool:
        return len(self.said) > MAX_BYTES

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said += data[: MAX_BYTES + 1 - len(self.said)]
        if self.is_too_long:
            self.complete.set()

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.complete.set()

    @override
    def process_exited(self) -> None:
        self.exited.set()


def _one_line(argv: Sequence[str], user: str, said: bytes) -> str:
    try:
        text = said.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _problem(argv, user, "printed something that is not UTF-8") from None
    if not text or not text.isprintable():
        raise _problem(argv, user, "did not print one line")
    return text


def _problem(argv: Sequence[str], user: str, what: str) -> ConfigError:
    # Not the arguments: one of them may be a secret.
    return ConfigError(f'password command "{argv[0]}" of upstream user "{user}" {what}')
