"""Running other people's programs: through the proxy, with a clean environment.

`libpq_environment` is for psql, pg_dump and pgbench; `run` starts a program and waits
for it. Next: `tests.clients.terminal` for a psql that a person types into, `refusals`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

LONG_QUERY = "SELECT count(*) FROM customers a, customers b, customers c"
"""A billion rows to count, in no one's disk or memory: long enough to cancel."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        return self.stderr.decode("utf-8", "replace")

    def ok(self) -> Outcome:
        """Itself, if the program succeeded."""
        assert self.code == 0, f"exit {self.code}\n{self.out[-4000:]}\n{self.err}"
        return self


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    text: str = "",
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> Outcome:
    """Run a program to its end, with `text` on its standard input."""
    done = subprocess.run(
        list(command),
        env=dict(environment),
        input=text.encode(),
        capture_output=True,
        cwd=cwd,
        timeout=timeout_s,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def bare_environment() -> dict[str, str]:
    """What every program gets; nothing of the person who runs the tests."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


def libpq_environment(
    proxy: Proxy, database: Database, identity: str = "developer"
) -> dict[str, str]:
    """Variables that lead libpq to `database` through the proxy."""
    return {
        **bare_environment(),
        "PGHOST": proxy.host,
        "PGPORT": str(proxy.port),
        "PGUSER": proxy.user(identity),
        "PGPASSWORD": proxy.password(identity),
        "PGDATABASE": database.name,
    }


def program(name: str) -> str:
    """The path of an installed program, or a loud skip (in CI a failure)."""
    if found := shutil.which(name):
        return found
    pytest.skip(f"{name} is not installed")


def wait_until_running(database: Database, part: str, *, timeout_s: float = 10) -> None:
    """Return when some backend is well into a statement that holds `part`.

    Not at its first moment: "active" with this text may still be its Parse, and a
    cancel between Parse and Execute cancels nothing, with and without a proxy.
    """
    deadline = time.monotonic() + timeout_s
    while not running(database, part, since_s=0.2):
        assert time.monotonic() < deadline, f"never saw it running: {part}"
        time.sleep(0.02)


def wait_until_over(database: Database, part: str, *, timeout_s: float = 10) -> None:
    """Return when no backend is busy with `part` any more: a cancel arrived."""
    deadline = time.monotonic() + timeout_s
    while running(database, part):
        assert time.monotonic() < deadline, f"still running: {part}"
        time.sleep(0.02)


def running(database: Database, part: str, *, since_s: float = 0.0) -> bool:
    """Is a backend of `database` busy with a statement that holds `part`?"""
    quoted = part.replace("'", "''")
    found = database.fetch(
        "SELECT 1 FROM pg_stat_activity WHERE state = 'active'"
        f" AND datname = '{database.name}' AND pid <> pg_backend_pid()"
        f" AND position('{quoted}' in query) > 0"
        f" AND clock_timestamp() - query_start >= interval '{since_s} seconds'"
    )
    return bool(found)
