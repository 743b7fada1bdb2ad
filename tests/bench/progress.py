"""The progress bar, on standard error. Next: `__main__`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

Ticks = Callable[[], None]


class Bar:
    """One line a part, gone when it is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def part(self, name: str, total: int | None) -> Iterator[Ticks]:
        """Show a part; the value is called at each step. No total: no end in sight."""
        task = self._progress.add_task(name, total=total)
        try:
            yield lambda: self._progress.advance(task)
        finally:
            self._progress.remove_task(task)


@contextmanager
def bar(console: Console) -> Iterator[Bar]:
    """The bar, for as long as something is measured."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress)
