"""The one-door page on real servers: its pg_hba.conf, its SQL, and its report.

The addresses of the page become addresses of this machine: 127.0.0.1 is pgwarden's,
127.0.0.3 the application's, 127.0.0.2 everybody else's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trustme
import yaml

from proxy.demo import privileges
from proxy.demo.config import people
from proxy.demo.folder import Passwords
from tests.fix_postgres import MAJORS, bin_dir, new_cluster
from tests.fix_proxy import identities_document, ungated_text
from tests.integration.elsewhere import ELSEWHERE, relayed
from tests.integration.following import page
from tests.integration.rig import eventually
from tests.integration.test_deploy_roles import PASSWORDS, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

WITH_TLS = (15, 17)
"""The wheel of 18 is built without."""
APP_HOST = "127.0.0.3"
HERE = {"10.0.0.5": "127.0.0.1", "10.0.1.0/24": f"{APP_HOST}/32"}
OPEN = "host all all 127.0.0.0/8 scram-sha-256\n"
PASSWORD = "of app and ana"
REFUSED = "pg_hba.conf rejects connection"


def logging_settings(cluster: Cluster) -> dict[str, str]:
    """All formats at once, in a folder that both of us may enter."""
    return {
        "logging_collector": "on",
        "log_destination": "stderr,csvlog,jsonlog",
        "log_directory": str(cluster.plan.data / "logs"),
        "log_filename": "postgresql.log",
    }


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"pg{major}")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """TLS, the roles of deploy/roles.sql, an application and a person's own role."""
    cluster = new_cluster(bin_dir(request.param))
    work = cluster.plan.work
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(work / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(work / "c.pem")
    certificate.private_key_pem.write_to_path(work / "k.pem")
    (work / "hba.conf").write_text(OPEN)
    (work / "k.pem").chmod(0o600)
    for name in ("c.pem", "k.pem", "hba.conf"):
        privileges.hand_over(work / name, cluster.account)
    if request.param in WITH_TLS:
        cluster.plan.settings.update(  # type: ignore[attr-defined]
            ssl="on",
            ssl_cert_file=str(work / "c.pem"),
            ssl_key_file=str(work / "k.pem"),
        )
    cluster.plan.settings.update(  # type: ignore[attr-defined]
        hba_file=str(work / "hba.conf"),
        unix_socket_directories=str(cluster.plan.data),
        **logging_settings(cluster),
    )
    cluster.start()
    try:
        with psycopg.connect(cluster.dsn(), autocommit=True) as superuser:
            for statement in (
                "ALTER SYSTEM SET log_connections = on",
                "SELECT pg_reload_conf()",
                "CREATE ROLE app_owner NOLOGIN",
                f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'",
                f"CREATE ROLE ana LOGIN PASSWORD '{PASSWORD}'",
                "ALTER ROLE ana SET log_min_messages = panic",
                "CREATE DATABASE app OWNER app_owner",
            ):
                superuser.execute(statement.encode())
        with psycopg.connect(cluster.dsn("app"), autocommit=True) as superuser:
            superuser.execute("SET ROLE app_owner; CREATE TABLE users (id int)")
        assert run_script(cluster, "app_owner").returncode == 0
        with psycopg.connect(cluster.dsn("app"), autocommit=True) as superuser:
            # For the doctor alone, who then tells it as a finding of its own.
            for what in ("SELECT ON", "EXECUTE ON FUNCTION"):
                name = f"pg_hba_file_rules{'()' if 'FUNCTION' in what else ''}"
                superuser.execute(f"GRANT {what} {name} TO pgwarden_reader".encode())
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(work, ignore_errors=True)


def enter(
    cluster: Cluster, user: str, *, source: str = "127.0.0.1", **more: Any
) -> str:
    """Log in directly; who one is then, or why not."""
    password = PASSWORDS.get(user, PASSWORD)
    if user == cluster.superuser:
        password = cluster.password
    options: dict[str, Any] = {"dbname": "app", "sslmode": "prefer"} | more
    try:
        with (
            relayed(cluster, source) as port,
            psycopg.connect(
                host="127.0.0.1", port=port, user=user, password=password, **options
            ) as connection,
        ):
            row = connection.execute("SELECT session_user").fetchone()
            return str(row[0]) if row else ""
    except psycopg.OperationalError as error:
        return str(error)


def put_hba(cluster: Cluster, text: str) -> None:
    """As root would: the file, and SIGHUP to the postmaster."""
    assert cluster.process is not None
    (cluster.plan.work / "hba.conf").write_text(text)
    pid = int((cluster.plan.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGHUP)


@pytest.fixture
def closed(server: Cluster) -> Iterator[Cluster]:
    """The server as the page wants it."""
    text = page("one-door", **HERE)
    with psycopg.connect(server.dsn("app"), autocommit=True) as superuser:
        for statement in text.blocks("sql")[0].splitlines():
            superuser.execute(statement.encode())
        put_hba(server, text.blocks("")[0])
        check, *_ = text.steps()
        eventually(lambda: REFUSED in enter(server, "ana"))
        query = check.command.partition('"')[2].rstrip('"')
        assert superuser.execute(query.encode()).fetchall() == []
    try:
        yield server
    finally:
        put_hba(server, OPEN)
        eventually(lambda: enter(server, "ana", dbname="postgres") == "ana")


@pytest.mark.parametrize("server", WITH_TLS, indirect=True, ids="pg{}".format)
def test_nobody_comes_in_but_those_of_the_page(
    closed: Cluster, start_proxy: StartProxy, tmp_path: Path
) -> None:
    reader, migrator = "pgwarden_reader", "pgwarden_migrator"
    for user, source in (
        (reader, ELSEWHERE),
        (migrator, ELSEWHERE),
        (reader, APP_HOST),  # the application's machine
        ("ana", "127.0.0.1"),  # pgwarden's machine
        ("ana", APP_HOST),
        ("app", "127.0.0.1"),
        ("app", ELSEWHERE),
        (closed.superuser, "127.0.0.1"),
        (closed.superuser, APP_HOST),
    ):
        assert REFUSED in enter(closed, user, source=source), (user, source)
        plain = enter(closed, user, source=source, sslmode="disable")
        assert REFUSED in plain, (user, source)
    # Without TLS not even from where they may come, and into no other database.
    for user, source in ((reader, "127.0.0.1"), ("app", APP_HOST)):
        assert REFUSED in enter(closed, user, source=source, sslmode="disable")
        assert REFUSED in enter(closed, user, source=source, dbname="postgres")
        assert enter(closed, user, source=source) == user
    assert "rejects replication" in enter(
        closed, reader, source=ELSEWHERE, replication="true"
    )
    for user in (closed.superuser, "ana"):
        said = enter_by_socket(closed, user)
        assert ("Peer authentication" if user != "ana" else REFUSED) in said

    policy = tmp_path / "production.yaml"
    policy.write_text(ungated_text())
    proxy = start_proxy(
        closed,
        policy=policy,
        settings={
            "upstream": {
                "databases": ["app"],
                "tls": tls_to(closed),
                "logins": logins_in(tmp_path),
            }
        },
    )
    for who, user in (("developer", reader), ("migrator", migrator)):
        with psycopg.connect(proxy.dsn(who, "app"), autocommit=True) as connection:
            row = connection.execute("SELECT session_user").fetchone()
            assert row == (user,)


@pytest.mark.parametrize("server", WITH_TLS, indirect=True, ids="pg{}".format)
def test_the_doctor_finds_nothing_to_say_about_that_file(
    closed: Cluster, tmp_path: Path
) -> None:
    door = Door(closed, tmp_path)
    found = door.doctor()
    told = {each["finding"] for each in found if each["user"] == "pgwarden_reader"}
    assert "dangerous-functions" in told  # it did look as the reader
    assert not {"hba-open", "hba-trust", "hba-unreadable", "logins-unlogged"} & told


def enter_by_socket(cluster: Cluster, user: str) -> str:
    try:
        psycopg.connect(
            host=str(cluster.plan.data),
            port=cluster.port,
            user=user,
            password=cluster.password,
            dbname="app",
        ).close()
    except psycopg.OperationalError as error:
        return str(error)
    return user


# --- the report ------------------------------------------------------------------


def pgwarden(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "proxy.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def tls_to(cluster: Cluster) -> dict[str, str]:
    """Upstream TLS, where this server can."""
    if cluster.major not in WITH_TLS:
        return {"mode": "disable"}
    return {"mode": "verify-full", "ca": str(cluster.plan.work / "ca.pem")}


def logins_in(folder: Path) -> dict[str, dict[str, str]]:
    """The two logins of deploy/roles.sql, their passwords in files there."""
    found = {}
    for name in ("reader", "migrator"):
        user = f"pgwarden_{name}"
        (folder / user).write_text(PASSWORDS[user] + "\n")
        found[name] = {"user": user, "password_file": str(folder / user)}
    return found


class Door:
    """`pgwarden door report` over the log of a server, from here on."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.folder = folder
        self.logs = {
            kind: cluster.plan.data / "logs" / f"postgresql.{kind}"
            for kind in ("log", "csv", "json")
        }
        self._starts = {kind: log.stat().st_size for kind, log in self.logs.items()}
        self._settings = folder / "pgwarden.yaml"
        (folder / "identities.yaml").write_text(
            identities_document(people(Passwords()))
        )
        (folder / "production.yaml").write_text(ungated_text())
        content = {
            "listen": ["127.0.0.1:0"],
            "policy": "production.yaml",
            "identities": "identities.yaml",
            "audit": {"folder": "audit"},
            "upstream": {
                "host": cluster.host,
                "port": cluster.port,
                "databases": ["app"],
                "tls": tls_to(cluster),
                "logins": logins_in(folder),
            },
        }
        self._settings.write_text(yaml.safe_dump(content))

    def said(self, kind: str) -> str:
        """What the log gained."""
        log = self.logs[kind].read_bytes()[self._starts[kind] :]
        return log.decode(errors="replace")

    def doctor(self) -> list[dict[str, Any]]:
        """What `pgwarden doctor` finds."""
        done = pgwarden("doctor", "--config", str(self._settings), "--json")
        assert not done.stderr, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        return found

    def report(self, kind: str, *more: str) -> tuple[int, dict[str, Any]]:
        file = self.folder / f"postgresql.{kind}"
        file.write_text(self.said(kind))
        done = pgwarden(
            *("door", "report", "--config", str(self._settings), "--json"),
            *("--log", str(file), "--from", "127.0.0.1", *more),
        )
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def door(server: Cluster, tmp_path: Path) -> Door:
    return Door(server, tmp_path)


def visited(door: Door, marker: str, times: int = 1) -> None:
    """Postgres' collector writes a moment later, to three files."""
    eventually(
        lambda: all(door.said(kind).count(marker) >= times for kind in door.logs)
    )


def test_every_login_that_went_round_is_told(server: Cluster, door: Door) -> None:
    reader = "pgwarden_reader"
    assert enter(server, reader) == reader
    assert enter(server, "app", source=APP_HOST) == "app"
    known = ("--known", f"app@{APP_HOST}")
    visited(door, "connection authorized: user=app")
    for kind in door.logs:
        status, told = door.report(kind, *known)
        counts = ("logins", "through_pgwarden", "known", "round_pgwarden")
        assert (status, [told[each] for each in counts]) == (0, [2, 1, 1, 0])

    assert enter(server, reader, source=ELSEWHERE) == reader
    assert enter(server, "app", source=ELSEWHERE) == "app"
    # Neither hides from it: a superuser, who may switch it off for a session, and
    # ana, whose role logs nothing. Nor is a wrong name believed that speaks like it.
    quiet = {"options": "-c log_connections=off -c log_min_messages=panic"}
    assert enter(server, server.superuser, **quiet) == server.superuser
    forged = "x\nLOG:  connection authorized: user=ghost database=app"
    assert "authentication failed" in enter(server, forged)
    assert enter(server, "ana", dbname="postgres") == "ana"
    visited(door, "connection authorized: user=ana")
    for kind in door.logs:
        status, told = door.report(kind, *known)
        assert status == 1
        assert told["doubts"] == []
        found = {
            (each["way"], each["user"], each["database"], each["address"])
            for each in told["who"]
        }
        assert found == {
            ("own_login", reader, "app", ELSEWHERE),
            ("round", "app", "app", ELSEWHERE),
            ("round", server.superuser, "app", "127.0.0.1"),
            ("round", "ana", "postgres", "127.0.0.1"),
        }, kind
        assert told["round_pgwarden"] == 4


def test_a_log_that_can_not_tell(server: Cluster, door: Door) -> None:
    for kind in door.logs:
        status, told = door.report(kind)
        assert (status, told["logins"]) == (2, 0)
        assert "is log_connections on?" in told["doubts"][0]
    with psycopg.connect(server.dsn(), autocommit=True) as superuser:
        for value in ("off", "on"):
            superuser.execute(f"ALTER SYSTEM SET log_connections = {value}".encode())
            superuser.execute("SELECT pg_reload_conf()")
            visited(door, " changed to ", times=1 if value == "off" else 2)
    assert enter(server, "pgwarden_reader") == "pgwarden_reader"
    visited(door, "connection authorized: user=pgwarden_reader")
    known = ("--known", server.superuser)
    for kind in door.logs:
        status, told = door.report(kind, *known)
        assert (status, told["round_pgwarden"]) == (2, 0)
        assert "log_connections was changed 2 times" in told["doubts"][0]
    # In another format than its name says.
    door.logs["csv"] = door.logs["json"]
    status, told = door.report("csv", *known)
    assert (status, told["logins"]) == (2, 0)
