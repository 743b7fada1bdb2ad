"""How-to pages followed word by word: each command works and prints what is shown.

What would take a test too long (half a minute until a limit ends a statement) is
shortened in the page's text; what needs a second terminal is left to the tests of the
thing itself. Next: `following`.
"""

from __future__ import annotations

import os
import re
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
from proxy.shipped import policy_path
from tests.fix_postgres import bin_dir, new_cluster, run
from tests.fix_proxy import Proxy, merged, serve_command, ungated_text
from tests.integration.following import ROOT, Page, Reader, missing_line, page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Database
    from tests.fix_proxy import StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

DEVELOPER = "\n  developer:\n"
MIGRATOR = "\n  migrator:\n"


def with_policies(folder: Path) -> Path:
    """The shipped policy and its cases, as in a checkout; the policy's path."""
    (folder / "policies").mkdir()
    policy = folder / "policies" / "production.yaml"
    policy.write_text(ungated_text(), "utf-8")
    cases = policy_path("production").with_name("production.cases.yaml")
    shutil.copy(cases, policy.with_name("production.cases.yaml"))
    return policy


def below(policy: Path, role: str, key: str, block: str) -> None:
    """Put a block of a page where it says: right below (or above) a key of a role."""
    text = policy.read_text("utf-8")
    start = text.index("    rules:\n", text.index(role))
    if key == "below rules":
        start += len("    rules:\n")
    policy.write_text(text[:start] + block + text[start:], "utf-8")


def console(block: str) -> Page:
    """One console block as a page."""
    return Page(f"\n```console\n{block}```\n")


def demo_reader(folder: Path, proxy: Proxy, shop: Database) -> Reader:
    """Somebody beside a demo, with the variables that it prints."""
    variables = {
        "DEVELOPER": proxy.dsn("developer", shop.name),
        "DEPLOY": proxy.dsn("migrator", shop.name),
        "AUDIT": str(proxy.audit_folder),
    }
    return Reader(folder, variables)


def test_try_a_rule_in_shadow(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    now = datetime.now(UTC)
    last, after = now + timedelta(days=30), now + timedelta(days=31)
    text = page(
        "try-a-rule-in-shadow",
        **{
            "2026-12-31": f"{last:%Y-%m-%d}",
            "2026-12-01": f"{now:%Y-%m-%d}",
            "2027-01-01": f"{after:%Y-%m-%d}",
        },
    )
    policy = with_policies(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)
    reader = demo_reader(tmp_path, proxy, shop17)
    rule, cases = text.blocks("yaml")
    reader.follow(console(text.blocks("console")[0]))
    below(tmp_path / "new.yaml", DEVELOPER, "below rules", rule)
    with (tmp_path / "new.cases.yaml").open("a") as file:
        file.write(cases)
    reader.follow(text.part("## 2. Ask before you roll it out"))
    looked = reader.follow(text.part("## 3. Put it in place, and look"))
    assert "in shadow [developer.customers]" in looked[3]
    assert looked[4].split() == ["1", "developer.customers", "dev", "psql"]


def limited(
    folder: Path, start_proxy: StartProxy, shop: Database, **settings: int
) -> tuple[Page, Reader]:
    """The page about limits, and its reader before a pgwarden that has them."""
    text = page(
        "limit-what-a-role-may-take",
        **{
            "running_time_s: 30": "running_time_s: 1",
            "more than 30 s": "more than 1 s",
            "30 s a statement": "1 s a statement",
            "lint production.yaml": "lint policies/production.yaml",
            "--policy production.yaml": "--policy policies/production.yaml",
        },
    )
    policy = with_policies(folder)
    given = text.blocks("yaml")[0]
    keys = given[given.index("    limits:\n") : given.index("  migrator:")]
    below(policy, DEVELOPER, "above rules", keys)
    below(policy, MIGRATOR, "above rules", given[given.rindex("    limits:") :])
    proxy = start_proxy(shop.cluster, policy=policy, settings={"limits": settings})
    return text, demo_reader(folder, proxy, shop)


def test_limit_what_a_role_may_take(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    text, reader = limited(tmp_path, start_proxy, shop17, sessions=4)
    reader.follow(console(text.blocks("console")[0]))
    reader.follow(text.part("## A statement that runs too long"))
    crowd = [psycopg.connect(reader.environment["DEVELOPER"]) for _ in range(2)]
    reader.follow(
        text.part("## A pool without bounds, and the deploy job"),
        {'psql "$DEVELOPER"': 2},
    )
    for each in crowd:
        each.close()
    looked = reader.run(text.part("## Who met a limit").steps()[0].command)
    assert '"rule":"limits.running-time","limit_s":"1"' in looked.stdout


def test_a_loop_meets_its_limit(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    text, reader = limited(tmp_path, start_proxy, shop17)
    ((command, shown),) = [
        (step.command, step.shown) for step in text.part("## A loop").steps()
    ]
    done = reader.run(command)
    waits = re.compile(r"wait \d+ s")
    assert (
        missing_line(
            tuple(waits.sub("wait a bit", line) for line in shown),
            waits.sub("wait a bit", done.stdout),
        )
        is None
    ), done.stdout


def test_try_a_policy_on_last_months_log(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    text = page("try-a-policy-on-last-months-log", shop=shop17.name)
    policy = with_policies(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)
    reader = demo_reader(tmp_path, proxy, shop17)
    history, copy, export = text.blocks("console")[:3]
    reader.follow(console(history), {"work_mem": 1})
    reader.follow(console(copy))
    new = tmp_path / "new.yaml"
    changed = new.read_text().replace("effects: [none, stable]", "effects: [none]", 1)
    new.write_text(changed.replace("harmless:\n", "harmless:\n    - work_mem\n", 1))
    below(new, DEVELOPER, "below rules", text.blocks("yaml")[0])
    reader.follow(console(export))
    reader.follow(text.part("## 2. Replay the log"), {"pgwarden replay": 1})
    reader.follow(text.part("## Without a policy to begin with"))


def test_write_a_policy(tmp_path: Path) -> None:
    """Each example says after a # how it is decided; below the head, it is."""
    reader = Reader(tmp_path)
    shutil.copy(policy_path("production"), tmp_path / "production.yaml")
    text = page("write-a-policy")
    reader.follow(console(text.blocks("console")[0]), {"explain": 1})
    head, *rules = text.part("## By schema, table, kind, function, database").blocks(
        "yaml"
    )
    steps = text.part("## By schema, table, kind, function, database").blocks("console")
    assert len(rules) == len(steps) == 5
    for rule, commands in zip(rules, steps, strict=True):
        (tmp_path / "mine.yaml").write_text(head + rule)
        decided_as_said(reader, commands)
    situations = text.part("## By time, network and application")
    given = "".join([head, *rules, situations.blocks("yaml")[0]])
    (tmp_path / "mine.yaml").write_text(given)
    first, *_ = decided_as_said(reader, situations.blocks("console")[0])
    assert first.startswith("allowed")
    reader.follow(console(situations.blocks("console")[1]), {"lint": 1})


def decided_as_said(reader: Reader, commands: str) -> list[str]:
    said = []
    for step in console(commands).steps():
        printed = reader.run(step.command).stdout
        comment = re.search(r"# (refused|permitted) by (\S+)$", step.command)
        if comment:
            word = {"refused": "refused", "permitted": "allowed"}[comment[1]]
            assert printed.startswith(word), (step.command, printed)
            assert f"by {comment[2]}" in printed, (step.command, printed)
        assert missing_line(step.shown, printed) is None, (step.command, printed)
        said.append(printed)
    return said


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
        in_front = page("put-in-front-of-your-database")
        self.reader.follow(in_front.part("## 2. Settings"))  # a certificate

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
    """From the passwords to the first look; the sessions are `test_deploy_roles`'s."""
    text = page("put-in-front-of-your-database", **{"/etc/pgwarden/": ""})
    reader = desk.reader
    reader.follow(text.part("## 1. Two roles in the database"))
    desk.write_settings(app)
    made = reader.run(text.part("## 3. Identities").steps()[0].command).stdout
    password, secret = made.split()[-2:]
    assert len(password) > 20
    assert made.startswith("password, shown this once: ")
    entries = yaml.safe_load(text.part("## 3. Identities").blocks("yaml")[0])
    for entry in entries["identities"]:
        entry["secret"] = secret
    (desk.folder / "identities.yaml").write_text(yaml.safe_dump(entries))
    check, *_ = text.part("## 4. Serve").steps()
    done = reader.run(check.command)
    assert done.returncode == 0, done.stdout
    assert missing_line(check.shown, done.stdout) is None, done.stdout

    with served(desk) as proxy:
        psql = text.part("## 4. Serve").blocks("console")[1]
        (look,) = console(psql.replace("app=> ", "$ ")).steps()[:1]
        place = f"port={proxy.port}"
        connect = look.command.replace("port=6432", place)
        environment = {"PGHOSTADDR": "127.0.0.1", "PGPASSWORD": password}
        for step in console(psql.replace("app=> ", "$ ")).steps()[1:]:
            done = reader.run(f'{connect} -c "{step.command}"', **environment)
            assert missing_line(step.shown, done.stdout) is None, done.stdout
        ready = text.part("## 4. Serve").steps()[2]
        assert ready.command.endswith("/readyz")
        asked = reader.run(f"curl -s {proxy.admin_url}/readyz")
        assert asked.stdout.strip() == ready.shown[0]

    # Each person a role, on top of that.
    personal = page("give-each-person-a-role", **{"/etc/pgwarden": str(desk.folder)})
    (desk.folder / "secrets").mkdir()
    logins = yaml.safe_load(personal.blocks("yaml")[0])["upstream"]["logins"]
    desk.write_settings(
        app, upstream={"logins": logins, "catalog": {"login": "migrator"}}
    )
    desk.write_identities(ana="developer", bob="developer")
    missing, made_roles = personal.blocks("console")[1:3]
    reader.follow(console(missing), {"--check": 2})
    reader.follow(console(made_roles))
    (look,) = console(personal.blocks("console")[3]).steps()
    with (
        served(desk) as proxy,
        psycopg.connect(url("ana", "ana", proxy.port, "app"), application_name="psql"),
    ):
        done = reader.run(look.command, PGPORT=str(proxy.port), PGPASSWORD="bob")
    assert missing_line(look.shown, done.stdout) is None, done.stdout


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
    text = page("check-your-roles", **{"/etc/pgwarden": str(desk.folder)})
    (table,) = desk.reader.follow(text.part("## Look"))
    for row in ("writes-relations", "lock-c", "no-read-only-default"):
        assert row in table
    gate = text.part("## The gate").blocks("console")[0]
    desk.reader.follow(console(gate))
    desk.reader.follow(text.part("## Mend"))
