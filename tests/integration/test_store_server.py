"""Identities in a store on a Postgres of its own, which goes down and comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import yaml

from proxy.auth.identities import IdentityEntry
from proxy.server.store_now import ask_now
from proxy.store import identities
from proxy.store.engine import Change, Store
from proxy.store_settings import StoreSettings, StoreTls
from tests.fix_postgres import bin_dir, new_cluster, run
from tests.integration.rig import Raw, events, eventually, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

TRUSTED_S = 5


@pytest.fixture
def state() -> Iterator[Cluster]:
    """The server of the store alone."""
    with new_cluster(bin_dir(17)) as cluster:
        run(cluster.dsn(), "CREATE ROLE pgwarden_store LOGIN PASSWORD 'of the store'")
        run(cluster.dsn(), "CREATE DATABASE pgwarden_store OWNER pgwarden_store")
        yield cluster


def fill(proxy: Proxy, settings: StoreSettings) -> None:
    document = yaml.safe_load((proxy.folder / "identities.yaml").read_text())

    async def add(store: Store) -> None:
        async with store.changing() as connection:
            for entry in document["identities"]:
                await identities.add(connection, IdentityEntry.model_validate(entry))

    ask_now(settings, add)
    eventually(lambda: len(events(proxy, "identities_changed")) == 2)


def test_a_store_in_postgres(
    start_proxy: StartProxy,
    shop17: Database,
    state: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "of the store")
    port = state.port
    url = f"postgresql://pgwarden_store@{state.host}:{state.port}/pgwarden_store"
    store = {
        "url": url,
        "password_env": "STORE_PASSWORD",
        "tls": {"mode": "disable"},
        "trusted_for_s": TRUSTED_S,
    }
    over = {"workers": 2, "identities": None, "store": store}
    proxy = start_proxy(shop17.cluster, settings=over)
    settings = StoreSettings(
        url=url, password_env="STORE_PASSWORD", tls=StoreTls(mode="disable")
    )
    fill(proxy, settings)
    with Raw(proxy.dsn("migrator", shop17.name)) as out:
        ask_now(settings, remove)
        started = time.monotonic()
        assert b"C57P01\0" in out.rest()
        assert time.monotonic() - started < 2
    with psycopg.connect(proxy.dsn("developer", shop17.name), autocommit=True) as stays:
        state.stop()
        eventually(lambda: len(events(proxy, "store_unavailable")) == 2, 15)
        eventually(lambda: is_refused(proxy, shop17), TRUSTED_S + 15)
        assert stays.execute("select 1").fetchone() == (1,)
        # It is back: people come in, and what is changed there counts again.
        monkeypatch.setattr("proxy.demo.postgres.free_port", lambda: port)
        state.start()
        eventually(lambda: not problems(proxy), 15)
        eventually(lambda: is_in(proxy, shop17), 15)
        assert len(events(proxy, "store_is_back")) == 2
        assert stays.execute("select 2").fetchone() == (2,)
        ask_now(settings, disable)
        eventually(lambda: is_over(stays), 2)
    assert "of the store" not in proxy.log_path.read_text()


async def disable(store: Store) -> None:
    async with store.changing(Change("me", "identity.disable", "dev")) as connection:
        known = (await identities.read_roll(connection)).find("dev")
        assert known is not None
        changed = known.model_copy(update={"disabled": True})
        await identities.replace(connection, changed)


def is_over(session: psycopg.Connection) -> bool:
    try:
        session.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def is_in(proxy: Proxy, shop: Database) -> bool:
    try:
        psycopg.connect(proxy.dsn("developer", shop.name)).close()
    except psycopg.OperationalError:
        return False
    return True


async def remove(store: Store) -> None:
    async with store.changing(Change("me", "identity.remove", "deploy")) as connection:
        await identities.remove(connection, "deploy")


def is_refused(proxy: Proxy, shop: Database) -> bool:
    try:
        psycopg.connect(proxy.dsn("developer", shop.name)).close()
    except psycopg.OperationalError as error:
        return "can't reach its store" in str(error)
    return False
