"""A real PgBouncer between pgwarden and Postgres, in each of its modes."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from proxy.demo import children
from proxy.demo.privileges import temporary_folder, unprivileged_account
from proxy.doctor.findings import CRITICAL, NOTE, Login
from tests.integration.doctoring import (
    PASSWORD,
    ward_of,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.doctoring import Ward

# Its auth_file knows no line breaks in a name.
AS_READER = Login("reader", "plain_reader", is_reader=True)
AS_MIGRATOR = Login("migrator", "plain_migrator", is_reader=False)

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with ward_of(17, tmp_path_factory.mktemp("ward")) as found:
        for login in (AS_READER, AS_MIGRATOR):
            quoted = PASSWORD.replace("'", "''")
            found.run(f"CREATE ROLE {login.user} LOGIN PASSWORD '{quoted}'")
        yield found


@dataclass
class Bouncers:
    """Starts PgBouncers in front of the ward."""

    ward: Ward
    folder: Path

    def __post_init__(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, mode: str, **more: str) -> int:
        """The port of a new one."""
        if PROGRAM is None:
            pytest.skip("PgBouncer is not installed (apt install pgbouncer)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        cluster = self.ward.cluster
        users = self.folder / "users.txt"
        users.write_text(
            "".join(
                f'"{user}" "{PASSWORD}"\n'
                for user in ("plain_reader", "plain_migrator")
            )
        )
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "pool_mode": mode,
            "default_pool_size": "5",
            "logfile": str(self.folder / "pgbouncer.log"),
            **more,
        }
        file = self.folder / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n* = host={cluster.host} port={cluster.port}\n"
            "[pgbouncer]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items())
        )
        account = unprivileged_account()
        if account is not None:
            for path in (self.folder, users, file):
                shutil.chown(path, account.uid, account.gid)
        log = self.folder / "out.log"
        self.running.append(
            children.spawn([PROGRAM, str(file)], log, environment={}, account=account)
        )
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.02)
            else:
                return port

    def stop(self) -> None:
        for process in self.running:
            children.stop(process, (signal.SIGINT, 5.0), (signal.SIGKILL, 5.0))


@pytest.fixture
def bouncers(ward: Ward) -> Iterator[Bouncers]:
    folder = temporary_folder("pgwarden-bouncer-", unprivileged_account())
    running = Bouncers(ward, folder)
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_straight_to_postgres(ward: Ward) -> None:
    assert not {"pooler", "between"} & set(ward.found(AS_READER, AS_MIGRATOR))


@pytest.mark.parametrize("round_robin", ["0", "1"])
def test_transaction_mode(ward: Ward, bouncers: Bouncers, round_robin: str) -> None:
    port = bouncers.start("transaction", server_round_robin=round_robin)
    (told,) = ward.found(AS_MIGRATOR, port=port)["pooler"]
    assert told.severity is CRITICAL
    assert "backend" in told.detail


def test_statement_mode(ward: Ward, bouncers: Bouncers) -> None:
    port = bouncers.start("statement")
    (told,) = ward.found(AS_MIGRATOR, port=port)["pooler"]
    assert told.severity is CRITICAL
    assert "a transaction is refused" in told.detail


def test_session_mode_keeps_sessions_apart(ward: Ward, bouncers: Bouncers) -> None:
    found = ward.found(AS_MIGRATOR, port=bouncers.start("session"))
    assert "pooler" not in found
    (told,) = found["between"]
    assert told.severity is NOTE


@pytest.mark.parametrize("ignored", ["", "default_transaction_read_only"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_read_only_session_can_not_be_begun(
    ward: Ward, bouncers: Bouncers, mode: str, ignored: str
) -> None:
    """PgBouncer refuses the parameter, or drops it without a word."""
    port = bouncers.start(mode, ignore_startup_parameters=ignored)
    found = ward.found(AS_READER, port=port)
    (told,) = found["lock-b"]
    assert told.severity is CRITICAL
    assert ("pooler" in found) == (mode == "transaction")
    # It still looks at everything else.
    assert "public-functions" in found
    assert "not-checked" not in found
