"""One role of Postgres for each identity: what sessions see, and who gets in."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo.postgres import url
from tests.fix_postgres import MAJORS, bin_dir, new_cluster, run
from tests.fix_proxy import serve_command
from tests.integration.limited import policy_text
from tests.integration.rig import events, eventually, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

DEPLOY = Path(__file__).parents[2] / "deploy"
PEOPLE = {"ana": "of ana", "bob": "of bob"}
HIDDEN = "<insufficient privilege>"


def secret_of(password: str) -> str:
    return make_secret(password, salt=secrets.token_bytes(SALT_LENGTH)).encode()


def psql_file(
    cluster: Cluster, script: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            bin_dir(17) / "psql",
            *("--no-psqlrc", "--quiet", f"--dbname={cluster.dsn('app')}"),
            *(f"--set={name}={text}" for name, text in variables.items()),
            f"--file={DEPLOY / script}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server prepared by the scripts that are shipped, and by nothing else."""
    cluster = new_cluster(bin_dir(request.param))
    cluster.start()
    try:
        run(cluster.dsn(), "CREATE ROLE app_owner NOLOGIN")
        run(cluster.dsn(), "CREATE DATABASE app OWNER app_owner")
        run(cluster.dsn("app"), "SET ROLE app_owner; CREATE TABLE things (id int)")
        done = psql_file(
            cluster,
            "roles.sql",
            owner="app_owner",
            reader_secret=secret_of("shared"),
            migrator_secret=secret_of("moves"),
        )
        assert done.returncode == 0, done.stderr
        for name, password in PEOPLE.items():
            done = psql_file(
                cluster, "person.sql", person=f"pgw_{name}", secret=secret_of(password)
            )
            assert done.returncode == 0, done.stderr
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


class Folder:
    """The files of a pgwarden before `server`, for tests that change them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path / "policy.yaml"
        self.policy.write_text(policy_text())
        self.identities = path / "identities.yaml"
        (path / "secrets").mkdir()
        for name, password in PEOPLE.items():
            (path / "secrets" / name).write_text(password + "\n")
        (path / "shared").write_text("shared\n")
        self.write_identities("ana", "bob")

    def write_identities(self, *names: str) -> None:
        entries = [
            {"name": name, "role": "developer", "secret": secret_of(f"{name}'s own")}
            for name in names
        ]
        self.identities.write_text(
            yaml.safe_dump({"version": 1, "identities": entries})
        )

    def reader(self, *, is_personal: bool) -> dict[str, str]:
        if is_personal:
            file = str(self.path / "secrets" / "{identity}")
            return {"user": "pgw_{identity}", "password_file": file}
        return {"user": "pgwarden_reader", "password_file": str(self.path / "shared")}

    def settings(self, *, is_personal: bool) -> dict[str, Any]:
        return {
            "identities": str(self.identities),
            "upstream": {
                "logins": {
                    "reader": self.reader(is_personal=is_personal),
                    "migrator": {
                        "user": "pgwarden_migrator",
                        "password_file": str(self.path / "moves"),
                    },
                }
            },
        }


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "moves").write_text("moves\n")
    return Folder(tmp_path)


def start(
    start_proxy: StartProxy, server: Cluster, folder: Folder, *, is_personal: bool
) -> Proxy:
    settings = folder.settings(is_personal=is_personal)
    return start_proxy(server, policy=folder.policy, settings=settings)


def connect(proxy: Proxy, name: str) -> psycopg.Connection:
    dsn = url(name, f"{name}'s own", proxy.port, "app")
    return psycopg.connect(dsn, autocommit=True)


def refused(proxy: Proxy, name: str) -> str:
    with pytest.raises(psycopg.OperationalError) as error:
        connect(proxy, name)
    return str(error.value)


@pytest.mark.parametrize("is_personal", [False, True])
def test_what_two_sessions_see_and_do_to_each_other(
    start_proxy: StartProxy, server: Cluster, folder: Folder, is_personal: bool
) -> None:
    proxy = start(start_proxy, server, folder, is_personal=is_personal)
    with connect(proxy, "ana") as ana, connect(proxy, "bob") as bob:
        ana.execute("select 'the salary of bob'")
        pid = ana.info.backend_pid
        row = ana.execute("select pg_backend_pid(), current_user").fetchone()
        assert row is not None
        pid, user = row
        assert user == ("pgw_ana" if is_personal else "pgwarden_reader")
        ana.execute("select 'the salary of bob'")
        seen = bob.execute(
            "select query, application_name from pg_stat_activity where pid = %s",
            (pid,),
        ).fetchone()
        assert seen is not None
        if is_personal:
            assert seen[0] == HIDDEN
            for function in ("pg_cancel_backend", "pg_terminate_backend"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    bob.execute(f"select {function}(%s)".encode(), (pid,))
            assert ana.execute("select count(*) from things").fetchone() == (0,)
        else:
            assert seen[0] == "select 'the salary of bob'"
            assert bob.execute("select pg_terminate_backend(%s)", (pid,)).fetchone()
            with pytest.raises(psycopg.OperationalError):
                ana.execute("select 1")
    starts = [each for each in proxy.records() if each["kind"] == "session.start"]
    assert starts[0]["upstream_user"] == user


def test_lock_c_holds_for_a_role_of_ones_own(server: Cluster) -> None:
    dsn = url("pgw_ana", PEOPLE["ana"], server.port, "app")
    with psycopg.connect(dsn, autocommit=True) as ana:
        ana.execute("set default_transaction_read_only = off")
        for statement in (
            "insert into things values (1)",
            "create table mine (id int)",
            "create temporary table mine (id int)",
            "set role app_owner",
            "select * from pg_authid",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ana.execute(statement.encode())


def test_an_identity_without_a_role_upstream(
    start_proxy: StartProxy, server: Cluster, folder: Folder
) -> None:
    (folder.path / "secrets" / "eve").write_text("nothing\n")
    folder.write_identities("eve", "ana")
    proxy = start(start_proxy, server, folder, is_personal=True)
    said = refused(proxy, "eve")
    assert 'the database refused "pgw_eve", pgwarden\'s login for you' in said
    assert "whether that role exists" in said
    eventually(lambda: events(proxy, "login_refused"))
    (event,) = events(proxy, "login_refused")
    assert 'CREATE ROLE "pgw_eve" LOGIN PASSWORD' in event["note"]
    # Eve is the one that the probe tries; that says nothing of the others.
    eventually(lambda: problems(proxy) == [])
    connect(proxy, "ana").close()


def test_one_more_identity_while_it_serves(
    start_proxy: StartProxy, server: Cluster, folder: Folder
) -> None:
    proxy = start(start_proxy, server, folder, is_personal=True)
    done = psql_file(server, "person.sql", person="pgw_cyd", secret=secret_of("of cyd"))
    assert done.returncode == 0, done.stderr
    folder.write_identities("ana", "cyd")
    eventually(lambda: events(proxy, "renewal_refused"))
    assert "secrets/cyd" in events(proxy, "renewal_refused")[0]["error"]
    eventually(lambda: events(proxy, "reloaded"))
    assert 'pgwarden holds no password for "pgw_cyd"' in refused(proxy, "cyd")
    connect(proxy, "ana").close()
    (folder.path / "secrets" / "cyd").write_text("of cyd\n")
    proxy.reload()
    eventually(lambda: len(events(proxy, "reloaded")) > 1)
    with connect(proxy, "cyd") as cyd:
        assert cyd.execute("select current_user").fetchone() == ("pgw_cyd",)


def check(proxy: Proxy) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*serve_command(proxy.settings_path), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_serve_check_looks_at_every_identity(
    start_proxy: StartProxy, server: Cluster, folder: Folder
) -> None:
    proxy = start(start_proxy, server, folder, is_personal=True)
    assert check(proxy).returncode == 0
    for name, said in (
        ("../shared", "can't be put into upstream user"),
        ("Ana", "only lower-case letters"),
        ("x" * 60, "over 63 bytes"),
        ("dan", "secrets/dan"),
    ):
        folder.write_identities("ana", name)
        done = check(proxy)
        assert done.returncode == 2, name
        assert said in done.stderr.replace("\n", " ")
        assert "of ana" not in json.dumps([done.stderr, done.stdout])
    # Nor does a reload take what a start would not.
    count = len(events(proxy, "reload_refused"))
    folder.write_identities("ana", "../shared")
    eventually(lambda: len(events(proxy, "reload_refused")) > count)
    time.sleep(0.1)
    assert "password authentication failed" in refused(proxy, "../shared")
    connect(proxy, "ana").close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"person": "postgres"}, "that role exists and may do more than read"),
        ({"secret": "in clear"}, "is it on the PATH?"),
    ],
)
def test_the_script_refuses_what_would_harm(
    server: Cluster, changed: dict[str, str], said: str
) -> None:
    given = {"person": "pgw_new", "secret": secret_of("x")} | changed
    done = psql_file(server, "person.sql", **given)
    assert done.returncode == 3
    assert said in done.stderr
