"""Identities in the store, before real servers: who is out, is out within 2 s."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from sqlalchemy import text
from typer.testing import CliRunner

from proxy.auth.identities import IdentityEntry
from proxy.cli.identity import identity_app
from proxy.server.store_watch import LOOK_EVERY_S
from proxy.store import identities, last_uses
from proxy.store.engine import Change, Store
from proxy.store_settings import StoreSettings
from tests.fix_proxy import Proxies, ungated_text
from tests.integration.rig import ENDLESS, Raw, backends, events, eventually, query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

pytestmark = pytest.mark.postgres

WITHIN_S = 2.0
TRUSTED_S = 5


class Kept:
    """A proxy of two workers, whose identities are in a SQLite store."""

    def __init__(self, proxy: Proxy, settings: StoreSettings) -> None:
        self.proxy = proxy
        self.settings = settings
        assert settings.file is not None
        self.file = settings.file
        document = yaml.safe_load((proxy.folder / "identities.yaml").read_text())
        entries = map(IdentityEntry.model_validate, document["identities"])
        self._entries = sorted(entries, key=lambda each: each.name)
        self._lines = 0
        self.restore()

    def begin(self) -> None:
        """What was told so far is another test's."""
        self._lines = len(events(self.proxy))

    def told(self, name: str) -> list[dict[str, Any]]:
        """The operations log's events of this name, in this test."""
        lines = events(self.proxy)[self._lines :]
        return [line for line in lines if line["event"] == name]

    def change(
        self, action: str, do: Callable[[AsyncConnection], Awaitable[None]]
    ) -> None:
        async def work() -> None:
            store = await Store.open(self.settings)
            try:
                async with store.changing(Change("me@here", action, "dev")) as change:
                    await do(change)
            finally:
                await store.close()

        asyncio.run(work())

    def replace(
        self, name: str = "dev", action: str = "identity.test", **changed: Any
    ) -> None:
        async def do(connection: AsyncConnection) -> None:
            known = (await identities.read_roll(connection)).find(name)
            assert known is not None
            values = identities.entry_values(known) | changed
            await identities.replace(connection, IdentityEntry.model_validate(values))

        self.change(action, do)

    def restore(self) -> None:
        """As at the beginning, and every worker knows it."""

        async def do(connection: AsyncConnection) -> None:
            await connection.execute(text("delete from identities"))
            for entry in self._entries:
                await identities.add(connection, entry)

        if self.roll() == identities.Roll(tuple(self._entries), ()):
            return  # and nobody would say that there is a change
        known = len(events(self.proxy, "identities_changed"))
        self.change("identity.restore", do)
        eventually(lambda: len(events(self.proxy, "identities_changed")) >= known + 2)

    def roll(self) -> identities.Roll:
        async def work() -> identities.Roll:
            store = await Store.open(self.settings)
            async with store.reading() as connection:
                found = await identities.read_roll(connection)
            await store.close()
            return found

        return asyncio.run(work())

    def remove(self) -> None:
        self.change("identity.remove", lambda c: identities.remove(c, "dev"))

    def last_uses(self) -> list[last_uses.LastUse]:
        async def work() -> list[last_uses.LastUse]:
            store = await Store.open(self.settings)
            async with store.reading() as connection:
                found = await last_uses.read(connection)
            await store.close()
            return found

        return asyncio.run(work())


@pytest.fixture(scope="module")
def shared(
    clusters: Clusters, postgres17: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """One for all tests: to start it costs more than most of them."""
    folder, proxies = tmp_path_factory.mktemp("kept"), Proxies(clusters)
    policy = folder / "policy.yaml"
    policy.write_text(ungated_text(), "utf-8")
    settings = StoreSettings(url=f"sqlite:///{folder}/store.db")
    store = {"url": settings.url, "trusted_for_s": TRUSTED_S}
    over = {"workers": 2, "identities": None, "store": store}
    yield Kept(proxies.start(postgres17, policy=policy, settings=over), settings)
    proxies.stop()


@pytest.fixture
def kept(shared: Kept) -> Iterator[Kept]:
    """As at the beginning; what a test changes is put right again."""
    shared.begin()
    yield shared
    shared.restore()


def a_moment_ago() -> str:
    return (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


WAYS: dict[str, Callable[[Kept], None]] = {
    "removed": Kept.remove,
    "disabled": lambda kept: kept.replace(disabled=True),
    "other-role": lambda kept: kept.replace(role="auditor"),
    "unknown-role": lambda kept: kept.replace(role="nobody-knows"),
    "expired": lambda kept: kept.replace(valid_until=a_moment_ago()),
}


@pytest.mark.timeout(120)
def test_sessions_end_in_every_worker(kept: Kept, shop17: Database) -> None:
    for way in WAYS:
        ends_in_every_worker(kept, shop17, way)
        kept.restore()
        psycopg.connect(kept.proxy.dsn("developer", shop17.name)).close()


def ends_in_every_worker(kept: Kept, shop17: Database, way: str) -> None:
    proxy = kept.proxy
    with (
        ExitStack() as stack,
        psycopg.connect(proxy.dsn("migrator", shop17.name), autocommit=True) as stays,
    ):
        out = [
            stack.enter_context(Raw(proxy.dsn("developer", shop17.name)))
            for _ in range(8)
        ]
        out[0].send(query(ENDLESS))
        with_sessions = {
            each.name
            for each in proxy.audit_folder.glob("audit-*.jsonl")
            if f'"database":"{shop17.name}"' in each.read_text()
        }
        assert len(with_sessions) == 2, "one worker took them all; ask again"
        WAYS[way](kept)
        started = time.monotonic()
        for each in out:
            assert b"C57P01\0" in each.rest()
        assert time.monotonic() - started < WITHIN_S, way
        assert stays.execute("select 1").fetchone() == (1,)
        eventually(lambda: backends(shop17) == 1, what="the endless statement")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.dsn("developer", shop17.name))


def test_a_transaction_is_rolled_back(kept: Kept, shop17: Database) -> None:
    proxy = kept.proxy
    with Raw(proxy.dsn("migrator", shop17.name)) as out:
        out.send(query(f"begin; create table half_done (n int); {ENDLESS}"))
        eventually(lambda: shop17.fetch(RUNNING), what="the statement runs")
        kept.replace("deploy", disabled=True)
        started = time.monotonic()
        assert b"C57P01\0" in out.rest()
        assert time.monotonic() - started < WITHIN_S
    eventually(lambda: not shop17.fetch(RUNNING), what="its backend has gone")
    assert shop17.fetch("select to_regclass('half_done')") == [(None,)]


RUNNING = (
    "select 1 from pg_stat_activity where state = 'active' and query like "
    "'%half_done%' and pid <> pg_backend_pid()"
)


@pytest.mark.parametrize(
    "commands",
    [
        ["disable dev", "enable dev"],
        ["remove dev", "add dev --role developer --password-file PASSWORD"],
    ],
)
def test_what_was_undone_at_once_has_ended_sessions_all_the_same(
    kept: Kept, shop17: Database, commands: list[str]
) -> None:
    """Nobody looks in between, and a stolen session must not outlast it."""
    file = kept.proxy.folder / "password-of-dev"
    file.write_text(kept.proxy.passwords.developer)
    config = str(kept.proxy.folder / "pgwarden.yaml")
    dsn = kept.proxy.dsn("developer", shop17.name)
    with Raw(dsn) as out:
        out.send(query(f"begin; {ENDLESS}"))
        for command in commands:
            words = command.replace("PASSWORD", str(file)).split()
            ran = CliRunner().invoke(identity_app, [*words, "--config", config])
            assert ran.exit_code == 0, ran.exception
        assert b"C57P01\0" in out.rest()
    eventually(lambda: _comes_in(dsn))


def _comes_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def test_time_runs_out_during_a_session(kept: Kept, shop17: Database) -> None:
    proxy = kept.proxy
    until = datetime.now(UTC) + timedelta(seconds=3)
    kept.replace(valid_until=until.isoformat())
    with Raw(proxy.dsn("developer", shop17.name)) as out:
        out.send(query(ENDLESS))
        assert b"was valid until" in out.rest()
        late_s = (datetime.now(UTC) - until).total_seconds()
    assert 0 <= late_s < WITHIN_S
    eventually(lambda: backends(shop17) == 0)


def test_a_broken_policy_keeps_nobody_in(kept: Kept, shop17: Database) -> None:
    """Files are taken whole or not at all; who is disabled does not wait for it."""
    policy = kept.file.with_name("policy.yaml")
    policy.write_text("version: [")
    eventually(lambda: len(kept.told("reload_refused")) == 2)
    with Raw(kept.proxy.dsn("developer", shop17.name)) as out:
        kept.replace(disabled=True)
        started = time.monotonic()
        assert b"C57P01\0" in out.rest()
        assert time.monotonic() - started < WITHIN_S
    policy.write_text(ungated_text(), "utf-8")
    eventually(lambda: len(kept.told("reloaded")) == 2)


def test_one_broken_row_is_one_identity(kept: Kept, shop17: Database) -> None:
    proxy = kept.proxy

    async def break_it(connection: AsyncConnection) -> None:
        await connection.execute(
            text("""update identities set entry = '{"role": 7}' where name = 'dev'""")
        )

    with Raw(proxy.dsn("developer", shop17.name)) as out:
        kept.change("identity.broken", break_it)
        assert b"C57P01\0" in out.rest()
    # Each worker looks for itself.
    eventually(lambda: len(kept.told("identity_refused")) == 2)
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(proxy.dsn("developer", shop17.name))
    psycopg.connect(proxy.dsn("migrator", shop17.name)).close()
    told = kept.told("identity_refused")
    assert all('identity "dev"' in each["problem"] for each in told)


def test_the_audit_log_says_once_who_did_it(kept: Kept) -> None:
    def told() -> list[dict[str, Any]]:
        return [
            each
            for each in kept.proxy.records()
            if each["kind"] == "internal" and each["purpose"] == "identity.once"
        ]

    kept.replace(action="identity.once", disabled=True)
    eventually(told)
    time.sleep(3 * LOOK_EVERY_S)  # the other worker has looked twice by now
    (changed,) = told()
    assert changed["detail"]["by"] == "me@here"
    assert changed["detail"]["subject"] == "dev"
    assert "SCRAM" not in json.dumps(changed)


def test_what_is_known_holds_for_a_while_without_the_store(
    kept: Kept, shop17: Database
) -> None:
    proxy = kept.proxy
    dsn = proxy.dsn("developer", shop17.name)
    away = kept.file.with_name("away.db")
    with psycopg.connect(dsn, autocommit=True) as session:
        kept.file.rename(away)
        eventually(lambda: len(kept.told("store_unavailable")) == 2)
        psycopg.connect(dsn).close()

        def is_refused() -> bool:
            try:
                psycopg.connect(dsn).close()
            except psycopg.OperationalError as error:
                return "can't reach its store" in str(error)
            return False

        waited_s = eventually(is_refused, TRUSTED_S + 5)
        assert waited_s > 1
        assert session.execute("select 1").fetchone() == (1,)
        assert not kept.file.exists()
        away.rename(kept.file)
        eventually(lambda: not is_refused())
        eventually(lambda: len(kept.told("store_is_back")) == 2)
        assert session.execute("select 2").fetchone() == (2,)


def test_a_locked_store_is_still_read(kept: Kept, shop17: Database) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    other = sqlite3.connect(kept.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(1.5)
    psycopg.connect(kept.proxy.dsn("developer", shop17.name)).close()
    assert not kept.told("store_unavailable")
    other.execute("ROLLBACK")
    other.close()


def test_the_last_use_is_kept(kept: Kept, shop17: Database) -> None:
    began = datetime.now(UTC)
    for _ in range(3):
        psycopg.connect(kept.proxy.dsn("developer", shop17.name)).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(kept.proxy.dsn("migrator", shop17.name), password="wrong")

    def uses() -> list[last_uses.LastUse]:
        return [each for each in kept.last_uses() if each.at >= began]

    eventually(uses, 10)
    (use,) = uses()
    assert use.name == "dev"
    assert use.address == "127.0.0.1"
    assert use.at <= datetime.now(UTC)
    assert "SCRAM" not in use.proof
