"""PgBouncer and pgwarden as child processes, set up as alike as they can be.

Both take clients with SCRAM, plain or TLS, and hold one connection to Postgres for each
client (`pool_mode = session`). pgwarden has everything on: production's policy, audit,
metrics. Next: `rig`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo import children, privileges
from proxy.demo.postgres import HOST, free_port
from proxy.errors import UnavailableError
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.demo.privileges import Account

IDENTITY = "dev"
MOST_CLIENTS = 1_000
_START_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the servers show to clients that ask for TLS."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Upstream:
    """The Postgres behind, and the login that both proxies use there."""

    port: int
    database: str
    login: Login
    secret: str = field(repr=False)
    certificate: Certificate


def find_bouncer() -> Path | None:
    """PgBouncer as Debian's package puts it, or on the path."""
    for place in (shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if place is not None and Path(place).is_file():
            return Path(place)
    return None


def bouncer_version() -> str:
    """As it tells, without its name; "" where it is not installed."""
    program = find_bouncer()
    if program is None:
        return ""
    told = subprocess.run([program, "-V"], capture_output=True, text=True, check=False)
    return told.stdout.partition("\n")[0].removeprefix("PgBouncer ").strip()


class Server:
    """One child that listens on a port."""

    name = ""

    def __init__(self, room: Path, upstream: Upstream) -> None:
        self.room = room
        self.upstream = upstream
        self.login = upstream.login
        self.port = 0
        self.log_path = room / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its one process.

        Raises:
            UnavailableError: it does not run.
        """
        if self.process is None or self.process.poll() is not None:
            raise UnavailableError(self._said("is not running"))
        return self.process.pid

    def stop(self) -> None:
        """SIGINT lets both end their clients; SIGKILL after a while."""
        if self.process is not None:
            children.stop(self.process, (signal.SIGINT, 15.0), (signal.SIGTERM, 5.0))
            self.process = None

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not is_ready():
            if self.process is None or self.process.poll() is not None:
                raise UnavailableError(self._said("did not start"))
            if time.monotonic() > deadline:
                raise UnavailableError(self._said("did not start in time"))
            time.sleep(_POLL_S)

    def _said(self, what: str) -> str:
        return f"{self.name} {what}:\n{children.last_lines(self.log_path)}"


class Bouncer(Server):
    """PgBouncer in session mode."""

    name = "PgBouncer"

    def __init__(self, room: Path, upstream: Upstream, account: Account | None) -> None:
        super().__init__(room, upstream)
        self._account = account

    def start(self) -> None:
        """Return when it listens.

        Raises:
            UnavailableError: it is not installed, or did not come up.
        """
        program = find_bouncer()
        if program is None:
            raise UnavailableError("pgbouncer is not installed")
        self.port = free_port()
        settings = self._write("pgbouncer.ini", self._settings())
        privileges.hand_over(self.room, self._account)
        self.process = children.spawn(
            [str(program), str(settings)],
            self.log_path,
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            ends_on=signal.SIGTERM,
            account=self._account,
        )
        self._wait(self._accepts)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def _settings(self) -> str:
        upstream, certificate = self.upstream, self.upstream.certificate
        # The very secret of the server: then a client's proof serves upstream as well,
        # and no login costs PgBouncer a derivation of keys.
        users = self._write("users.txt", f'"{self.login.user}" "{upstream.secret}"\n')
        target = f"host={HOST} port={upstream.port} dbname={upstream.database}"
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": "session",
            "max_client_conn": MOST_CLIENTS,
            "default_pool_size": MOST_CLIENTS,
            "client_tls_sslmode": "allow",
            "client_tls_cert_file": certificate.chain,
            "client_tls_key_file": certificate.key,
            "server_tls_sslmode": "disable",
            "ignore_startup_parameters": "extra_float_digits",
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        databases = f"[databases]\n{upstream.database} = {target}\n"
        return databases + "[pgbouncer]\n" + "\n".join(lines) + "\n"

    def _write(self, name: str, content: str) -> Path:
        path = self.room / name
        path.touch(mode=0o600)
        path.write_text(content)
        privileges.hand_over(path, self._account)
        return path


class Warden(Server):
    """pgwarden as in production: one process of `pgwarden serve`."""

    name = "pgwarden"

    def __init__(
        self,
        room: Path,
        upstream: Upstream,
        *,
        module: str = "proxy.cli.main",
        checkout: Path | None = None,
    ) -> None:
        """`checkout` is of another pgwarden than this one; it is called "before"."""
        super().__init__(room, upstream)
        if checkout is not None:
            self.name = "before"
        self._checkout = checkout or _checkout()
        self.login = Login(IDENTITY, secrets.token_urlsafe(18))
        self.audit_folder = room / "audit"
        self._module = module
        self._ready_file = room / "ready.json"

    def start(self) -> None:
        """Return when it listens.

        Raises:
            UnavailableError: it did not come up; with the end of its log.
        """
        settings = self.room / "pgwarden.yaml"
        settings.write_text(yaml.safe_dump(self._settings(), sort_keys=False))
        self.process = children.spawn(
            [sys.executable, "-m", self._module, "serve", "--config", str(settings)],
            self.log_path,
            environment=_without_settings() | {"PYTHONPATH": str(self._checkout)},
        )
        self._wait(self._ready_file.exists)
        told = json.loads(self._ready_file.read_text("utf-8"))
        self.port = int(told["listen"][0].rpartition(":")[2])

    def _settings(self) -> dict[str, object]:
        upstream, certificate = self.upstream, self.upstream.certificate
        password = self._write("password", upstream.login.password + "\n")
        login = {"user": upstream.login.user, "password_file": str(password)}
        secret = make_secret(
            self.login.password, salt=secrets.token_bytes(SALT_LENGTH)
        ).encode()
        person = {"name": self.login.user, "role": "developer", "secret": secret}
        document = yaml.safe_dump({"version": 1, "identities": [person]})
        return {
            "listen": [f"{HOST}:0"],
            "admin": f"{HOST}:0",
            "policy": str(self._policy()),
            "identities": str(self._write("identities.yaml", document)),
            "audit": {"folder": str(self.audit_folder)},
            "tls": {"certificate": str(certificate.chain), "key": str(certificate.key)},
            "upstream": {
                "host": HOST,
                "port": upstream.port,
                "databases": ["*"],
                "tls": {"mode": "disable"},
                "logins": {"reader": login, "migrator": dict(login)},
            },
            "limits": {
                "sessions": MOST_CLIENTS,
                "sessions_per_identity": MOST_CLIENTS,
                "drain_timeout_s": 5.0,
            },
            "ready_file": str(self._ready_file),
        }

    def _policy(self) -> Path:
        own = self._checkout / "policies" / "production.yaml"
        return own if own.is_file() else policy_path("production")

    def _write(self, name: str, content: str) -> Path:
        path = self.room / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path


def _without_settings() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PGWARDEN_")}


def _checkout() -> Path:
    return Path(__file__).resolve().parents[2]
