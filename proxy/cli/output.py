"""What commands share in what they show to people.

Next: the commands, `proxy.cli.check` first.
"""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

PIPE_WIDTH: Final = 500
"""Characters of a line where no terminal wraps it: the longest hint fits."""


def output() -> Console:
    """Where people read: as wide as the terminal, and as wide as it takes in a pipe."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, width=width)


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things in words: "1 file", "1,000 files"."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
