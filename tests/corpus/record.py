"""Record what real tools say: `.venv/bin/python -m tests.corpus.record [TOOL ...]`.

For each tool: a throw-away Postgres with the demo's shop, a wire tap before it, the
tool doing its reading work as the reader's login in a read-only session, and a file
`recorded/TOOL.yaml`. pgwarden itself has no part in it, so the tools speak as to a bare
server. Next: `tests.corpus.tools`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.demo import roles
from proxy.demo.postgres import url
from tests.clients.tools import bare_environment
from tests.corpus import pages
from tests.corpus.furnish import furnish
from tests.corpus.sift import Corpus
from tests.corpus.tap import Tap
from tests.corpus.tools import TOOLS, Tool
from tests.fix_postgres import TEMPLATE, Clusters, run

if TYPE_CHECKING:
    from proxy.demo.postgres import Cluster

DATABASE = "shop"


def main(names: list[str]) -> int:
    """Record the tools named, or all; the number that could not be."""
    unknown = set(names) - set(TOOLS)
    if unknown:
        sys.exit(f"no tool {', '.join(sorted(unknown))}; known are {', '.join(TOOLS)}")
    clusters = Clusters()
    failed = 0
    try:
        for name in names or TOOLS:
            started = time.monotonic()
            try:
                corpus = record(clusters, name, TOOLS[name])
            except (AssertionError, OSError, pytest.skip.Exception) as error:
                failed += 1
                print(f"{name}: left out: {error}", flush=True)  # noqa: T201
                continue
            path = pages.write(name, corpus)
            took = f"{time.monotonic() - started:.0f} s"
            kept, left = len(corpus.entries), len(corpus.left_out)
            print(f"{path.name}: {kept}, left out {left}, {took}", flush=True)  # noqa: T201
    finally:
        clusters.stop()
    return failed


def record(clusters: Clusters, name: str, tool: Tool) -> Corpus:
    """Let one tool do its work at each of its servers."""
    corpus = Corpus()
    for major, drive in tool.runs:
        cluster = clusters.get(major)
        login = clusters.logins(major).reader
        set_up(clusters, cluster, name)
        with (
            Tap(cluster.host, cluster.port) as tap,
            tempfile.TemporaryDirectory() as folder,
        ):
            environment = {
                **bare_environment(),
                "HOME": folder,
                "PGHOST": tap.host,
                "PGPORT": str(tap.port),
                "PGUSER": login.user,
                "PGPASSWORD": login.password or "",
                "PGDATABASE": DATABASE,
                "DATABASE_URL": url(
                    login.user, login.password or "", tap.port, DATABASE
                ),
            }
            version = drive(major, environment, Path(folder))
            corpus.add(version, tap.take(), tool.no_reading)
    return corpus


def set_up(clusters: Clusters, cluster: Cluster, name: str) -> None:
    """A fresh shop with one of each kind of object, and what the driver asks for."""
    run(cluster.dsn(), f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    run(cluster.dsn(), f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}")
    run(cluster.dsn(), roles.fence_database(DATABASE, clusters.logins(cluster.major)))
    furnish(cluster.dsn(DATABASE), name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
