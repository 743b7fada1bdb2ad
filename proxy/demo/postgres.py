"""A Postgres of our own: initdb with SCRAM, start, wait until it answers, stop.

Serves the demo and every test that needs a real server, whatever major version. Listens
on loopback TCP only, has one superuser with a random password, runs under an
unprivileged account when we are root, and ends when we end. Imports `children`,
`privileges`, `binaries`. Next: `proxy.demo.sample`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from proxy.demo import binaries, children, privileges
from proxy.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "127.0.0.1"
_INITDB_S: Final = 120.0
_START_S: Final = 60.0  # crash recovery of a kept data folder included
_POLL_S: Final = 0.02
_TRIES: Final = 5
_RETRY_S: Final = 0.5
_PASSING_TROUBLE: Final = (
    b"Address already in use",  # somebody took the port between our look and the bind
    b"pre-existing shared memory block",  # a killed server's backends are leaving
)
_STOP: Final = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))  # fast, then immediate
_PROTOCOL_3_0: Final = 3 << 16
_THROW_AWAY: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
"""Durability costs seconds, and nobody looks for the data of a throw-away server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What a cluster is made of.

    Attributes:
        bin_dir: Folder of `initdb` and `postgres`; any major version.
        work: Our own folder for its log, and for copies of binaries; must be one that
            `privileges.temporary_folder` made, so that the server's account can pass.
        data: Where its data lives; made by initdb if it does not exist.
        password: Of the superuser; it must be the same again for existing data.
        durable: Keep fsync on; False for servers that are thrown away.
        settings: Further server settings, by name.
    """

    bin_dir: Path
    work: Path
    data: Path
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    superuser: str = "postgres"
    durable: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


class Cluster:
    """One Postgres server, as a context manager or with `start` and `stop`."""

    host = HOST

    def __init__(self, plan: ClusterPlan) -> None:
        self.plan = plan
        self.account = privileges.unprivileged_account()
        self.major = binaries.major_version(plan.bin_dir)
        self.bin_dir = binaries.runnable_by(
            plan.bin_dir, self.account, plan.work / "binaries"
        )
        self.log_path = plan.work / "postgres.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._door: int | None = None

    @property
    def superuser(self) -> str:
        """The name of the superuser."""
        return self.plan.superuser

    @property
    def password(self) -> str:
        """The password of the superuser."""
        return self.plan.password

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The postmaster while it is ours to stop."""
        return self._process

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's connection URL, direct and over loopback TCP."""
        return url(self.superuser, self.password, self.port, database)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the data folder if needed, start the server, return when it answers.

        Blocks for one to three seconds the first time.

        Raises:
            ConfigError: the data folder can't be used.
            UnavailableError: the server did not come up; with the end of its log.
        """
        if not (self.plan.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        for _ in range(_TRIES):
            self.port = free_port()
            log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
            self._process = self._spawn()
            if self._wait_until_ready():
                return
            said = self.log_path.read_bytes()[log_start:]
            self.stop()
            if not any(passing in said for passing in _PASSING_TROUBLE):
                break
            time.sleep(_RETRY_S)
        said_last = children.last_lines(self.log_path)
        raise UnavailableError(f"the embedded postgres did not start:\n{said_last}")

    def stop(self) -> None:
        """Fast shutdown, then immediate; clients are disconnected."""
        if self._process is not None:
            children.stop(self._process, *_STOP)
            self._process = None
        if self._door is not None:
            os.close(self._door)
            self._door = None

    def kill(self) -> None:
        """The way of a power cut: SIGKILL to the postmaster. `start` recovers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.stop()

    def _initialise(self) -> None:
        """Run initdb beside the final folder: half a cluster never looks whole."""
        unfinished = self.plan.data.with_name(self.plan.data.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        privileges.hand_over(unfinished, self.account)
        password_file = self.plan.work / "initial-password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self.password + "\n", "utf-8")
            privileges.hand_over(password_file, self.account)
            self._run_initdb(self._reachable(unfinished), password_file)
        finally:
            password_file.unlink()
            self._close_door()
        unfinished.rename(self.plan.data)

    def _run_initdb(self, data: str, password_file: Path) -> None:
        # 17 brought a UTF-8 locale of its own; before that only the C library's C is
        # always there.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if self.major >= 17
            else []
        )
        try:
            done = subprocess.run(  # noqa: S603 - our own command, no shell
                [
                    self.bin_dir / "initdb",
                    f"--pgdata={data}",
                    f"--username={self.superuser}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    *locale,
                    *([] if self.plan.durable else ["--no-sync"]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                cwd="/",
                env=_environment(),
                pass_fds=self._door_fds(),
                start_new_session=True,  # Ctrl-C is ours to handle
                timeout=_INITDB_S,
                **(self.account.popen_arguments() if self.account else {}),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"initdb did not finish: {error}") from error
        if done.returncode != 0:
            raise UnavailableError(f"initdb failed:\n{done.stdout[-2000:].rstrip()}")

    def _check_version(self) -> None:
        made_by = (self.plan.data / "PG_VERSION").read_text("ascii").strip()
        if made_by != str(self.major):
            raise ConfigError(
                f'the data in "{self.plan.data}" was made by Postgres {made_by}, '
                f"this is Postgres {self.major}",
                hint="choose another folder",
            )

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "max_connections": "200",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self.plan.durable else _THROW_AWAY),
            **self.plan.settings,
        }
        data = self._reachable(self.plan.data)
        options = [f"--{name}={value}" for name, value in settings.items()]
        return children.spawn(
            [str(self.bin_dir / "postgres"), "-D", data, *options],
            self.log_path,
            environment=_environment(),
            ends_on=signal.SIGINT,
            account=self.account,
            pass_fds=self._door_fds(),
        )

    def _reachable(self, data: Path) -> str:
        """The data folder's name as the server's account can use it.

        Below a folder that only root may pass (a --data-dir in /root), the server gets
        the folder itself, opened by us, and calls it by its descriptor: no parent is
        opened up.
        """
        self._close_door()
        if privileges.can_enter(data.parent, self.account):
            return str(data)
        descriptors = Path("/proc/self/fd")
        if not descriptors.is_dir():
            raise ConfigError(
                f'the unprivileged account that runs postgres can\'t reach "{data}"',
                hint="choose a folder below /tmp or /var/lib, or do not run as root",
            )
        self._door = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        return str(descriptors / str(self._door))

    def _door_fds(self) -> tuple[int, ...]:
        return () if self._door is None else (self._door,)

    def _close_door(self) -> None:
        if self._door is not None:
            os.close(self._door)
            self._door = None

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            if accepts_logins(self.port):
                return True
            time.sleep(_POLL_S)
        return False


def url(user: str, password: str, port: int, database: str) -> str:
    """A connection URL for loopback."""
    return (
        f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}"
        f"@{HOST}:{port}/{quote(database, safe='')}"
    )


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number


def accepts_logins(port: int) -> bool:
    """Whether a server on loopback has got past recovery.

    It answers a startup packet with an authentication request then, and with
    ErrorResponse 57P03 before (postmaster.c, canAcceptConnections).
    """
    parameters = b"user\0pgwarden-probe\0database\0postgres\0\0"
    packet = struct.pack("!ii", 8 + len(parameters), _PROTOCOL_3_0) + parameters
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(packet)
            return connection.recv(1) == b"R"
    except OSError:
        return False


def _environment() -> dict[str, str]:
    """No PG* variable, no library path and no locale of ours reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
