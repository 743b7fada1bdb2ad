"""What the demo prints: lines to copy into a shell.

Imports `config`, `ground`. Next: `proxy.cli.demo`.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.demo.binaries import wheel_bin_dir
from proxy.demo.config import LISTEN_HOST, POLICY, Person
from proxy.demo.postgres import url
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from proxy.demo.ground import Served


@dataclass(frozen=True, slots=True)
class Opened:
    """Where the demo can be reached now."""

    port: int
    admin_port: int
    pids: tuple[int, ...]

    @property
    def admin_url(self) -> str:
        """Health, metrics and, later, the console."""
        return f"http://{LISTEN_HOST}:{self.admin_port}"


def introduction(
    opened: Opened,
    served: Served,
    persons: tuple[Person, Person, Person],
    audit: Path,
) -> str:
    """Everything a newcomer needs, one command a line."""
    developer, migrator, _ = persons
    database = served.database

    def psql(person: Person) -> str:
        where = f"-h {LISTEN_HOST} -p {opened.port} -U {person.user}"
        name = shlex.quote(database)
        return f"PGPASSWORD={person.password} {_command('psql')} {where} -d {name}"

    def database_url(person: Person) -> str:
        dsn = url(person.user, person.password, opened.port, database)
        return f"export DATABASE_URL={shlex.quote(dsn)}"

    try_read, try_drop = (
        ("SELECT * FROM open_orders LIMIT 3", "DROP TABLE orders")
        if served.is_sample
        else ("SELECT current_user, now()", "DROP SCHEMA public CASCADE")
    )
    folder = shlex.quote(str(audit))
    return f"""
pgwarden guards "{database}" (PostgreSQL {served.version}) with the policy "{POLICY}".

As a developer, who reads and destroys nothing:
  {psql(developer)}
  {database_url(developer)}

As a deploy job, which may add to the schema and lose nothing:
  {psql(migrator)}
  {database_url(migrator)}

Try it:
  {psql(developer)} -c {shlex.quote(try_read)}
  {psql(developer)} -c {shlex.quote(try_drop)}

Who did what:
  {_command("pgwarden")} audit tail -f {folder}
  {_command("pgwarden")} audit verify {folder}

Health and metrics: {opened.admin_url}/healthz {opened.admin_url}/metrics
Ctrl-C stops everything."""


def _command(name: str) -> str:
    """A command as it can be typed here: plain if it is on the PATH."""
    if shutil.which(name):
        return name
    places = [Path(sys.executable).parent]
    with contextlib.suppress(ConfigError):  # without the wheel: the plain name
        places.append(wheel_bin_dir())
    for place in places:
        path = place / name
        if path.is_file():
            here = Path.cwd()
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            return shlex.quote(str(shown))
    return name
