"""Record migration tools: `.venv/bin/python -m tests.transcripts.record [TOOL ...]`.

For each tool: an empty database of a throw-away Postgres, a wire tap before it, and
the tool's own commands, each of which becomes a transcript. pgwarden has no part in it.
Next: `tests.transcripts.tools`, `tests.transcripts.page`.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.demo.postgres import url
from tests.corpus.tap import Tap
from tests.fix_postgres import Clusters, run
from tests.transcripts import page
from tests.transcripts.ground import Ground
from tests.transcripts.tools import TOOLS

if TYPE_CHECKING:
    from proxy.demo.postgres import Cluster

MAJOR = 17
DATABASE = "app"


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
        address = url(cluster.superuser, cluster.password, tap.port, DATABASE)
        ground = Ground(Path(folder), address, partial(fresh, cluster))
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


def fresh(cluster: Cluster) -> None:
    """An empty database."""
    run(cluster.dsn(), f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    run(cluster.dsn(), f"CREATE DATABASE {DATABASE}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
