"""The settings and the store that the demo hands to `pgwarden serve`.

The demo runs the same command as production, with files that it writes; what they may
hold is docs/reference/settings.md. Imports `folder`, `ground`, `proxy.store`.
Next: `proxy.demo.run`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from proxy.auth.identities import IdentityEntry
from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.server.store_now import ask_now
from proxy.shipped import policy_path
from proxy.store import identities
from proxy.store.engine import Change, note
from proxy.store_settings import StoreSettings, sqlite_url

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.folder import DemoFolder, Passwords
    from proxy.demo.ground import Served
    from proxy.demo.roles import Login
    from proxy.store.engine import Store

LISTEN_HOST: Final = "127.0.0.1"
POLICY: Final = "production"
_DRAIN_S: Final = 3.0  # Ctrl-C should not wait for a psql that sits idle


@dataclass(frozen=True, slots=True)
class Person:
    """One identity of the demo: who logs in to the proxy."""

    kind: str
    user: str
    password: str

    def for_ready_file(self) -> dict[str, str]:
        """As the ready-file has it."""
        return {"user": self.user, "password": self.password}


def people(passwords: Passwords) -> tuple[Person, Person, Person]:
    """A developer, a deploy job and an auditor."""
    return (
        Person("developer", "dev", passwords.developer),
        Person("migrator", "deploy", passwords.deployer),
        Person("auditor", "audit", passwords.auditor),
    )


def everyone(passwords: Passwords) -> tuple[Person, ...]:
    """The three, and a lead, who decides on what is lent."""
    return (*people(passwords), Person("lead", "lea", passwords.lead))


def entry_of(person: Person) -> IdentityEntry:
    """The identity of a person: a SCRAM secret, never the password."""
    secret = make_secret(person.password, salt=secrets.token_bytes(SALT_LENGTH))
    return IdentityEntry(name=person.user, role=person.kind, secret=secret.encode())


def fill_store(folder: DemoFolder) -> None:
    """Add whoever is missing; what was changed in a kept store stays. Blocks.

    Raises:
        ConfigError: the store can't be used.
        UnavailableError: it can't be read.
    """

    async def fill(store: Store) -> None:
        async with store.changing() as connection:
            roll = await identities.read_roll(connection)
            for person in everyone(folder.passwords):
                if person.user not in (*roll.broken, *(e.name for e in roll.entries)):
                    await identities.add(connection, entry_of(person))
                    added = Change(
                        "pgwarden demo",
                        "identity.add",
                        person.user,
                        {"role": person.kind},
                    )
                    await note(connection, added)

    ask_now(StoreSettings(url=sqlite_url(folder.store)), fill)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the proxy listens on; 0 takes any free one."""

    proxy: int
    admin: int


def write_settings(
    folder: DemoFolder,
    served: Served,
    ports: Ports,
    *,
    workers: int,
    policy: Path | None = None,
) -> Path:
    """Write everything `pgwarden serve` reads; returns the settings file."""
    content: dict[str, Any] = {
        "listen": [f"{LISTEN_HOST}:{ports.proxy}"],
        "workers": workers,
        "admin": f"{LISTEN_HOST}:{ports.admin}",
        "policy": str(policy or policy_path(POLICY)),
        "store": {"url": sqlite_url(folder.store)},
        "audit": {"folder": str(folder.audit)},
        "upstream": _upstream(folder, served),
        "limits": {"drain_timeout_s": _DRAIN_S},
        "log": {"format": "console"},
        "ready_file": str(serving_file(folder)),
    }
    return folder.secret_file("pgwarden.yaml", yaml.safe_dump(content, sort_keys=False))


def serving_file(folder: DemoFolder) -> Path:
    """Where the proxy tells that it listens, and on which ports."""
    return folder.scratch / "serving.json"


def _upstream(folder: DemoFolder, served: Served) -> dict[str, Any]:
    tls: dict[str, str] = {"mode": served.tls_mode}
    if served.tls_ca is not None:
        tls["ca"] = served.tls_ca
    upstream: dict[str, Any] = {
        "host": served.host,
        "port": served.port,
        "databases": [served.database],
        "tls": tls,
        "logins": {
            "reader": _login(folder, served.reader),
            "migrator": _login(folder, served.migrator),
            "writer": _login(folder, served.writer),
        },
    }
    if served.allows_old_passwords:
        upstream |= {"allow_md5": True, "allow_password": True}
    return upstream


def _login(folder: DemoFolder, login: Login) -> dict[str, str]:
    if login.password is None:
        return {"user": login.user}
    file = folder.secret_file(f"password-{secrets.token_hex(4)}", login.password + "\n")
    return {"user": login.user, "password_file": str(file)}
