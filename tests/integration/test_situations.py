"""Windows, networks and application names on a real Postgres, and ways round them.

Windows are real ones of a few seconds: each test writes the policy whose window closes
or opens soon, and waits for it.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
import yaml

from tests.fix_proxy import ungated_text
from tests.integration.rig import eventually, metric
from tests.integration.test_policy_tools import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90), pytest.mark.turns]

Denied = psycopg.errors.InsufficientPrivilege
NOTHING = {"id": "nothing", "permit": {"settings": ["nothing.at_all"]}}
CUSTOMERS = "select count(*) from customers"


@pytest.fixture
def start(
    start_proxy: StartProxy, shop: Database, tmp_path: Path
) -> Callable[[dict[str, Any]], Proxy]:
    """A pgwarden whose developers may read no customers, but for one rule more."""

    def start(rule: dict[str, Any]) -> Proxy:
        path = tmp_path / "policy.yaml"
        path.write_text(document(rule))
        return start_proxy(shop.cluster, policy=path)

    return start


def document(rule: dict[str, Any]) -> str:
    content = yaml.safe_load(ungated_text())
    content["roles"]["developer"]["rules"].append({"reason": "a trial", **rule})
    return str(yaml.safe_dump(content, sort_keys=False))


def install(proxy: Proxy, rule: dict[str, Any]) -> None:
    """Have a pgwarden that runs take another policy."""
    path = Path(proxy_policy(proxy))
    reloads = 'pgwarden_policy_reloads_total{result="ok"}'
    before = metric(proxy, reloads)
    new = path.with_name("new")
    new.write_text(document(rule))
    new.rename(path)
    proxy.reload()
    eventually(lambda: metric(proxy, reloads) > before, 10)


def proxy_policy(proxy: Proxy) -> str:
    return str(yaml.safe_load(proxy.settings_path.read_text())["policy"])


def forbids_customers(**around: Any) -> dict[str, Any]:
    relations = [{"access": "*", "names": ["customers"]}]
    return {"id": "trial", "forbid": {"relations": relations}, **around}


def hours(start: datetime, end: datetime) -> list[dict[str, Any]]:
    span = f"{start:%H:%M:%S}-{end:%H:%M:%S}"
    return [{"hours": [span], "timezone": "UTC"}]


def soon(seconds: float) -> datetime:
    """A whole second, at least that far ahead."""
    return (datetime.now(UTC) + timedelta(seconds=seconds + 1)).replace(microsecond=0)


def wait_for(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()) + 0.01)


def connected(proxy: Proxy, shop: Database, **options: Any) -> psycopg.Connection:
    dsn = proxy.dsn("developer", shop.name)
    return psycopg.connect(dsn, autocommit=True, **options)


def test_nothing_that_a_client_keeps_outlives_a_window(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    """Statement, SQL EXECUTE, cursor, a cached text: all held across the end."""
    proxy = start(NOTHING)
    with connected(proxy, shop) as held, connected(proxy, shop) as other:
        end = soon(3)
        unless = {"during": hours(end - timedelta(hours=1), end)}
        install(proxy, forbids_customers(unless=unless))
        held.prepare_threshold = 0
        for connection in (held, other, held, other):
            assert connection.execute(CUSTOMERS).fetchone() == (1000,)
        other.execute(f"prepare mine as {CUSTOMERS}")
        assert other.execute("execute mine").fetchone() == (1000,)
        held.execute("begin")
        held.execute("declare c cursor for select id from customers order by id")
        other.execute("declare w cursor with hold for select id from customers")
        assert held.execute("fetch 1 from c").fetchone() == (1,)
        assert datetime.now(UTC) < end, "the machine is too slow for this window"
        wait_for(end)
        with pytest.raises(Denied, match="a trial"):
            held.execute("fetch 1 from c")
        held.execute("rollback")
        with pytest.raises(Denied, match="a trial"):
            held.execute(CUSTOMERS)
        for text in (
            "execute mine",
            CUSTOMERS,
            "fetch 1 from w",
            f"explain {CUSTOMERS}",
        ):
            with pytest.raises(Denied, match="a trial"):
                other.execute(text)
        assert held.execute("select count(*) from orders").fetchone()


async def test_portals_and_drivers_caches_do_not_outlive_it(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    proxy = start(NOTHING)
    end = soon(3)
    unless = {"during": hours(end - timedelta(hours=1), end)}
    install(proxy, forbids_customers(unless=unless))
    connection = await asyncpg.connect(proxy.dsn("developer", shop.name))
    statement = await connection.prepare("select id from customers order by id")
    async with connection.transaction():
        cursor = await connection.cursor("select id from customers order by id")
        assert await cursor.fetchrow() == (1,)
        assert len(await statement.fetch()) == 1000
        assert datetime.now(UTC) < end, "the machine is too slow for this window"
        await asyncio.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 0.01)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await cursor.fetch(1)  # more rows of a portal that is open
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await statement.fetch()
    assert await connection.fetchval("select 1") == 1
    await connection.close()


def test_a_window_opens_amid_a_session(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    proxy = start(NOTHING)
    asked = "select pg_sleep(0)"
    with connected(proxy, shop) as connection:
        begin = soon(2)
        end = begin + timedelta(seconds=2)
        permit = {"functions": [{"names": ["pg_sleep"], "effects": ["sleep"]}]}
        when = {"during": hours(begin, end)}
        install(proxy, {"id": "trial", "when": when, "permit": permit})
        for opens in (False, True, False):
            assert opens == (begin <= datetime.now(UTC) < end), "too slow a machine"
            if opens:
                connection.execute(asked)
                wait_for(end)
            else:
                with pytest.raises(Denied):
                    connection.execute(asked)
                wait_for(begin)
    eventually(lambda: any(r["kind"] == "session.end" for r in proxy.records()))
    # the log judged again gives each record the answer of its time
    found = told("replay", "--log", proxy.audit_folder, "--policy", proxy_policy(proxy))
    assert found["statements"]["same"] == 3
    assert not found["newly_refused"] + found["newly_allowed"] + found["not_replayable"]


@pytest.mark.parametrize("key", ["when", "unless"])
@pytest.mark.parametrize(
    ("network", "is_here"), [("loopback", True), ("10.0.0.0/8", False)]
)
def test_the_client_s_network_counts(
    start: Callable[[dict[str, Any]], Proxy],
    shop: Database,
    key: str,
    network: str,
    *,
    is_here: bool,
) -> None:
    proxy = start(forbids_customers(**{key: {"networks": [network]}}))
    with connected(proxy, shop) as connection:
        if is_here == (key == "when"):
            with pytest.raises(Denied, match="a trial"):
                connection.execute(CUSTOMERS)
        else:
            assert connection.execute(CUSTOMERS).fetchone() == (1000,)


def test_a_startup_setting_is_judged_in_its_situation_too(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    rule = {
        "id": "trial",
        "when": {"applications": ["report*"], "networks": ["loopback"]},
        "forbid": {"settings": ["statement_timeout"]},
    }
    proxy = start(rule)
    options = {"options": "-c statement_timeout=60s"}
    connected(proxy, shop, application_name="psql", **options).close()
    connected(proxy, shop, application_name="report 7").close()
    with pytest.raises(psycopg.OperationalError, match="a trial"):
        connected(proxy, shop, application_name="report 7", **options)


def in_one_pipeline(connection: psycopg.Connection, *texts: str) -> None:
    with connection.pipeline(), connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)


def test_an_application_name_is_taken_at_its_word_when_it_is_reported(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    proxy = start(forbids_customers(unless={"applications": ["report*"]}))
    rename = "set application_name = 'report 7'"
    with connected(proxy, shop, application_name="psql") as connection:
        for text in (
            CUSTOMERS,
            f"{rename}; {CUSTOMERS}",  # in the Query that it would free
            f"begin; {rename}; commit; {CUSTOMERS}",
        ):
            with pytest.raises(Denied, match="a trial"):
                connection.execute(text)
        with pytest.raises(Denied, match="a trial"):
            in_one_pipeline(connection, rename, CUSTOMERS)
        connection.execute("reset application_name")
        connection.execute(rename)
        assert connection.execute(CUSTOMERS).fetchone() == (1000,)
        connection.execute("prepare mine as " + CUSTOMERS)
        # back in every way that there is: the statement it had is refused again
        for back in ("reset application_name", "discard all", "set application_name=x"):
            connection.execute(back)
            with pytest.raises(psycopg.Error):
                connection.execute("execute mine")
            with pytest.raises(Denied, match="a trial"):
                connection.execute(CUSTOMERS)
            connection.execute(rename)
            assert connection.execute(CUSTOMERS).fetchone() == (1000,)
        connection.execute("begin")
        connection.execute("set local application_name = 'psql'")
        with pytest.raises(Denied, match="a trial"):
            connection.execute(CUSTOMERS)
        connection.execute("rollback")
        assert connection.execute(CUSTOMERS).fetchone() == (1000,)
    eventually(lambda: any(r["kind"] == "session.end" for r in proxy.records()))
    names = [
        each["detail"]["application_name"]
        for each in proxy.records()
        if each["kind"] == "internal" and each["purpose"] == "application-name"
    ]
    assert names[:2] == ["report 7", "psql"]
    found = told("replay", "--log", proxy.audit_folder, "--policy", proxy_policy(proxy))
    assert found["statements"]["newly_refused"] == 0
    assert found["statements"]["newly_allowed"] == 0


def test_psql_in_and_out_of_a_network(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    proxy = start(forbids_customers(when={"networks": ["loopback"]}))
    ran = subprocess.run(
        ["psql", "-X", proxy.dsn("developer", shop.name), "-c", CUSTOMERS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "a trial" in ran.stderr
    assert "rule trial, audit id" in ran.stderr


def test_a_reload_brings_and_takes_conditions(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    """The name that a session goes by is known, whatever the policy asked before."""
    proxy = start(NOTHING)
    with connected(proxy, shop, application_name="psql") as connection:
        connection.execute("set application_name = 'report 7'")
        assert connection.execute(CUSTOMERS).fetchone() == (1000,)
        for rule, is_refused in (
            (forbids_customers(when={"applications": ["report*"]}), True),
            (forbids_customers(when={"applications": ["psql"]}), False),
            (forbids_customers(), True),
        ):
            install(proxy, rule)
            if is_refused:
                with pytest.raises(Denied):
                    connection.execute(CUSTOMERS)
            else:
                assert connection.execute(CUSTOMERS).fetchone() == (1000,)
