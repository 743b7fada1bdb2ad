"""A pgwarden that lends: a store, the login of writers, five people, real psqls."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import yaml

from proxy.demo import roles
from proxy.demo.config import Person
from proxy.demo.postgres import url
from tests.clients.terminal import PROMPT, Terminal, terminal
from tests.fix_postgres import bin_dir, run
from tests.fix_proxy import identities_document, ungated_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

PEOPLE = {
    name: Person(role, name, secrets.token_urlsafe(12))
    for name, role in (
        ("dana", "developer"),
        ("eve", "developer"),
        ("lea", "lead"),
        ("leo", "lead"),
        ("dep", "migrator"),
    )
}
REQUEST = "CALL pgwarden.request_access('writer', '30m', 'INC-42: fix order 17')"


@dataclass
class House:
    """One pgwarden with its people and database."""

    proxy: Proxy
    shop: Database
    identities: Path

    def connect(self, name: str, **options: Any) -> psycopg.Connection[Any]:
        """A session of somebody, in autocommit."""
        return psycopg.connect(self.dsn(name), autocommit=True, **options)

    def dsn(self, name: str) -> str:
        return url(name, PEOPLE[name].password, self.proxy.port, self.shop.name)

    @contextlib.contextmanager
    def psql(self, name: str) -> Iterator[Terminal]:
        """A psql on a terminal, logged in."""
        psql = bin_dir(self.shop.cluster.major) / "psql"
        command: list[str | Path] = [psql, "-X", "-P", "pager=off", self.dsn(name)]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PSQLRC": ""}
        with terminal(command, environment=environment) as opened:
            opened.wait_for(PROMPT)
            yield opened

    def people(self, **changed: dict[str, Any]) -> None:
        """Write who there is, with changes to some, and have it read."""
        write_identities(self.identities, changed)
        self.proxy.reload()

    def ask(self, name: str = "dana", text: str = REQUEST) -> str:
        """The id of a new request."""
        with self.connect(name) as connection:
            row = connection.execute(text.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def call(self, name: str, command: str, *args: str) -> tuple[Any, ...]:
        """The row that a command answers with."""
        listed = ", ".join("'" + each.replace("'", "''") + "'" for each in args)
        with self.connect(name) as connection:
            text = f"CALL pgwarden.{command}({listed})"
            row = connection.execute(text.encode()).fetchone()
        assert row is not None
        return tuple(row)

    def user_of(self, name: str) -> str:
        """Whom Postgres takes somebody's new session for."""
        with self.connect(name) as connection:
            row = connection.execute("SELECT current_user").fetchone()
        assert row is not None
        return str(row[0])


def write_identities(path: Path, changed: dict[str, dict[str, Any]]) -> None:
    document = yaml.safe_load(identities_document(tuple(PEOPLE.values())))
    for entry, person in zip(document["identities"], PEOPLE.values(), strict=True):
        entry.update(changed.get(person.user, {}))
    path.write_text(yaml.safe_dump(document))


def house(
    start_proxy: StartProxy,
    shop: Database,
    folder: Path,
    *,
    workers: int = 1,
    policy: str = "",
    **settings: Any,
) -> House:
    """Open one; `policy` is text in place of production's section `access`."""
    writer = roles.Login(f"w_{secrets.token_hex(4)}", secrets.token_urlsafe(12))
    run(shop.cluster.dsn(), roles.create_writer(writer))
    run(shop.cluster.dsn(), f"GRANT CONNECT ON DATABASE {shop.name} TO {writer.user}")
    run(shop.dsn, roles.grant_writing(writer, shop.logins.migrator))
    password = folder / "writer.password"
    password.write_text(f"{writer.password}\n")
    identities = folder / "people.yaml"
    write_identities(identities, {})
    text = ungated_text()
    if policy:
        before, _, rest = text.partition("\naccess:\n")
        text = f"{before}\n{policy}\nlists:{rest.partition('lists:')[2]}"
    document = folder / "production.yaml"
    document.write_text(text)
    store = folder / "store"
    store.mkdir(mode=0o700)
    proxy = start_proxy(
        shop.cluster,
        policy=document,
        settings={
            "workers": workers,
            "identities": str(identities),
            "store": {"url": f"sqlite:///{store}/pgwarden.db"},
            "upstream": {
                "logins": {
                    "writer": {"user": writer.user, "password_file": str(password)}
                }
            },
            **settings,
        },
    )
    return House(proxy, shop, identities)


SHORT = """\
access:
  roles:
    writer:
      requesters: [developer, lead]
      approvers: [lead]
      longest: 1h
      pending_for: 1h
"""
