"""The store in Postgres: what every store does, and what a server can get wrong."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.errors import ConfigError
from proxy.store.engine import Store, StoreUnavailable
from proxy.store_settings import StoreSettings, StoreTls
from tests.fix_postgres import bin_dir, new_cluster, run
from tests.storing import SCENARIOS, add, roll

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from proxy.demo.postgres import Cluster

pytestmark = pytest.mark.postgres

PLAIN = StoreTls(mode="disable")


@pytest.fixture
def settings(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreSettings]:
    """A database and an owner of its own, as the how-to says."""
    name, password = f"store_{secrets.token_hex(4)}", secrets.token_hex(8)
    run(postgres.dsn(), f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    run(postgres.dsn(), f"CREATE DATABASE {name} OWNER {name}")
    monkeypatch.setenv("STORE_PASSWORD", password)
    yield StoreSettings(
        url=f"postgresql://{name}@{postgres.host}:{postgres.port}/{name}",
        password_env="STORE_PASSWORD",
        tls=PLAIN,
    )
    run(postgres.dsn(), f"DROP DATABASE {name} WITH (FORCE)")
    run(postgres.dsn(), f"DROP ROLE {name}")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
async def test_it(
    scenario: Callable[[StoreSettings], Awaitable[None]], settings: StoreSettings
) -> None:
    await scenario(settings)


async def test_a_table_of_the_same_name_elsewhere_is_not_ours(
    settings: StoreSettings, postgres: Cluster
) -> None:
    """Whoever may create in `public` must not say who may log in."""
    name = settings.postgres.database
    run(
        postgres.dsn(name),
        "CREATE TABLE public.identities (name text, entry json, changed_at text);"
        "CREATE TABLE public.alembic_version (version_num text);"
        "INSERT INTO public.alembic_version VALUES ('0001');"
        "INSERT INTO public.identities VALUES ('eve', '{}', '');"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
    )
    store = await Store.open(settings)
    await add(store)
    found = await roll(store)
    assert [each.name for each in found.entries] == ["ana"]
    assert not found.problems
    await store.close()


async def test_a_schema_of_somebody_else_is_refused(
    settings: StoreSettings, postgres: Cluster
) -> None:
    name = settings.postgres.database
    run(
        postgres.dsn(name),
        f"CREATE SCHEMA pgwarden; GRANT ALL ON SCHEMA pgwarden TO {name}",
    )
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        await Store.open(settings)


async def test_a_wrong_password_is_told_without_it(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "n0t-the-0ne")
    with pytest.raises(StoreUnavailable, match="password authentication") as caught:
        await Store.open(settings)
    assert "n0t-the-0ne" not in f"{caught.value} {caught.value!r}"


async def test_a_server_without_tls_is_refused_where_tls_is_wanted(
    settings: StoreSettings,
) -> None:
    strict = settings.model_copy(update={"tls": StoreTls()})
    with pytest.raises(StoreUnavailable):
        await Store.open(strict)


async def test_a_server_that_is_down_is_told_of() -> None:
    cluster = new_cluster(bin_dir(17))
    with cluster:
        place = StoreSettings(
            url=f"postgresql://{cluster.superuser}@{cluster.host}:{cluster.port}/postgres",
            password_file=cluster.plan.work / "pw",
            tls=PLAIN,
        )
        (cluster.plan.work / "pw").write_text(f"{cluster.password}\n")
        store = await Store.open(place)
        await add(store)
        await asyncio.to_thread(cluster.stop)
        with pytest.raises(StoreUnavailable):
            await store.generation()
        await store.close()


async def test_connections_that_the_server_ended_are_no_failure(
    settings: StoreSettings, postgres: Cluster
) -> None:
    store = await Store.open(settings)
    await add(store)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            [settings.postgres.database],
        )
    assert [each.name for each in (await roll(store)).entries] == ["ana"]
    await store.close()
