"""What the fault tests share: looking from outside, and sockets that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import struct
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg

from proxy.demo import children
from tests.fix_proxy import serve_command, whole_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

ENDLESS = "select count(*) from generate_series(1, 100000000000)"
"""Runs for hours on any machine, sends nothing, and every role may read it."""
TERMINATE = b"X\x00\x00\x00\x04"
_RESET = struct.pack("ii", 1, 0)


def query(text: str) -> bytes:
    """A Query message."""
    body = text.encode() + b"\0"
    return b"Q" + struct.pack("!i", len(body) + 4) + body


def eventually(
    holds: Callable[[], object], within_s: float = 5.0, what: str = ""
) -> float:
    """Wait until `holds` is true; returns how many seconds that took."""
    started = time.monotonic()
    while not holds():
        waited_s = time.monotonic() - started
        assert waited_s < within_s, f"not within {within_s} s: {what or holds}"
        time.sleep(0.01)
    return time.monotonic() - started


async def until_closed(within_s: float = 10.0) -> None:
    """Return when no socket of this event loop is open any more.

    Who hangs up after a refusal does not wait for it; what is left when the loop ends
    would be a warning in some later test.
    """
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    async with asyncio.timeout(within_s):
        while len(selector.get_map()) > 1:  # noqa: ASYNC110 - nobody tells; one is ours
            await asyncio.sleep(0.005)
    for _ in range(3):  # from forgotten by the selector to closed
        await asyncio.sleep(0)


def metric(proxy: Proxy, series: str) -> float:
    """One number of /metrics; 0 for a series that is not there."""
    with urllib.request.urlopen(f"{proxy.admin_url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def problems(proxy: Proxy) -> list[str]:
    """What /readyz complains about; the status code has to agree."""
    connection = http.client.HTTPConnection(proxy.host, proxy.admin_port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        found = json.load(answer)["problems"]
    assert answer.status == (503 if found else 200)
    return [str(each) for each in found]


def warnings(proxy: Proxy) -> list[str]:
    """What /readyz wants somebody to look at."""
    connection = http.client.HTTPConnection(proxy.host, proxy.admin_port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        found = json.load(connection.getresponse()).get("warnings", [])
    return [str(each) for each in found]


def events(proxy: Proxy, name: str = "") -> list[dict[str, Any]]:
    """The operations log, or only the events of one name."""
    lines = [json.loads(line) for line in whole_lines(proxy.log_path)]
    return [line for line in lines if name in ("", line["event"])]


def backends(shop: Database) -> int:
    """How many backends of pgwarden's logins Postgres has in this database."""
    users = [shop.logins.reader.user, shop.logins.migrator.user]
    with psycopg.connect(shop.cluster.dsn(), autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = %s and "
            "usename = any(%s) and application_name <> 'pgwarden catalog'",
            (shop.name, users),
        ).fetchone()
    assert row is not None
    return int(row[0])


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"{pid} is gone"
    return int(found[1]) / 1024


class Raw:
    """A connection that libpq has logged in and that is ours from then on."""

    def __init__(self, dsn: str, **options: Any) -> None:
        login = psycopg.connect(dsn, autocommit=True, **options)
        number = login.pgconn.socket
        self.socket = socket.socket(fileno=os.dup(number))
        self.socket.setblocking(True)
        self.socket.settimeout(20.0)
        # libpq keeps a descriptor that leads nowhere: its goodbye is not ours.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, number)
        os.close(nowhere)
        login.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Go with an RST, as a machine does that has forgotten the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        got = b""
        try:
            while data := self.socket.recv(1 << 16):
                got += data
        except ConnectionResetError:
            pass
        return got


def restart(proxy: Proxy, *, wait: bool = True) -> None:
    """Start `pgwarden serve` again on the same folder, after it has ended."""
    (proxy.folder / "ready.json").unlink(missing_ok=True)
    proxy.process = children.spawn(
        serve_command(proxy.settings_path), proxy.log_path, environment=os.environ
    )
    if wait:
        proxy.wait_ready()
