"""The password that a program prints: run without a shell, bounded in time and size.

Next: `proxy.server.program`, which runs it, and `proxy.server.upstream_passwords`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError
from proxy.server.program import ProgramError, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHIN_S: Final = 10.0
"""A cloud's command line asks its metadata service in a second or two; a login that
waits for it is given up after 15 s."""
MAX_BYTES: Final = 16 * 1024
"""Amazon's tokens have some 1,500 bytes and Azure's up to 5,000; Postgres takes 65,535
(PG_MAX_AUTH_TOKEN_LENGTH)."""


async def printed_by(argv: Sequence[str], user: str) -> str:
    """Run the program; what it printed, without the line's end.

    Args:
        argv: the program's full path, and its arguments.
        user: whose password it is, for the message.

    Raises:
        ConfigError: it did not end well in time, or did not print one line.
    """
    try:
        ran = await run_program(argv, within_s=WITHIN_S, max_bytes=MAX_BYTES)
    except ProgramError as error:
        raise _problem(argv, user, str(error)) from error
    if ran.status:
        raise _problem(
            argv, user, f"ended with status {ran.status}; run it by hand to see why"
        )
    return _one_line(argv, user, ran.said)


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
