"""Rules in shadow on a real Postgres: recorded, counted, not enforced until the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.integration.rig import eventually, metric
from tests.integration.test_policy_tools import pgwarden, told
from tests.integration.test_situations import (
    CUSTOMERS,
    NOTHING,
    Denied,
    connected,
    forbids_customers,
    install,
    proxy_policy,
    soon,
    start,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

__all__ = ["start"]
pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(90)]

COUNTED = 'pgwarden_shadow_refusals_total{role="developer",rule="trial"}'


def ended(proxy: Proxy) -> list[dict[str, Any]]:
    """All records, once every session is over."""
    eventually(lambda: any(r["kind"] == "session.end" for r in proxy.records()))
    return proxy.records()


def test_what_would_be_refused_passes_is_recorded_and_counted(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    rule = forbids_customers(quarantine=True, shadow={"until": tomorrow})
    rule["forbid"]["settings"] = ["jit"]
    proxy = start(rule)
    options = {"options": "-c jit=off"}
    with connected(proxy, shop, **options) as connection:
        connection.prepare_threshold = 0
        for _ in range(3):  # from memory, too
            assert connection.execute(CUSTOMERS).fetchone() == (1000,)
        connection.execute(f"prepare mine as {CUSTOMERS}", prepare=False)
        connection.execute("execute mine", prepare=False)
        connection.execute("select 1; select id from customers limit 1", prepare=False)
        # no quarantine: what only a free session may do
        connection.execute("set statement_timeout = '5s'")
        with pytest.raises(Denied):
            connection.execute("drop table customers")
    records = ended(proxy)
    shadows = [r for r in records if r["kind"] == "statement" and "shadow" in r]
    assert len(shadows) == 6
    for each in shadows:
        assert each["decision"] == "allow"
        assert each["rule"] != "trial"
        assert each["shadow"]["rule"] == "trial"
        assert each["shadow"]["reason"].endswith("a trial")
        assert each["shadow"]["quarantines"] is True
    (begun,) = (r for r in records if r["kind"] == "session.start")
    assert begun["shadow"]["jit"]["rule"] == "trial"
    assert metric(proxy, COUNTED) == 7
    ran = pgwarden("audit", "verify", proxy.audit_folder)
    assert ran.exit_code == 0, ran.output
    ran = pgwarden("audit", "tail", "--decision", "shadow", proxy.audit_folder)
    assert ran.stdout.count("in shadow [trial] reading") == 6
    found = told("replay", "--log", proxy.audit_folder, "--policy", proxy_policy(proxy))
    assert not found["newly_refused"] + found["newly_allowed"]


def test_the_absence_of_a_permit_is_tried(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    permit = {"functions": [{"names": ["pg_sleep"], "effects": ["sleep"]}]}
    proxy = start(NOTHING)
    with connected(proxy, shop) as connection:
        end = soon(3)
        shadow = {"until": end.isoformat()}
        install(proxy, {"id": "trial", "shadow": shadow, "permit": permit})
        connection.execute("select pg_sleep(0)")
        assert datetime.now(UTC) < end, "the machine is too slow for this trial"
        wait_for(end)
        with pytest.raises(Denied):
            connection.execute("select pg_sleep(0)")
    told_by = [
        (r["decision"], r["rule"], r.get("shadow", {}).get("rule"))
        for r in ended(proxy)
        if r["kind"] == "statement"
    ]
    assert told_by == [("allow", "trial", "trial"), ("deny", "default-deny", None)]


def test_the_end_of_a_trial_needs_no_reload_and_reaches_what_is_held(
    start: Callable[[dict[str, Any]], Proxy], shop: Database
) -> None:
    proxy = start(NOTHING)
    with connected(proxy, shop) as connection, connected(proxy, shop) as other:
        end = soon(3)
        shadow = {"until": end.isoformat()}
        install(proxy, forbids_customers(quarantine=True, shadow=shadow))
        for _ in range(3):
            assert connection.execute(CUSTOMERS, prepare=True).fetchone() == (1000,)
        other.execute(f"prepare mine as {CUSTOMERS}")
        other.execute("declare c cursor with hold for select id from customers")
        assert other.execute("fetch 1 from c").fetchone()
        assert datetime.now(UTC) < end, "the machine is too slow for this trial"
        wait_for(end)
        with pytest.raises(Denied, match="a trial"):
            connection.execute(CUSTOMERS, prepare=True)
        with pytest.raises(psycopg.Error, match="a trial"):
            other.execute("fetch 1 from c")
        with pytest.raises(psycopg.Error):
            other.execute("execute mine")
    assert metric(proxy, COUNTED) == 5
    refused = [r for r in ended(proxy) if r.get("decision") == "deny"]
    in_earnest = {r["session"] for r in refused if r.get("quarantines")}
    assert len(in_earnest) == 2
