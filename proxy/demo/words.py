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
        """Status page, health and metrics."""
        return f"http://{LISTEN_HOST}:{self.admin_port}"


def introduction(
    opened: Opened,
    served: Served,
    persons: tuple[Person, ...],
    audit: Path,
) -> str:
    """Everything a newcomer needs, one command a line."""
    developer, migrator, _, lead = persons
    database = served.database

    def psql(person: Person) -> str:
        where = f"-h {LISTEN_HOST} -p {opened.port} -U {person.user}"
        name = shlex.quote(database)
        return f"PGPASSWORD={person.password} {_command('psql')} {where} -d {name}"

    def address(person: Person) -> str:
        return shlex.quote(url(person.user, person.password, opened.port, database))

    try_read, try_drop = (
        ("SELECT * FROM open_orders LIMIT 3", "DROP TABLE orders")
        if served.is_sample
        else ("SELECT current_user, now()", "DROP SCHEMA public CASCADE")
    )
    folder = shlex.quote(str(audit))
    # Without what Debian appends: "15.20 (Debian 15.20-0+deb12u1)".
    server = f"PostgreSQL {served.version.split()[0]}"
    return f"""
pgwarden guards "{database}" ({server}) with the policy "{POLICY}".

As a developer, who reads and destroys nothing:
  {psql(developer)}
  export DATABASE_URL={address(developer)}

As a deploy job, which may add to the schema and lose nothing:
  {psql(migrator)}
  export DATABASE_URL={address(migrator)}

Try it:
  {psql(developer)} -c {shlex.quote(try_read)}
  {psql(developer)} -c {shlex.quote(try_drop)}

To borrow the right to write for minutes, from a lead who says yes (how:
docs/how-to/lend-rights-for-minutes.md):
  {psql(lead)}

Who did what:
  {_command("pgwarden")} audit tail -f {folder}
  {_command("pgwarden")} audit verify {folder}

The same by the names that the README uses:
  export DEVELOPER={address(developer)} DEPLOY={address(migrator)} AUDIT={folder}

Status page: {opened.admin_url}/ (for machines: /healthz /readyz /metrics)
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
