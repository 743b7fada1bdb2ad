"""The settings and identities that the demo hands to `pgwarden serve`.

The demo runs the same command as production, with files that it writes; what they may
hold is docs/reference/settings.md. Imports `folder`, `ground`, `proxy.auth.secrets`.
Next: `proxy.demo.run`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.folder import DemoFolder, Passwords
    from proxy.demo.ground import Served
    from proxy.demo.roles import Login

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


def identities_document(persons: tuple[Person, ...]) -> str:
    """The identities file: SCRAM secrets, never a password."""
    entries = [
        {
            "name": person.user,
            "role": person.kind,
            "secret": make_secret(
                person.password, salt=secrets.token_bytes(SALT_LENGTH)
            ).encode(),
        }
        for person in persons
    ]
    return yaml.safe_dump({"version": 1, "identities": entries}, sort_keys=False)


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
    identities = folder.secret_file(
        "identities.yaml", identities_document(people(folder.passwords))
    )
    content: dict[str, Any] = {
        "listen": [f"{LISTEN_HOST}:{ports.proxy}"],
        "workers": workers,
        "admin": f"{LISTEN_HOST}:{ports.admin}",
        "policy": str(policy or policy_path(POLICY)),
        "identities": str(identities),
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
