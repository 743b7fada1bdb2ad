"""A primary and its streaming standby, a server that is starting up, dead ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import pytest

from proxy.demo import privileges
from proxy.demo.postgres import Cluster, free_port
from tests.fix_postgres import bare_cluster, bin_dir, furnish, new_cluster, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_postgres import Clusters


@dataclass(frozen=True, slots=True)
class Pair:
    """Both servers, with the shop and the shared clusters' logins."""

    primary: Cluster
    standby: Cluster

    @property
    def hosts(self) -> list[str]:
        """As the settings name them."""
        return [f"127.0.0.1:{each.port}" for each in (self.primary, self.standby)]

    def promote(self) -> None:
        """Make the standby a primary; returns when it is one."""
        run(self.standby.dsn(), "select pg_promote()")


@contextlib.contextmanager
def pair_of(major: int, clusters: Clusters) -> Iterator[Pair]:
    """Start both; they are gone afterwards."""
    primary = new_cluster(bin_dir(major), wal_level="replica", hot_standby="on")
    primary.start()
    second = bare_cluster(bin_dir(major), hot_standby="on")
    standby = Cluster(replace(second.plan, password=primary.password))
    try:
        logins = clusters.logins(major)
        furnish(primary, logins)
        _copy(primary, standby)
        standby.start()
        yield Pair(primary, standby)
    finally:
        for each in (standby, primary):
            each.stop()
            shutil.rmtree(each.plan.work, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Starting:
    """A server that is starting up, and says so to everybody (57P03)."""

    cluster: Cluster
    hold: Path

    def go_on(self) -> None:
        """It takes people in from the next moment."""
        self.hold.unlink(missing_ok=True)


@contextlib.contextmanager
def starting_up(major: int, clusters: Clusters) -> Iterator[Starting]:
    """One with the shop, held back in its recovery: it waits for an archive."""
    cluster = new_cluster(bin_dir(major))
    found = Starting(cluster, cluster.plan.work / "hold")
    waits = f"while test -e {found.hold}; do sleep 0.05; done; false"
    cluster.plan.settings.update(restore_command=waits)  # type: ignore[attr-defined]
    try:
        cluster.start()
        furnish(cluster, clusters.logins(major))
        cluster.stop()
        signal = cluster.plan.data / "recovery.signal"
        for file in (signal, found.hold):
            file.touch()
            privileges.hand_over(file, cluster.account)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.demo.postgres.accepts_logins", lambda _: True)
            cluster.start()
        yield found
    finally:
        found.go_on()
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def _copy(primary: Cluster, standby: Cluster) -> None:
    account = standby.account
    standby.plan.data.mkdir(mode=0o700)
    privileges.hand_over(standby.plan.data, account)
    subprocess.run(
        [
            *(primary.bin_dir / "pg_basebackup", f"--pgdata={standby.plan.data}"),
            *("--host=127.0.0.1", f"--port={primary.port}", "--username=postgres"),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        ],
        env={"PGPASSWORD": primary.password, "PATH": os.environ["PATH"], "LC_ALL": "C"},
        cwd="/",
        check=True,
        capture_output=True,
        timeout=60,
        **(account.popen_arguments() if account else {}),
    )


def refused() -> str:
    """A host that refuses connections."""
    return f"127.0.0.1:{free_port()}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A host whose SYNs go unanswered, as of a machine that is off."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(
            socket.create_server(("127.0.0.1", 0), backlog=0)
        )
        address = listening.getsockname()
        for _ in range(4):  # fill the queue: Linux drops the SYNs of all others
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"


@contextlib.contextmanager
def hung() -> Iterator[str]:
    """A host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def hanging_up() -> Iterator[str]:
    """A balancer with nobody behind it: it takes connections and closes them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listening.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


class Door:
    """A port that leads to a server while it is open, and refuses while it is not."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._own = free_port()
        self._listening: socket.socket | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._own}"

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", self._own))
        threading.Thread(
            target=self._serve, args=(self._listening,), daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listening is not None:
            # Wakes the thread that waits in accept(); close() alone would not.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(
                    target=self._join, args=(near, self._to), daemon=True
                ).start()

    @staticmethod
    def _join(near: socket.socket, port: int) -> None:
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            pumps = [
                threading.Thread(target=_pump, args=each, daemon=True)
                for each in ((near, far), (far, near))
            ]
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
