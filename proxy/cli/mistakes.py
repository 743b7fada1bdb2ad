"""How a command tells that it can't go on: one clear line each, a hint, a status.

2 is a mistake in what was asked or configured, 1 something that failed. Every command
ends here, so all of them sound alike. Next: `proxy.cli.main`.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from proxy.audit.tail import printable
from proxy.errors import ConfigError, PgwardenError


def tell(error: PgwardenError) -> int:
    """Say what is wrong on standard error; the exit status to end with."""
    for line in error.message.splitlines():
        sys.stderr.write(f"pgwarden: {printable(line)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {printable(error.hint)}\n")
    return 2 if isinstance(error, ConfigError) else 1


def fail(error: PgwardenError) -> NoReturn:
    """End the command with what is wrong."""
    raise typer.Exit(tell(error))
