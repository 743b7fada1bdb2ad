"""Where a migration tool is run: a folder, and the address of a database.

For the recorder the address is a tap's, for tests pgwarden's.
Next: `tests.transcripts.tools`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.clients.tools import Outcome, bare_environment, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_RUN_S = 300.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder, an address, and how to have an empty database again."""

    folder: Path
    url: str
    fresh: Callable[[], None] = lambda: None

    @property
    def environment(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        return {
            **bare_environment(),
            "HOME": str(self.folder),
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": parts.path.removeprefix("/"),
            "DATABASE_URL": self.url,
        }

    def file(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def run(
        self,
        command: Sequence[str | Path],
        *,
        fails: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run the tool; fail unless it ends as it should."""
        done = run(
            command,
            environment={**self.environment, **(more or {})},
            cwd=self.folder,
            timeout_s=_RUN_S,
        )
        assert bool(done.code) is fails, f"{command}: {done.code} {done.out} {done.err}"
        return done
