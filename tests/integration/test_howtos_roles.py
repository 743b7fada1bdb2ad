"""How-to pages about the database's roles, followed word by word: two in one go.

Next: `following`, and `test_howtos` for the pages about policies.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo import children
from proxy.demo.folder import Passwords
from proxy.demo.postgres import url
from tests.fix_postgres import bin_dir, new_cluster, run
from tests.fix_proxy import Proxy, merged, serve_command
from tests.integration.following import ROOT, Reader, page, whole_page
from tests.integration.rig import events, eventually, problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def app() -> Iterator[Cluster]:
    """A server with a database `app` as the pages have it, and no role of pgwarden."""
    cluster = new_cluster(bin_dir(17))
    cluster.start()
    try:
        run(cluster.dsn(), "CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_writers")
        run(cluster.dsn(), "CREATE DATABASE app OWNER app_owner")
        run(
            cluster.dsn("app"),
            "SET ROLE app_owner; CREATE TABLE users (id int); "
            "CREATE TABLE orders (id int); "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON users, orders TO app_writers",
        )
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


class Desk:
    """The folder of who puts pgwarden in front of `app`, as a superuser of it."""

    def __init__(self, folder: Path, app: Cluster) -> None:
        self.folder = folder
        for name in ("deploy", "policies"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("production.yaml", "production.cases.yaml"):
            shutil.copy(folder / "policies" / name, folder / name)
        self.reader = Reader(
            folder,
            {
                "PGHOST": app.host,
                "PGPORT": str(app.port),
                "PGUSER": app.superuser,
                "PGPASSWORD": app.password,
            },
        )
        self.in_front = page("put-in-front-of-your-database", **{"/etc/pgwarden/": ""})
        self.reader.follow(self.in_front.part("## 2. Settings"))  # a certificate

    def write_settings(self, app: Cluster, **changed: Any) -> None:
        """The shipped settings, with what a test has to change."""
        shipped = yaml.safe_load((self.folder / "deploy" / "pgwarden.yaml").read_text())
        (self.folder / "audit").mkdir(mode=0o700, exist_ok=True)
        upstream = {
            "host": app.host,
            "port": app.port,
            "tls": {"mode": "disable", "ca": None},
        }
        content = merged(
            shipped,
            {
                "listen": ["127.0.0.1:0"],
                "admin": "127.0.0.1:0",
                "audit": {"folder": str(self.folder / "audit")},
                "upstream": upstream,
                "ready_file": str(self.folder / "ready.json"),
            },
        )
        (self.folder / "pgwarden.yaml").write_text(
            yaml.safe_dump(merged(content, changed))
        )

    def write_identities(self, **roles: str) -> None:
        """An identity for each name, with a password that is its name."""
        entries = [
            {
                "name": name,
                "role": role,
                "secret": make_secret(
                    name, salt=secrets.token_bytes(SALT_LENGTH)
                ).encode(),
            }
            for name, role in roles.items()
        ]
        (self.folder / "identities.yaml").write_text(
            yaml.safe_dump({"version": 1, "identities": entries})
        )


@contextmanager
def served(desk: Desk) -> Iterator[Proxy]:
    """`pgwarden serve` with the settings of the desk."""
    process = children.spawn(
        serve_command(desk.folder / "pgwarden.yaml"),
        desk.folder / "pgwarden.log",
        environment=dict(os.environ),
    )
    proxy = Proxy(desk.folder, process, Passwords())
    try:
        proxy.wait_ready()
        yield proxy
    finally:
        proxy.stop()


@pytest.fixture
def desk(tmp_path: Path, app: Cluster) -> Desk:
    return Desk(tmp_path, app)


def test_put_in_front_of_a_database(desk: Desk, app: Cluster) -> None:
    """From the passwords to the first look."""
    text, reader = desk.in_front, desk.reader
    reader.follow(text.part("## 1. Two roles in the database"))
    desk.write_settings(app)
    made = reader.run(text.step("pgwarden identity secret --generate").command).stdout
    password, secret = made.split()[-2:]
    assert len(password) > 20
    assert made.startswith("password, shown this once: ")
    entries = yaml.safe_load(text.take("yaml"))
    for entry in entries["identities"]:
        entry["secret"] = secret
    identities = desk.folder / "identities.yaml"
    identities.write_text(yaml.safe_dump(entries))
    reader.see(text.step("pgwarden serve --check"))
    # Who looks at the salary in the page about a role for each person.
    entries["identities"].append({"name": "bob", "role": "developer", "secret": secret})
    identities.write_text(yaml.safe_dump(entries))

    personal = page("give-each-person-a-role", **{"/etc/pgwarden": str(desk.folder)})
    look, again = [
        each for each in personal.steps() if each.command.startswith("psql -U bob")
    ]
    with served(desk) as proxy:
        reader.instead |= {
            "port=6432": f"port={proxy.port}",
            "http://127.0.0.1:9187": proxy.admin_url,
        }
        in_place = {
            "PGHOSTADDR": "127.0.0.1",
            "PGPASSWORD": password,
            "PGPORT": str(proxy.port),
        }
        (event,) = events(proxy, "serving")
        (shown,) = text.step("pgwarden serve --config").shown
        told = json.loads(shown.replace(", ...}", "}"))
        assert told.keys() <= event.keys()
        assert (told["event"], told["level"]) == (event["event"], event["level"])
        eventually(lambda: problems(proxy) == [], 30)
        reader.see(text.step("curl"))
        reader.talk(text.step('psql "host='), more=in_place)
        assert text.left() == []

        with psycopg.connect(
            url("ana", password, proxy.port, "app"),
            application_name="psql",
            autocommit=True,
        ) as ana:
            ana.execute("SELECT 'the salary of bob';")
            reader.see(look, in_place)

    # Each person a role, on top of that.
    (desk.folder / "secrets").mkdir()
    logins = yaml.safe_load(personal.take("yaml"))["upstream"]["logins"]
    desk.write_settings(
        app, upstream={"logins": logins, "catalog": {"login": "migrator"}}
    )
    desk.write_identities(ana="developer", bob="developer")
    reader.follow(personal.console(1), {"--check": 2})
    reader.follow(personal.console(2))
    with served(desk) as proxy:
        bob = {"PGPORT": str(proxy.port), "PGPASSWORD": "bob"}
        with psycopg.connect(
            url("ana", "ana", proxy.port, "app"), application_name="psql"
        ):
            reader.see(again, bob)
        run(app.dsn("app"), "DROP OWNED BY pgw_ana; DROP ROLE pgw_ana")
        missing = bob | {"PGPASSWORD": "ana"}
        reader.see(personal.step("psql -U ana app"), missing, status=2)
        assert problems(proxy) == []
        checked = reader.run("pgwarden serve --check --config pgwarden.yaml")
        assert checked.returncode == 0, "a role that is missing lets nobody in"
        psycopg.connect(url("bob", "bob", proxy.port, "app")).close()
        (refused,) = events(proxy, "login_refused")
        assert "pgw_ana" in str(refused)
    personal.followed.update({look, again})
    assert personal.left() == []


def test_check_your_roles(desk: Desk, app: Cluster) -> None:
    run(
        app.dsn("app"),
        "CREATE ROLE pgwarden_reader LOGIN PASSWORD 'r'; "
        "CREATE ROLE pgwarden_migrator LOGIN PASSWORD 'm'; "
        "GRANT app_writers TO pgwarden_reader; GRANT app_owner TO pgwarden_migrator",
    )
    (desk.folder / "reader.password").write_text("r\n")
    (desk.folder / "migrator.password").write_text("m\n")
    desk.write_settings(app)
    desk.write_identities(ana="developer", bob="developer", deploy="migrator")
    policy = desk.folder / "production.yaml"
    last = datetime.now(UTC) + timedelta(days=30)
    with whole_page(
        "check-your-roles",
        **{"/etc/pgwarden": str(desk.folder), "2026-12-31": f"{last:%Y-%m-%d}"},
    ) as text:
        (table,) = desk.reader.follow(text.part("## Look"))
        for row in ("writes-relations", "lock-c", "no-read-only-default"):
            assert row in table
        gate = text.part("## The gate")
        shipped = gate.take("yaml")
        assert shipped in policy.read_text()
        desk.reader.follow(gate.console())
        desk.reader.follow(text.part("## Mend"))
        run(app.dsn(), "ALTER ROLE pgwarden_reader SUPERUSER")
        waived = gate.part("### Waive a finding")
        policy.write_text(policy.read_text().replace(shipped, waived.take("yaml")))
        desk.reader.follow(waived)
