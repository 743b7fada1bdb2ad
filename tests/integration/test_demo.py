"""`pgwarden demo` as a person runs it: a child process, real clients, and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from proxy.demo.binaries import wheel_bin_dir
from proxy.demo.postgres import url
from tests.fix_postgres import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(90)]

COMMAND = (sys.executable, "-P", "-m", "proxy.cli.main", "demo")
_START_S = 90.0


@dataclass(slots=True)
class Demo:
    """A demo that serves."""

    process: subprocess.Popen[str]
    ready_file: Path
    ready: dict[str, Any]
    output: Path
    temporary: Path

    def dsn(self, identity: str = "developer") -> str:
        person = self.ready["identities"][identity]
        return url(
            person["user"],
            person["password"],
            self.ready["port"],
            self.ready["database"],
        )

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demos with their temporary files in a folder that can be looked into."""
    started: list[Demo] = []
    with tempfile.TemporaryDirectory(
        prefix="pgwarden-demo-test-", dir="/tmp"
    ) as folder:
        temporary = Path(folder)
        temporary.chmod(0o711)

        def start(*options: str, **environment: str) -> Demo:
            ready_file = tmp_path / f"ready-{len(started)}.json"
            output = tmp_path / f"output-{len(started)}"
            with output.open("w") as stream:
                process = subprocess.Popen(
                    [
                        *COMMAND,
                        *("--port", "0", "--admin-port", "0"),
                        *("--ready-file", str(ready_file), *options),
                    ],
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=tmp_path,
                    env={**os.environ, "TMPDIR": folder, **environment},
                )
            demo = Demo(process, ready_file, {}, output, temporary)
            started.append(demo)
            deadline = time.monotonic() + _START_S
            while not ready_file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the demo did not serve:\n{output.read_text()}")
                time.sleep(0.05)
            demo.ready = json.loads(ready_file.read_text())
            return demo

        yield start
        for demo in started:
            if demo.process.poll() is None:
                demo.stop(signal.SIGTERM)


def refused(*options: str, **environment: str) -> tuple[int, str]:
    """Exit status and error text of a demo that must not start."""
    done = subprocess.run(
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def one(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=15)
    return not alive


def test_serves_and_tells_where(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    ready = demo.ready
    assert demo.ready_file.stat().st_mode & 0o777 == 0o600
    assert set(ready) == {
        *("host", "port", "database", "admin_url", "upstream_dsn", "audit_log", "pids"),
        "identities",
    }
    assert (ready["host"], ready["database"]) == ("127.0.0.1", "shop")
    assert set(ready["identities"]) == {"developer", "migrator", "auditor", "lead"}
    assert ready["pids"]
    for pid in ready["pids"]:
        assert "serve" in psutil.Process(pid).cmdline()
    with urllib.request.urlopen(ready["admin_url"] + "/healthz", timeout=5) as answer:
        assert answer.status == 200
    assert one(ready["upstream_dsn"], "SHOW is_superuser") == "on"
    assert one(demo.dsn(), "SELECT count(*) FROM customers") == 1000
    with (
        psycopg.connect(demo.dsn(), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DROP TABLE orders")
    run(demo.dsn("migrator"), "CREATE TABLE coupons (code text PRIMARY KEY)")
    assert one(demo.dsn(), "SELECT count(*) FROM coupons") == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(demo.dsn("auditor"))
    assert list(Path(ready["audit_log"]).glob("*.jsonl"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(
    start_demo: Callable[..., Demo], number: signal.Signals
) -> None:
    demo = start_demo()
    family = demo.family()
    with psycopg.connect(demo.dsn()):  # a client that stays connected
        assert demo.stop(number) == 0
    assert gone(family)
    assert not demo.ready_file.exists()
    assert not list(demo.temporary.iterdir())


def test_ctrl_c_twice_still_clears_up(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    family = demo.family()
    demo.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0
    assert gone(family)
    assert not list(demo.temporary.iterdir())


def test_killed_it_takes_its_children_along(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    family = demo.family()
    assert len(family) > 2
    demo.process.kill()
    demo.process.wait()
    assert gone(family)


def test_says_so_when_the_proxy_dies(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    family = demo.family()
    for pid in demo.ready["pids"]:
        os.kill(pid, signal.SIGKILL)
    assert demo.process.wait(30) == 1
    assert "the proxy ended by itself" in demo.output.read_text()
    assert gone(family)


def test_says_so_when_postgres_dies(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    family = demo.family()
    next(child for child in family if child.name() == "postgres").kill()
    assert demo.process.wait(30) == 1
    assert "postgres ended" in demo.output.read_text()
    assert gone(family)


def test_a_data_dir_is_kept_and_used_again(
    start_demo: Callable[..., Demo], tmp_path: Path
) -> None:
    data = tmp_path / "kept"
    first = start_demo("--data-dir", str(data))
    run(first.dsn("migrator"), "CREATE TABLE kept AS SELECT 7 AS a")
    assert Path(first.ready["audit_log"]).is_relative_to(data)
    code, said = refused("--data-dir", str(data), "--port", "0", "--admin-port", "0")
    assert (code, "another demo is using" in said) == (2, True)
    assert first.stop() == 0
    records = len(list(Path(first.ready["audit_log"]).glob("*.jsonl")))
    assert records
    second = start_demo("--data-dir", str(data))
    assert second.ready["identities"] == first.ready["identities"]
    assert one(second.dsn(), "SELECT a FROM kept") == 7
    assert one(second.dsn(), "SELECT count(*) FROM customers") == 1000
    store = data / "store" / "pgwarden.db"
    assert store.stat().st_mode & 0o777 == 0o600
    assert store.parent.stat().st_mode & 0o777 == 0o700
    assert second.stop() == 0
    assert not list(second.temporary.iterdir())


def test_every_printed_line_works(
    start_demo: Callable[..., Demo], tmp_path: Path
) -> None:
    """Pasted into a shell as they are, from the folder where the demo was started."""
    demo = start_demo()
    lines = [line.strip() for line in demo.output.read_text().splitlines()]
    commands = [
        line for line in lines if re.match(r"PGPASSWORD=|\S*pgwarden audit", line)
    ]
    assert len(commands) == 7
    for line in commands:
        ending = " -c 'SELECT 1'" if line.endswith("-d shop") else ""
        done = subprocess.run(
            line.replace(" tail -f ", " tail ") + ending,
            shell=True,
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
        if "DROP TABLE" in line:
            assert done.returncode == 1
            assert "ERROR" in done.stderr
        else:
            assert done.returncode == 0, (line, done.stdout, done.stderr)
    exports = [line for line in lines if line.startswith("export DATABASE_URL=")]
    assert len(exports) == 2
    psql = wheel_bin_dir() / "psql"
    for line in exports:
        pasted = f'{line}\n{psql} "$DATABASE_URL" -Atc "SELECT count(*) FROM customers"'
        assert subprocess.check_output(pasted, shell=True, text=True) == "1000\n"
    (names,) = [line for line in lines if line.startswith("export DEVELOPER=")]
    pasted = (
        f'{names}\n{psql} "$DEVELOPER" -Atc "SELECT count(*) FROM orders"\n'
        f'{psql} "$DEPLOY" -Atc "CREATE TABLE made_by_deploy (id int)"\n'
        "ls $AUDIT | wc -l"
    )
    said = subprocess.check_output(pasted, shell=True, text=True)
    assert said.splitlines() == ["5000", "CREATE TABLE", "1"]
    assert any(
        line.startswith(f"Status page: {demo.ready['admin_url']}/ ") for line in lines
    )


def test_a_busy_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = refused("--port", port, "--admin-port", "0")
        assert code == 2
        assert said.splitlines()[0] == f"pgwarden: port {port} on 127.0.0.1 is taken"
        code, said = refused("--port", "0", "--admin-port", port)
        assert "--admin-port 0" in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--database", "x"], "belong to --upstream"),
        (["--reader-role", "x"], "belong to --upstream"),
        (["--port", "7001", "--admin-port", "7001"], "both 7001"),
        (["--ready-file", "/nowhere/x.json"], "no folder for --ready-file"),
        (["--upstream", "host=127.0.0.1"], "must be a connection URL"),
        (
            ["--upstream", "postgresql://x:hunter2@127.0.0.1:1/x"],
            "can't log in to the upstream as the superuser: connection refused:",
        ),
    ],
)
def test_mistakes_are_one_clear_line(options: list[str], problem: str) -> None:
    code, said = refused("--port", "0", "--admin-port", "0", *options)
    assert code in {1, 2}
    assert problem in said.splitlines()[0]
    assert "hunter2" not in said


def footprint(cluster: Cluster, database: str) -> list[object]:
    """What a demo could leave behind on a server."""
    everywhere = (
        "SELECT array_agg(rolname ORDER BY rolname) FROM pg_roles",
        "SELECT array_agg(datname ORDER BY datname) FROM pg_database",
        "SELECT count(*) FROM pg_auth_members",
    )
    inside = (
        "SELECT array_agg(DISTINCT (relname, acl.*)::text) FROM pg_class,"
        " aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl"
        " WHERE relkind IN ('r', 'v', 'm')",
        "SELECT array_agg(DISTINCT (nspname, acl.*)::text) FROM pg_namespace,"
        " aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS acl",
        "SELECT count(*) FROM pg_default_acl",
    )
    return [one(cluster.dsn(), query) for query in everywhere] + [
        one(cluster.dsn(database), query) for query in inside
    ]


def borrows_and_writes(demo: Demo, update: str) -> None:
    """A developer is lent the writer's role by the lead, and loses it at the end."""
    ask = "CALL pgwarden.request_access('writer', '5m', 'INC-42: fix one row')"
    with psycopg.connect(demo.dsn(), autocommit=True) as before:
        row = before.execute(ask.encode()).fetchone()
        assert row is not None
        with psycopg.connect(demo.dsn("lead"), autocommit=True) as lead:
            lead.execute(f"CALL pgwarden.approve('{row[0]}')".encode())
        with psycopg.connect(demo.dsn(), autocommit=True) as borrowed:
            assert borrowed.execute(update.encode()).rowcount == 1
        before.execute(f"CALL pgwarden.revoke('{row[0]}')".encode())
    with (
        psycopg.connect(demo.dsn(), autocommit=True) as after,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        after.execute(update.encode())


def test_a_foreign_server_gets_a_shop_for_a_while(
    start_demo: Callable[..., Demo], postgres: Cluster
) -> None:
    before = footprint(postgres, "postgres")
    demo = start_demo("--upstream", postgres.dsn())
    assert one(demo.dsn(), "SELECT count(*) FROM customers") == 1000
    assert one(demo.ready["upstream_dsn"], "SHOW is_superuser") == "on"
    assert one(demo.ready["upstream_dsn"], "SELECT current_database()") == "shop"
    borrows_and_writes(demo, "UPDATE customers SET name = 'x' WHERE id = 1")
    assert demo.stop() == 0
    assert footprint(postgres, "postgres") == before
    assert not list(demo.temporary.iterdir())


def test_an_existing_database_is_served_and_put_back(
    start_demo: Callable[..., Demo], shop: Database
) -> None:
    before = footprint(shop.cluster, shop.name)
    demo = start_demo("--upstream", shop.cluster.dsn(), "--database", shop.name)
    assert demo.ready["database"] == shop.name
    assert one(demo.dsn(), "SELECT count(*) FROM customers") == 1000
    run(demo.dsn("migrator"), "ALTER TABLE customers ADD COLUMN phone text")
    run(demo.dsn("migrator"), "CREATE TABLE mine (a int)")
    run(demo.dsn("migrator"), "INSERT INTO mine VALUES (1)")
    assert one(demo.dsn(), "SELECT count(*) FROM mine") == 1
    borrows_and_writes(demo, "UPDATE mine SET a = 2 WHERE a = 1")
    assert demo.stop() == 0
    assert "table mine" in demo.output.read_text()
    assert shop.fetch("SELECT tableowner FROM pg_tables WHERE tablename = 'mine'") == [
        (shop.cluster.superuser,)
    ]
    assert shop.fetch("TABLE mine") == [(2,)]
    shop.execute("DROP TABLE mine")
    assert footprint(shop.cluster, shop.name) == before


def test_a_database_called_shop_is_left_alone(postgres17: Cluster) -> None:
    run(postgres17.dsn(), "CREATE DATABASE shop")
    before = footprint(postgres17, "shop")
    try:
        code, said = refused(
            *("--upstream", postgres17.dsn(), "--port", "0", "--admin-port", "0")
        )
        assert (code, "--database shop" in said) == (2, True)
        assert footprint(postgres17, "shop") == before
    finally:
        run(postgres17.dsn(), "DROP DATABASE shop")


def test_a_strong_reader_is_announced_loudly(
    start_demo: Callable[..., Demo], shop17: Database
) -> None:
    """Lock (a) alone: the decision still refuses, and the person is told."""
    demo = start_demo(
        *("--upstream", shop17.cluster.dsn(), "--database", shop17.name),
        *("--reader-role", shop17.cluster.superuser),
    )
    said = demo.output.read_text()
    assert "! DEVELOPERS REACH POSTGRES AS" in said
    # Production's own gate would refuse: waived by name, for a day, and said so.
    assert "! PRODUCTION WOULD NOT SERVE LIKE THIS" in said
    assert f"!   superuser ({shop17.cluster.superuser})" in said
    assert one(demo.dsn(), "SELECT current_user") == shop17.cluster.superuser
    with (
        psycopg.connect(demo.dsn(), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DROP TABLE order_items")
    assert demo.stop() == 0
    assert shop17.fetch("SELECT count(*) > 0 FROM order_items") == [(True,)]


def test_another_reader_needs_its_password(
    start_demo: Callable[..., Demo], shop17: Database
) -> None:
    reader = shop17.logins.reader
    options = (
        *("--upstream", shop17.cluster.dsn(), "--database", shop17.name),
        *("--reader-role", reader.user),
    )
    code, said = refused("--port", "0", "--admin-port", "0", *options)
    assert (code, "PGWARDEN_DEMO_READER_PASSWORD" in said) == (1, True)
    assert reader.password is not None
    demo = start_demo(*options, PGWARDEN_DEMO_READER_PASSWORD=reader.password)
    assert one(demo.dsn(), "SELECT current_user") == reader.user


def test_runs_several_workers(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo("--workers", "2")
    family = demo.family()
    assert len(demo.ready["pids"]) >= 2
    for _ in range(8):
        assert one(demo.dsn(), "SELECT 1") == 1
    assert demo.stop() == 0
    assert gone(family)
