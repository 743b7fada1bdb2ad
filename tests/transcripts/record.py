"""Record migration tools: `.venv/bin/python -m tests.transcripts.record [TOOL ...]`.

For each tool: an empty database of a throw-away Postgres, a wire tap before it, and
the tool's own commands, each of which becomes a transcript. pgwarden has no part in it.
Next: `tests.transcripts.tools`, `tests.transcripts.page`.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.demo.postgres import url
from tests.clients.tools import Outcome, bare_environment, run as run_program
from tests.corpus.tap import Tap
from tests.fix_postgres import Clusters, run
from tests.transcripts import page
from tests.transcripts.tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.demo.postgres import Cluster

MAJOR = 17
DATABASE = "app"
_RUN_S = 300.0


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a tool is run: a folder, a database, and the tap before it."""

    folder: Path
    cluster: Cluster
    port: int

    @property
    def url(self) -> str:
        return url(self.cluster.superuser, self.cluster.password, self.port, DATABASE)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **bare_environment(),
            "HOME": str(self.folder),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.cluster.superuser,
            "PGPASSWORD": self.cluster.password,
            "PGDATABASE": DATABASE,
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
        done = run_program(
            command,
            environment={**self.environment, **(more or {})},
            cwd=self.folder,
            timeout_s=_RUN_S,
        )
        assert bool(done.code) is fails, f"{command}: {done.code} {done.out} {done.err}"
        return done

    def fresh(self) -> None:
        """An empty database again."""
        run(self.cluster.dsn(), f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        run(self.cluster.dsn(), f"CREATE DATABASE {DATABASE}")


def main(names: list[str]) -> int:
    """Record the tools named, or all; the number that could not be."""
    unknown = set(names) - set(TOOLS)
    if unknown:
        sys.exit(f"no tool {', '.join(sorted(unknown))}; known are {', '.join(TOOLS)}")
    clusters = Clusters()
    failed = 0
    try:
        for name in names or TOOLS:
            try:
                record(clusters.get(MAJOR), name)
            except (AssertionError, OSError, pytest.skip.Exception) as error:
                failed += 1
                print(f"{name}: left out: {error}", flush=True)  # noqa: T201
    finally:
        clusters.stop()
    return failed


def record(cluster: Cluster, name: str) -> None:
    """Let one tool run its commands, one after the other."""
    with (
        Tap(cluster.host, cluster.port) as tap,
        tempfile.TemporaryDirectory() as folder,
    ):
        ground = Ground(Path(folder), cluster, tap.port)
        ground.fresh()
        commands = TOOLS[name](ground)
        version = next(commands)
        tap.take()
        for command in commands:
            heard = tap.take()
            if not command:
                continue
            tool = name.partition(":")[0]  # a tool may come on several drivers
            path = page.write(tool, version, command, MAJOR, heard)
            print(path.name, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
