"""`deploy/roles.sql` on real servers: what the two roles may do, and what not."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo.postgres import url
from proxy.doctor.findings import Login
from proxy.doctor.script import whole_script
from tests.fix_postgres import MAJORS, bin_dir, new_cluster, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

SCRIPT = Path(__file__).parents[2] / "deploy" / "roles.sql"
LENT = SCRIPT.with_name("writer.sql")
WRITER = "pgwarden_writer"
READER, MIGRATOR = "pgwarden_reader", "pgwarden_migrator"
PASSWORDS = {READER: "read it", MIGRATOR: "move it", WRITER: "lend it"}


@pytest.fixture(scope="module", params=MAJORS)
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = new_cluster(bin_dir(request.param))
    cluster.start()
    try:
        run(cluster.dsn(), "CREATE ROLE app_owner NOLOGIN")
        run(cluster.dsn(), "CREATE DATABASE app OWNER app_owner")
        run(
            cluster.dsn("app"),
            "SET ROLE app_owner; CREATE TABLE users (id int); "
            "CREATE SCHEMA billing CREATE TABLE billing.bills (id int)",
        )
        assert run_script(cluster, "app_owner").returncode == 0
        assert run_script(cluster, "app_owner", LENT).returncode == 0
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def run_script(
    cluster: Cluster, owner: str, script: Path = SCRIPT, /, **changed: str
) -> subprocess.CompletedProcess[str]:
    found = {
        f"{name.removeprefix('pgwarden_')}_secret": make_secret(
            password, salt=secrets.token_bytes(SALT_LENGTH)
        ).encode()
        for name, password in PASSWORDS.items()
    }
    variables = [f"--set={name}={text}" for name, text in (found | changed).items()]
    return subprocess.run(
        [
            bin_dir(17) / "psql",
            "--no-psqlrc",
            "--quiet",
            f"--dbname={cluster.dsn('app')}",
            f"--set=owner={owner}",
            *variables,
            f"--file={script}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def connect(cluster: Cluster, user: str) -> psycopg.Connection:
    dsn = url(user, PASSWORDS[user], cluster.port, "app")
    return psycopg.connect(dsn, autocommit=True)


def test_in_one_script_with_all_that_is_lent(server: Cluster, tmp_path: Path) -> None:
    """As `doctor --fix-sql` prints it: each lent role has a secret of its own."""
    logins = [
        Login("reader", READER, is_reader=True, roles=("developer",)),
        Login("zz", MIGRATOR, is_reader=False, roles=("migrator",)),
        Login("writer", WRITER, is_reader=False, roles=("writer",)),
        Login("fixer", "fix'er", is_reader=False, roles=("fixer",)),
    ]
    script = tmp_path / "all.sql"
    script.write_text(whole_script(logins, ["writer", "fixer"]))
    secret = make_secret("fix it", salt=secrets.token_bytes(SALT_LENGTH)).encode()
    done = run_script(server, "app_owner", script, writer2_secret=secret)
    assert done.returncode == 0, done.stderr
    dsn = url("fix'er", "fix it", server.port, "app")
    for place in (psycopg.connect(dsn, autocommit=True), connect(server, WRITER)):
        with place as writer:
            writer.execute("UPDATE users SET id = 2")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute("DROP TABLE users")
    done = run_script(server, "app_owner", script, writer2_secret="")
    assert done.returncode == 3
    assert "the secret is not what" in done.stderr


def test_the_reader_reads_everything(server: Cluster) -> None:
    with connect(server, READER) as reader:
        reader.execute("SELECT * FROM users, billing.bills")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO users VALUES (1)",
        "DELETE FROM billing.bills",
        "DROP TABLE users",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "SELECT * FROM pg_authid",
        "SET ROLE app_owner",
    ],
)
def test_the_reader_writes_nothing_even_when_told_to(
    server: Cluster, statement: str
) -> None:
    with connect(server, READER) as reader:
        reader.execute("SET default_transaction_read_only = off")  # lock (c) alone
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement)


def test_what_the_migrator_makes_is_the_owners_and_can_be_read(server: Cluster) -> None:
    with connect(server, MIGRATOR) as migrator, connect(server, READER) as reader:
        migrator.execute("CREATE SCHEMA fresh CREATE TABLE fresh.things (id int)")
        migrator.execute("ALTER TABLE users ADD COLUMN name text")
        owner = migrator.execute(
            "SELECT tableowner FROM pg_tables WHERE schemaname = 'fresh'"
        ).fetchone()
        assert owner == ("app_owner",)
        reader.execute("SELECT * FROM fresh.things")
        migrator.execute("DROP SCHEMA fresh CASCADE")


@pytest.mark.parametrize("statement", ["CREATE ROLE r", "CREATE DATABASE d"])
def test_the_migrator_makes_no_roles_and_databases(
    server: Cluster, statement: str
) -> None:
    with (
        connect(server, MIGRATOR) as migrator,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        migrator.execute(statement)


def test_the_writer_changes_rows_also_of_what_comes(server: Cluster) -> None:
    with connect(server, MIGRATOR) as migrator, connect(server, WRITER) as writer:
        migrator.execute("CREATE SCHEMA late CREATE TABLE late.things (id serial)")
        for table in ("users", "billing.bills", "late.things"):
            writer.execute(f"INSERT INTO {table} VALUES (1)".encode())
            writer.execute(f"UPDATE {table} SET id = 2 WHERE id = 1".encode())
            writer.execute(f"DELETE FROM {table} WHERE id = 2".encode())
        writer.execute("INSERT INTO late.things DEFAULT VALUES")
        migrator.execute("DROP SCHEMA late CASCADE")


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE users",
        "ALTER TABLE users ADD COLUMN x int",
        "DROP TABLE users",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "SELECT * FROM pg_authid",
        "SET ROLE app_owner",
        "SET ROLE pgwarden_migrator",
    ],
)
def test_the_writer_does_nothing_else(server: Cluster, statement: str) -> None:
    with (
        connect(server, WRITER) as writer,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        writer.execute(statement.encode())


@pytest.mark.parametrize(
    ("owner", "changed", "said"),
    [
        ("nobody", {}, "there is no such role as the owner"),
        ("app_owner", {"writer": "postgres"}, "may do more than change rows"),
        ("app_owner", {"writer_secret": "lend it"}, "is it on the PATH?"),
    ],
)
def test_a_writer_that_can_not_be_meant(
    server: Cluster, owner: str, changed: dict[str, str], said: str
) -> None:
    done = run_script(server, owner, LENT, **changed)
    assert done.returncode != 0
    assert said in done.stderr
    assert "lend it" not in done.stderr


def test_it_can_be_run_again(server: Cluster) -> None:
    assert run_script(server, "app_owner").returncode == 0
    assert run_script(server, "app_owner", LENT).returncode == 0


@pytest.mark.parametrize(
    ("owner", "changed", "said"),
    [
        ("postgres", {}, "the owner is a superuser"),
        ("nobody", {}, "there is no such role as the owner"),
        ("app_owner", {"reader_secret": ""}, "is it on the PATH?"),
        ("app_owner", {"migrator_secret": "in clear"}, "is it on the PATH?"),
    ],
)
def test_what_would_harm_is_refused(
    server: Cluster, owner: str, changed: dict[str, str], said: str
) -> None:
    done = run_script(server, owner, **changed)
    assert done.returncode == 3
    assert said in done.stderr
    for user in PASSWORDS:
        connect(server, user).close()
