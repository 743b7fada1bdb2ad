"""What commands that read a whole audit log share: the span and the progress.

Next: `proxy.cli.replay` and `proxy.cli.policy`.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as Bar,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

from proxy.audit.tail import moment
from proxy.replay.follow import Wanted
from proxy.replay.run import processes_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.progress import Task

    from proxy.replay.records import Progress


def wanted(
    identities: Sequence[str] | None,
    roles: Sequence[str] | None,
    *,
    since: str,
    until: str,
) -> Wanted:
    """Which records to count, as the options say.

    Raises:
        ConfigError: a time is none.
    """
    now = datetime.now(UTC).timestamp()
    begin, end = (moment(text, now) if text else "" for text in (since, until))
    return Wanted(frozenset(identities or ()), frozenset(roles or ()), begin, end)


class _Rate(ProgressColumn):
    """Records, and records a second."""

    @override
    def render(self, task: Task) -> Text:
        records = int(task.fields["records"])
        rate = records / task.elapsed if task.elapsed else 0
        return Text(f"{records:,} records, {rate:,.0f}/s")


@contextmanager
def reading(
    files: Sequence[Path], *, jobs: int, is_quiet: bool
) -> Iterator[tuple[int, Callable[[Progress], None]]]:
    """How many processes to use, and where they tell their progress.

    The bar is on standard error, and only where that is a terminal.
    """
    size = sum(file.stat().st_size for file in files)
    processes = processes_for(size, jobs)
    console = Console(stderr=True)
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=is_quiet or not console.is_terminal,
    ) as bar:
        task = bar.add_task("reading the log", total=size * processes, records=0)
        read = 0

        def advance(progress: Progress) -> None:
            nonlocal read
            read += progress.records
            bar.update(task, advance=progress.bytes, records=read)

        yield processes, advance
