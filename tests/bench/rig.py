"""Everything that is measured, started and stopped: Postgres, PgBouncer, pgwarden.

All on free loopback ports in one temporary folder; Postgres and PgBouncer under an
unprivileged account when we are root. The three are reached with the same login at the
server, one process each, with the same certificate. Next: `servers`, `throughput`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psycopg
import trustme

from proxy.demo import binaries, children, privileges, roles
from proxy.demo.postgres import HOST, Cluster, ClusterPlan
from proxy.doctor.quoting import quote_name
from proxy.errors import UnavailableError
from tests.bench.servers import Bouncer, Certificate, Login, Server, Upstream, Warden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

DATABASE = "bench"
MOST_CONNECTIONS = 600
_WALK_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the ways to the same database."""

    name: str
    port: int
    login: Login
    pid: int | None

    def environment(self, application: str, sslmode: str = "disable") -> dict[str, str]:
        """What a libpq program needs to come in this way, and no other PG* variable."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("PG")},
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": self.login.user,
            "PGPASSWORD": self.login.password,
            "PGDATABASE": DATABASE,
            "PGSSLMODE": sslmode,
            "PGGSSENCMODE": "disable",
            "PGAPPNAME": application,
        }

    def connect(
        self, application: str, sslmode: str = "disable"
    ) -> psycopg.Connection[tuple[object, ...]]:
        """A connection in autocommit mode."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=self.login.user,
            password=self.login.password,
            dbname=DATABASE,
            sslmode=sslmode,
            gssencmode="disable",
            application_name=application,
            autocommit=True,
        )


class Rig:
    """The servers of one run, as a context manager."""

    def __init__(
        self, *, with_bouncer: bool, scale: int, before: Path | None = None
    ) -> None:
        """`before` is the checkout of another pgwarden to measure beside this one."""
        self._before = before
        self._with_bouncer = with_bouncer
        self._scale = scale
        self._running = contextlib.ExitStack()
        self._serial = 0
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._open(undo)
            self._running = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _open(self, undo: contextlib.ExitStack) -> None:
        self.account = privileges.unprivileged_account()
        self.folder = privileges.temporary_folder("pgwarden-bench-", self.account)
        undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.certificate = self._certificate()
        self.cluster = self._cluster()
        undo.callback(self.cluster.stop)
        self.cluster.start()
        self.reader = Login("bench_reader", secrets.token_urlsafe(18))
        self._fill()
        self.direct = Peer("direct", self.cluster.port, self.reader, None)
        self.warden = self.start_warden(undo)
        self.bouncer = self.start_bouncer(undo) if self._with_bouncer else None
        self.before = None
        if self._before is not None:
            self.before = self.start_warden(undo, checkout=self._before)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """In the order of the tables."""
        between = [
            self.peer(server)
            for server in (self.bouncer, self.before)
            if server is not None
        ]
        return (self.direct, *between, self.peer(self.warden))

    def turns(self, rounds: int) -> Iterator[tuple[int, Peer]]:
        """Who is measured when: all in each round, each in each place of it."""
        peers = self.peers
        for number in range(rounds):
            first = number % len(peers)
            for peer in (*peers[first:], *peers[:first]):
                yield number, peer

    def peer(self, server: Server) -> Peer:
        """A server as what clients come to."""
        return Peer(server.name, server.port, server.login, server.pid)

    def start_warden(
        self,
        undo: contextlib.ExitStack,
        module: str = "proxy.cli.main",
        checkout: Path | None = None,
    ) -> Warden:
        """A fresh pgwarden; `undo` stops it."""
        room = self._room("pgwarden")
        warden = Warden(room, self._upstream(), module=module, checkout=checkout)
        undo.callback(warden.stop)
        self._servers.append(warden)
        warden.start()
        return warden

    def start_bouncer(self, undo: contextlib.ExitStack) -> Bouncer:
        """A fresh PgBouncer; `undo` stops it."""
        bouncer = Bouncer(self._room("pgbouncer"), self._upstream(), self.account)
        undo.callback(bouncer.stop)
        self._servers.append(bouncer)
        bouncer.start()
        return bouncer

    def execute(self, script: str) -> None:
        """As superuser, past everything."""
        with psycopg.connect(self.cluster.dsn(DATABASE), autocommit=True) as connection:
            connection.execute(script.encode())

    def program(self, name: str) -> Path:
        """A client program of the same Postgres."""
        return self.cluster.bin_dir / name

    def client(
        self, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> str:
        """Run a client program; returns what it printed.

        Raises:
            UnavailableError: it failed; with what it said.
        """
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_WALK_S,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout)[-1500:].rstrip()
            raise UnavailableError(
                f"{command[0]} failed:\n{said}{self._log_of(environment['PGPORT'])}"
            )
        return done.stdout

    def _log_of(self, port: str) -> str:
        """What the proxy at a port said last, for the message about a failure."""
        for server in self._servers:
            if str(server.port) == port:
                return f"\n{server.name} said:\n{children.last_lines(server.log_path)}"
        return ""

    def _upstream(self) -> Upstream:
        return Upstream(
            self.cluster.port, DATABASE, self.reader, self._secret, self.certificate
        )

    def _room(self, name: str) -> Path:
        self._serial += 1
        room = self.folder / f"{name}-{self._serial}"
        room.mkdir(mode=0o700)
        return room

    def _certificate(self) -> Certificate:
        issued = trustme.CA().issue_cert(HOST)
        chain, key = self.folder / "server.pem", self.folder / "server.key"
        issued.cert_chain_pems[0].write_to_path(chain)
        key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(key)
        for path in (chain, key):
            privileges.hand_over(path, self.account)
        return Certificate(chain, key)

    def _cluster(self) -> Cluster:
        # Debian's 15 where it is installed: the floors were set with it.
        bin_dir = binaries.system_bin_dirs().get(15) or binaries.wheel_bin_dir()
        settings = {
            "max_connections": str(MOST_CONNECTIONS),
            "shared_buffers": "256MB",
            # Nothing of the server's own accord in the middle of a measurement.
            "autovacuum": "off",
            "max_wal_size": "8GB",
            "checkpoint_timeout": "1h",
            "ssl": "on",
            "ssl_cert_file": str(self.certificate.chain),
            "ssl_key_file": str(self.certificate.key),
        }
        return Cluster(
            ClusterPlan(
                bin_dir=bin_dir,
                work=self.folder,
                data=self.folder / "data",
                settings=settings,
            )
        )

    def _fill(self) -> None:
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as superuser:
            superuser.execute(f"CREATE DATABASE {DATABASE}")
        login = roles.Login(self.reader.user, self.reader.password)
        self.execute(roles.create_reader(login))
        superuser_login = Login(self.cluster.superuser, self.cluster.password)
        owner = Peer("owner", self.cluster.port, superuser_login, None)
        self.client(
            [self.program("pgbench"), "-i", "-q", "-s", str(self._scale)],
            owner.environment("pgbench"),
        )
        self.grant()
        with psycopg.connect(self.cluster.dsn()) as superuser:
            row = superuser.execute(
                "SELECT rolpassword, current_setting('server_version') "
                "FROM pg_authid WHERE rolname = %s",
                [self.reader.user],
            ).fetchone()
        if row is None:
            raise UnavailableError(f'the role "{self.reader.user}" is not there')
        self._secret, version = row
        self.postgres_version = version.split()[0]

    def grant(self) -> None:
        """Let the reader see what was made, and leave nothing to do for later."""
        user = quote_name(self.reader.user)
        self.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
        self.execute("VACUUM (ANALYZE)")
        self.execute("CHECKPOINT")
