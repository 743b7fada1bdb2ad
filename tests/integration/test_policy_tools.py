"""Replay, suggest, explain and lint on a real log: a real pgwarden and real clients.

One working day is played through pgwarden, in both protocols, with refusals, a
quarantine, prepared statements, cursors and pipelines. What the log then says must be
what the tools say offline, record by record.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.errors import PgwardenError
from proxy.replay.run import run
from proxy.shipped import policy_path
from tests.fix_postgres import shop_copy
from tests.fix_proxy import Proxies
from tests.integration.rig import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from proxy.replay.records import Progress, Share
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

PRODUCTION = policy_path("production")


def pgwarden(*words: object) -> Result:
    """The command, in this process: starting Python takes longer than its work."""
    return CliRunner().invoke(app, [str(word) for word in words])


def told(*words: object, status: int = 0) -> Any:
    """What it says to machines."""
    ran = pgwarden(*words, "--json")
    assert ran.exit_code == status, ran.output
    return json.loads(ran.stdout)


def refused(connection: psycopg.Connection, text: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(text)
    assert caught.value.sqlstate in {"42501", "26000", "42601"}, text


def play_developer(proxy: Proxy, database: str) -> None:
    """A person and an ORM: both protocols, names, cursors, a pipeline, refusals."""
    dsn = proxy.dsn("developer", database)
    options = "-c statement_timeout=60s -c timezone=UTC"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        run = connection.execute
        for number in range(5):
            run(sql.SQL("SELECT * FROM orders WHERE id = {}").format(number))
            run("SELECT name FROM customers WHERE id = %s", (number,), prepare=True)
        run("PREPARE one (int) AS SELECT status FROM orders WHERE id = $1")
        run("EXECUTE one(1)")
        run("EXECUTE one(2)")
        with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
            run("PREPARE one AS SELECT 1")
        run("EXECUTE one(3)")
        run("DEALLOCATE one")
        refused(connection, "EXECUTE one(4)")
        refused(connection, "DELETE FROM orders")
        refused(connection, "SELECT pg_sleep(1)")
        refused(connection, "selct")
        run("SELECT 'password=x' FROM orders LIMIT 1")
        run("SET jit = off; SELECT count(*) FROM orders; RESET jit")
        with connection.transaction(), connection.cursor(name="c") as cursor:
            cursor.execute("SELECT id FROM orders ORDER BY id")
            assert len(cursor.fetchmany(3)) == 3
        with connection.pipeline():
            for number in range(3):
                connection.execute("SELECT 1 + %s::int", (number,))


def deploy(proxy: Proxy, database: str) -> None:
    """A deploy job that does its work."""
    dsn = proxy.dsn("migrator", database)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders ADD COLUMN seen boolean")
        connection.execute("UPDATE orders SET seen = true WHERE id < 10")


def reset(proxy: Proxy, database: str) -> None:
    """One that goes on after a dangerous refusal."""
    dsn = proxy.dsn("migrator", database)
    with psycopg.connect(dsn, autocommit=True) as connection:
        refused(connection, "DROP SCHEMA public CASCADE")
        refused(connection, "ALTER TABLE orders ADD COLUMN other int")
        refused(connection, "CREATE ROLE r PASSWORD 'secret'")
        connection.execute("SELECT 1")


class Day(NamedTuple):
    """A pgwarden whose log holds the day, and which is still running."""

    proxy: Proxy
    shop: Database

    @property
    def log(self) -> Path:
        return self.proxy.audit_folder

    @property
    def statements(self) -> list[dict[str, Any]]:
        return statements(self.proxy)


@pytest.fixture(scope="module")
def day(clusters: Clusters, postgres17: Cluster) -> Iterator[Day]:
    proxies = Proxies(clusters)
    with shop_copy(clusters, postgres17) as shop:
        try:
            proxy = proxies.start(shop.cluster)
            play_developer(proxy, shop.name)
            deploy(proxy, shop.name)
            reset(proxy, shop.name)
            eventually(lambda: ends(proxy) == 3)
            yield Day(proxy, shop)
        finally:
            proxies.stop()


def ends(proxy: Proxy) -> int:
    return sum(record["kind"] == "session.end" for record in proxy.records())


def statements(proxy: Proxy) -> list[dict[str, Any]]:
    return [each for each in proxy.records() if each["kind"] == "statement"]


def stricter(folder: Path) -> Path:
    """Production without customers, and with another idea of quarantine."""
    text = PRODUCTION.read_text()
    rule = """      - id: developer.customers
        forbid:
          relations: [{access: "*", names: [customers]}]
        reason: people are not yours to read
"""
    where = "      - id: developer.write\n"
    assert where in text
    path = folder / "stricter.yaml"
    path.write_text(text.replace(where, rule + where, 1))
    return path


# --- replay -------------------------------------------------------------------


def test_the_policy_in_force_changes_nothing(day: Day) -> None:
    recorded = day.statements
    found = told("replay", "--log", day.log)  # pgwarden writes to it still
    counts = found["statements"]
    unread = [each for each in recorded if "<redacted>" in each["text"]]
    assert len(unread) == 2
    assert counts == {
        "same": len(recorded) - len(unread),
        "newly_refused": 0,
        "newly_allowed": 0,
        "not_replayable": len(unread),
    }
    assert found["records"] == len(day.proxy.records())
    assert (found["unreadable"], found["sessions_begun_before"]) == (0, 0)
    assert found["logins"]["same"] == found["sessions"] == 3


def test_a_stricter_policy_refuses_just_what_it_says(day: Day, tmp_path: Path) -> None:
    log = ("replay", "--log", day.log, "--policy", stricter(tmp_path))
    found = told(*log, status=1)
    (group,) = found["newly_refused"]
    about = [each for each in day.statements if "FROM customers" in each["text"]]
    assert group["count"] == len(about) == 5
    assert (group["rule_before"], group["rule_after"]) == (
        "reading.statements",
        "developer.customers",
    )
    assert group["shape"] == "select name from customers where id = ?"
    assert (group["example"], group["first"]) == (about[0]["audit_id"], about[0]["at"])
    assert group["last"] == about[-1]["at"]
    assert group["identity"] == day.proxy.user("developer")
    assert found["newly_allowed"] == []
    # The same for people, and for one role alone.
    ran = pgwarden(*log)
    assert ran.exit_code == 1
    assert "newly refused: 5 in 1 group" in ran.stdout
    assert pgwarden(*log, "--role", "migrator").exit_code == 0


def test_a_milder_policy_follows_what_would_have_gone_on(day: Day) -> None:
    found = told("replay", "--log", day.log, "--policy", "staging")
    allowed = {each["shape"]: each["rule_before"] for each in found["newly_allowed"]}
    assert allowed["drop schema public cascade"] == "migrator.drop-schema"
    assert allowed["alter table orders add column other int"] == "quarantine"
    assert allowed["delete from orders"] == "developer.write"
    assert "selct" not in allowed
    assert found["newly_refused"] == []


def test_a_log_cut_in_the_middle_of_a_line_is_read_to_there(
    day: Day, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in day.log.glob("*.jsonl"):
        whole = file.read_bytes()
        (folder / file.name).write_bytes(whole[:-300])
    found = told("replay", "--log", folder)
    assert found["unreadable"] == 0
    assert 0 < found["records"] < len(day.proxy.records())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_several_processes_say_the_same(day: Day, tmp_path: Path) -> None:
    log = ("replay", "--log", day.log, "--policy", stricter(tmp_path))
    alone, shared = (told(*log, "--jobs", n, status=1) for n in (1, 3))
    for each in (alone, shared):
        del each["seconds"]
    assert alone == shared
    drafts = [
        pgwarden("policy", "suggest", "--log", day.log, "--jobs", n).stdout
        for n in (1, 3)
    ]
    assert drafts[0] == drafts[1]


def dies(share: Share, on_progress: Callable[[Progress], None]) -> int:
    raise SystemExit(3)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(PgwardenError, match="has ended before it was done"):
        run(dies, int, 2, lambda _: None)


# --- suggest ------------------------------------------------------------------


def test_a_suggested_policy_serves_the_same_day(
    day: Day, tmp_path: Path, start_proxy: StartProxy
) -> None:
    shop = day.shop
    ran = pgwarden("policy", "suggest", "--log", day.log)
    assert ran.exit_code == 0, ran.stderr
    draft = tmp_path / "draft.yaml"
    draft.write_text(ran.stdout)
    assert pgwarden("policy", "lint", draft).stdout == "nothing to say\n"

    found = told("replay", "--log", day.log, "--policy", draft)
    assert found["newly_refused"] == []
    # It knows no quarantine, so what only that refused may pass.
    assert {each["rule_before"] for each in found["newly_allowed"]} == {"quarantine"}
    assert found["logins"]["newly_refused"] == 0

    cases = tmp_path / "draft.cases.yaml"
    cases.write_text(
        "version: 1\npolicy: draft.yaml\ncases:\n"
        "  - {role: developer, expect: allow, rule: developer.read,\n"
        "     sql: SELECT count(*) FROM orders}\n"
        "  - {role: developer, expect: deny, rule: default-deny,\n"
        "     sql: SELECT * FROM order_items}\n"
    )
    pgwarden("policy", "test", "--update", cases)  # writes the records
    assert pgwarden("policy", "test", cases).exit_code == 0

    # On the wire: what was allowed is, and what was not seen is not.
    proxy = start_proxy(shop.cluster, policy=draft)
    shop.execute("ALTER TABLE orders DROP COLUMN seen")
    play_developer(proxy, shop.name)
    deploy(proxy, shop.name)
    dsn = proxy.dsn("migrator", shop.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        refused(connection, "SELECT * FROM order_items")
        refused(connection, "ALTER TABLE orders DROP COLUMN seen")
        refused(connection, "DROP TABLE orders")


# --- explain ------------------------------------------------------------------


def test_explain_gives_the_recorded_rule_of_every_refusal(day: Day) -> None:
    for record in day.statements:
        if record["decision"] == "allow" or record["rule"].startswith("session."):
            continue
        words = ["--role", record["role"], "--database", record["database"]]
        if record["rule"] == "quarantine":
            words.append("--quarantined")
        found = told("explain", *words, record["text"], status=1)
        assert found["decision"]["rule"] == record["rule"]
        assert found["decision"]["reason"] == record["reason"]
        for each in found["statements"]:
            assert each["trace"]["decision"] == "deny"
            assert each["trace"]["rule"] == record["rule"]


# --- lint ---------------------------------------------------------------------


def test_a_contradiction_that_lint_names_is_refused_by_that_rule(
    tmp_path: Path, start_proxy: StartProxy, shop17: Database
) -> None:
    path = stricter(tmp_path)
    permit = """      - id: developer.one-table
        permit:
          relations: [{access: [read], names: [customers]}]
"""
    where = "      - id: developer.write\n"
    path.write_text(path.read_text().replace(where, permit + where, 1))
    ran = pgwarden("policy", "lint", path)
    assert ran.exit_code == 1
    lines = path.read_text().splitlines()
    at = {name: lines.index(f"      - id: {name}") + 1 for name in (
        "developer.one-table", "developer.customers")}  # fmt: skip
    assert ran.stdout == (
        f"{path}:{at['developer.one-table']}: contradictory: permit "
        '"developer.one-table" permits nothing, as forbid "developer.customers" '
        f"(line {at['developer.customers']}) covers all of it\n"
    )
    proxy = start_proxy(shop17.cluster, policy=path)
    dsn = proxy.dsn("developer", shop17.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        refused(connection, "SELECT * FROM customers")
    (record,) = statements(proxy)
    assert record["rule"] == "developer.customers"
