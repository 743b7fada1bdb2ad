"""How-to pages followed word by word: each command works and prints what is shown.

What would take a test too long (half a minute until a limit ends a statement) is
shortened in the page's text. Each block of these pages is followed; the few that are
not are listed in `following.ASIDE`. Next: `following`, and `test_howtos_roles` for the
pages about the database's roles.
"""

from __future__ import annotations

import re
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo.postgres import url
from proxy.shipped import policy_path
from tests.fix_proxy import Proxy, ungated_text
from tests.integration.following import (
    Page,
    Reader,
    missing_line,
    whole_page,
)
from tests.integration.rig import eventually, metric

if TYPE_CHECKING:
    from pathlib import Path

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
    policy = with_policies(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)
    reader = demo_reader(tmp_path, proxy, shop17)
    with whole_page(
        "try-a-rule-in-shadow",
        **{
            "2026-12-31": f"{last:%Y-%m-%d}",
            "2026-12-01": f"{now:%Y-%m-%d}",
            "2027-01-01": f"{after:%Y-%m-%d}",
        },
    ) as text:
        reader.follow(text.part("## 1. Write the rule, with an end"))
        below(tmp_path / "new.yaml", DEVELOPER, "below rules", text.take("yaml"))
        with (tmp_path / "new.cases.yaml").open("a") as file:
            file.write(text.take("yaml", 1))
        reader.follow(text.part("## 2. Ask before you roll it out"))
        looked = reader.follow(text.part("## 3. Put it in place, and look"))
        assert "in shadow [developer.customers]" in looked[3]
        assert looked[4].split() == ["1", "developer.customers", "dev", "psql"]
        (series,) = re.findall(r"pgwarden_\w+", text.take(""))
        labels = '{role="developer",rule="developer.customers"}'
        assert metric(proxy, series + labels) == 1


def test_limit_what_a_role_may_take(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    policy = with_policies(tmp_path)
    with whole_page(
        "limit-what-a-role-may-take",
        **{
            "running_time_s: 30": "running_time_s: 1",
            "more than 30 s": "more than 1 s",
            "30 s a statement": "1 s a statement",
            '"limit_s":"30"': '"limit_s":"1"',
            "idle_in_transaction_s: 60": "idle_in_transaction_s: 1",
            "more than 60 s": "more than 1 s",
            "60 s idle": "1 s idle",
            "lint production.yaml": "lint policies/production.yaml",
            "--policy production.yaml": "--policy policies/production.yaml",
            " app internal": f" {shop17.name} internal",
        },
    ) as text:
        given = text.take("yaml")
        keys = given[given.index("    limits:\n") : given.index("  migrator:")]
        below(policy, DEVELOPER, "above rules", keys)
        below(policy, MIGRATOR, "above rules", given[given.rindex("    limits:") :])
        proxy = start_proxy(
            shop17.cluster, policy=policy, settings={"limits": {"sessions": 4}}
        )
        reader = demo_reader(tmp_path, proxy, shop17)
        reader.instead["http://127.0.0.1:9187"] = proxy.admin_url

        def wait(line: str) -> None:
            if "a minute later" in line:
                eventually(lambda: metric(proxy, IDLE_ENDED), 30)

        reader.follow(text.console())
        reader.follow(text.part("## A statement that runs too long"))
        reader.talk(
            text.part("## A transaction that somebody forgot").step("psql"), wait
        )
        eventually(lambda: not metric(proxy, SESSIONS), 30)
        crowd = [psycopg.connect(reader.environment["DEVELOPER"]) for _ in range(2)]
        reader.follow(
            text.part("## A pool without bounds, and the deploy job"),
            {'psql "$DEVELOPER"': 2},
        )
        for each in crowd:
            each.close()
        eventually(lambda: not metric(proxy, SESSIONS), 30)
        loop(reader, text, proxy, shop17)
        reader.follow(text.part("## Who met a limit"))


IDLE_ENDED = 'pgwarden_limit_hits_total{limit="idle-in-transaction",role="developer"}'
SESSIONS = 'pgwarden_sessions_open{role="developer"}'


def loop(reader: Reader, text: Page, proxy: Proxy, shop: Database) -> None:
    """Follow what is to be done in a minute of its own: as somebody who did nothing."""
    file = proxy.folder / "identities.yaml"
    known = yaml.safe_load(file.read_text())
    secret = make_secret("new", salt=secrets.token_bytes(SALT_LENGTH)).encode()
    known["identities"].append({"name": "new", "role": "developer", "secret": secret})
    file.write_text(yaml.safe_dump(known))
    proxy.reload()
    address = url("new", "new", proxy.port, shop.name)

    def is_known() -> bool:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            return False
        return True

    eventually(is_known, 30)
    step = text.part("## A loop").step("for i in")
    done = reader.run(step.command, DEVELOPER=address)
    waits = re.compile(r"wait \d+ s")
    shown = tuple(waits.sub("wait a bit", line) for line in step.shown)
    missing = missing_line(shown, waits.sub("wait a bit", done.stdout))
    assert missing is None, done.stdout


def test_try_a_policy_on_last_months_log(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    policy = with_policies(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)
    reader = demo_reader(tmp_path, proxy, shop17)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with whole_page(
        "try-a-policy-on-last-months-log",
        **{"shop": shop17.name, "2026-11-26 to 2026-11-26": f"{today} to {today}"},
    ) as text:
        reader.follow(text.console(), {"work_mem": 1})
        reader.follow(text.console(1))
        new = tmp_path / "new.yaml"
        given = new.read_text().replace("effects: [none, stable]", "effects: [none]", 1)
        new.write_text(given.replace("harmless:\n", "harmless:\n    - work_mem\n", 1))
        below(new, DEVELOPER, "below rules", text.take("yaml"))
        reader.follow(text.console(2))
        (replayed,) = reader.follow(text.part("## 2. Replay the log"), {"replay": 1})
        of_page, here = (
            re.search(
                r"name from customers where.*\n.* (\w+)-1\s*$", each, re.MULTILINE
            )
            for each in (text.text, replayed)
        )
        assert of_page is not None
        assert here is not None
        reader.instead[of_page[1]] = here[1]
        reader.follow(text.part("## 3. Look at one of them"), {"explain": 1})
        shutil.copytree(proxy.audit_folder, tmp_path / "ordinary-weeks")
        in_ci = text.part("## In CI")
        for candidate, expected in ((policy, 0), (new, 4)):
            shutil.copy(candidate, tmp_path / "production.yaml")
            (said,) = reader.follow(in_ci)
            assert said.count("\tdev\tselect ") == expected, said
        reader.follow(text.part("## Without a policy to begin with"))


def test_write_a_policy(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    """Each example says after a # how it is decided; below the head, it is."""
    proxy = start_proxy(shop17.cluster)
    reader = demo_reader(tmp_path, proxy, shop17)
    for name in ("production.yaml", "production.cases.yaml"):
        shutil.copy(policy_path("production").with_name(name), tmp_path / name)
    with whole_page("write-a-policy") as text:
        way_of_working(reader, text)
        examples(reader, text)


def way_of_working(reader: Reader, text: Page) -> None:
    """Steps 2 to 7: explain, the case, the function, its record, lint, replay."""
    policy, cases = (
        reader.folder / name for name in ("production.yaml", "production.cases.yaml")
    )
    reader.follow(text.console(), {"explain": 1})
    with cases.open("a") as file:
        file.write(
            "  - {role: developer, expect: allow, rule: reading.statements,\n"
            '     sql: "SELECT billing.total(1) FROM orders"}\n'
        )
    test = "pgwarden policy test production.cases.yaml"
    failed = reader.run(test)
    assert failed.returncode == 1, failed.stdout
    assert 'function "billing.total" is not allowed' in failed.stdout
    given = policy.read_text()
    listed = "  reading_functions:\n"
    policy.write_text(given.replace(listed, f"{listed}    - billing.total\n", 1))
    done = reader.run("pgwarden policy test --update production.cases.yaml")
    assert done.returncode == 0, done.stdout
    assert reader.run(test).returncode == 0
    below(policy, DEVELOPER, "below rules", CONTRADICTION)
    lines = policy.read_text().splitlines()
    lint = text.step("pgwarden policy lint production.yaml")
    vip, customers = (
        lines.index(f"      - id: developer.{rule}") + 1
        for rule in ("vip", "customers")
    )
    shown = re.sub(r"(?<=yaml:)\d+", str(vip), lint.shown[0])
    shown = re.sub(r"(?<=line )\d+", str(customers), shown)
    done = reader.run(lint.command)
    assert (done.returncode, done.stdout.strip()) == (1, shown)
    reader.run('psql "$DEVELOPER" -c "SELECT name FROM customers LIMIT 1"')
    replay = text.step("pgwarden replay")
    done = reader.run(replay.command)
    assert done.returncode == 1, done.stdout
    assert "reading.statements → developer.customers" in done.stdout


CONTRADICTION = """\
      - id: developer.customers
        forbid: {relations: [{access: "*", names: customers}]}
        reason: customers are read in the CRM
      - id: developer.vip
        permit: {relations: [{access: read, names: customers}]}
"""


def examples(reader: Reader, text: Page) -> None:
    """The rules that the page has for copying, and how each decides."""
    mine = reader.folder / "mine.yaml"
    part = text.part("## By schema, table, kind, function, database")
    head, *rules = [part.take("yaml", at) for at in range(len(part.blocks("yaml")))]
    assert len(rules) == len(part.blocks("console")) == 5
    for at, rule in enumerate(rules):
        mine.write_text(head + rule)
        decided_as_said(reader, part.console(at))
    situations = text.part("## By time, network and application")
    mine.write_text("".join([head, *rules, situations.take("yaml")]))
    first, *_ = decided_as_said(reader, situations.console())
    assert first.startswith("allowed")
    cases = reader.folder / "mine.cases.yaml"
    cases.write_text(
        f"version: 1\npolicy: mine.yaml\ncases:\n{situations.take('yaml', 1)}"
    )
    done = reader.run("pgwarden policy test --update mine.cases.yaml")
    assert done.returncode == 0, done.stdout
    reader.follow(situations.console(1), {"lint": 1})


def decided_as_said(reader: Reader, commands: Page) -> list[str]:
    said = []
    for step in commands.steps():
        commands.followed.add(step)
        printed = reader.run(step.command).stdout
        comment = re.search(r"# (refused|permitted) by (\S+)$", step.command)
        if comment:
            word = {"refused": "refused", "permitted": "allowed"}[comment[1]]
            assert printed.startswith(word), (step.command, printed)
            assert f"by {comment[2]}" in printed, (step.command, printed)
        assert missing_line(step.shown, printed) is None, (step.command, printed)
        said.append(printed)
    return said
