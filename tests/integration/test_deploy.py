"""pgwarden's own connection for one run of migrations, against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from proxy.migrations.gates import GateState
from proxy.migrations.schema import Scope
from proxy.server import deploy as deploy_module, deploy_lock
from proxy.server.deploy import Deploy, DeployError, DigestError
from proxy.server.dial import Dialler
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key
from proxy.settings_upstream import UpstreamSettings
from tests.fix_postgres import Database, bin_dir, furnish, new_cluster
from tests.fix_replicas import pair_of
from tests.integration.rig import until_closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fix_postgres import Clusters

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

SCOPE = Scope.of(["public"])
NAME = "pgwarden-0123456789ab-20261127T030405Z"
LOGINS = ("reader", "migrator", "admin")


def dialler_of(shop: Database, folder: Path, **more: Any) -> Dialler:
    passwords = {
        "reader": (shop.logins.reader.user, shop.logins.reader.password),
        "migrator": (shop.logins.migrator.user, shop.logins.migrator.password),
        "admin": ("postgres", shop.cluster.password),
    }
    logins = {}
    for login, (user, password) in passwords.items():
        (folder / login).write_text(password or "")
        logins[login] = {"user": user, "password_file": str(folder / login)}
    settings = {
        "hosts": [f"127.0.0.1:{shop.cluster.port}"],
        "tls": {"mode": "disable"},
        "logins": logins,
        **more,
    }
    return Dialler(
        UpstreamSettings.model_validate(settings),
        tasks=Tasks(),
        keys=[Key(login) for login in LOGINS],
    )


@pytest.fixture
def dialler(shop: Database, tmp_path: Path) -> Dialler:
    return dialler_of(shop, tmp_path)


@pytest.fixture(autouse=True)
async def all_closed() -> AsyncIterator[None]:
    """No test leaves a socket behind, which would be a warning in a later one."""
    yield
    await until_closed()


class Heard(list[str]):
    """What a callback was told."""

    def __call__(self, said: str) -> None:
        self.append(said)

    async def anything(self) -> None:
        await until(lambda: bool(self))


async def until(holds: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(
    dialler: Dialler,
    shop: Database,
    *,
    login: str = "migrator",
    who: str = "alice",
    lost: Heard | None = None,
) -> AsyncIterator[Deploy]:
    deploy = await Deploy.open(
        dialler, login, shop.name, who=who, lost=Heard() if lost is None else lost
    )
    try:
        yield deploy
    finally:
        await deploy.close()


def terminate(shop: Database, pid: int) -> None:
    assert shop.fetch(f"SELECT pg_terminate_backend({pid})") == [(True,)]


def holders(shop: Database) -> list[int]:
    """Who holds an advisory lock of pgwarden's, past its own words for it."""
    rows = shop.fetch(
        "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
    )
    return [row[0] for row in rows]


async def test_the_lock_is_had_by_a_session_that_may_only_read(
    dialler: Dialler, shop: Database
) -> None:
    lost = Heard()
    async with opened(dialler, shop, lost=lost) as deploy:
        assert not await deploy.still_holds()
        answer = await deploy.exclude_others(0, Heard())
        assert answer.is_satisfied
        assert dict(answer.evidence)["pid"] == str(deploy.pid)
        assert holders(shop) == [deploy.pid]
        was_alive = deploy.is_alive
        assert was_alive
        assert await deploy.still_holds()
        assert await deploy._session.value("SHOW transaction_read_only") == "on"
        for setting, value in {
            "idle_session_timeout": "0",
            "tcp_keepalives_idle": "60",
            "tcp_keepalives_count": "4",
        }.items():
            assert await deploy._session.value(f"SHOW {setting}") == value
        # Asked again it is still taken once, so that one close gives it back.
        assert (await deploy.exclude_others(0, Heard())).is_satisfied
        await deploy.close()
        assert holders(shop) == []
        assert not deploy.is_alive
        assert not await deploy.still_holds()
        await deploy.close()
    assert lost == []


async def test_the_key_is_nobody_elses(dialler: Dialler, shop: Database) -> None:
    assert (
        ", ".join(str(int.from_bytes(part)) for part in (b"pgwa", b"rden"))
        == deploy_lock.KEY
    )
    as_one = int.from_bytes(b"pgwarden")
    with psycopg.connect(shop.migrator_dsn, autocommit=True) as tool:
        for key in (72707369, as_one):
            tool.execute("SELECT pg_advisory_lock(%s::bigint)", [key])
        async with opened(dialler, shop) as deploy:
            assert (await deploy.exclude_others(0, Heard())).is_satisfied
            assert await deploy.still_holds()


async def test_of_two_deploys_the_second_hears_who_is_first(
    dialler: Dialler, shop: Database
) -> None:
    waiting = Heard()
    async with opened(dialler, shop) as first, opened(dialler, shop, who="bob") as bob:
        assert (await first.exclude_others(0, Heard())).is_satisfied
        at_once = await bob.exclude_others(0, waiting)
        assert at_once.state is GateState.UNSATISFIED
        assert waiting == []  # there was no wait
        refused = await bob.exclude_others(0.5, waiting)
        assert refused.state is GateState.UNSATISFIED
        (said,) = waiting
        for told in (said, refused.detail):
            assert '"pgwarden deploy alice"' in told
            assert f"process {first.pid} since 20" in told
        assert "within 0.5 s" in refused.detail
        assert dict(refused.evidence)["held_by_pid"] == str(first.pid)
        # A refusal takes nothing: the first one still stands, and later bob's passes.
        assert await first.still_holds()
        assert not await bob.still_holds()
        await first.close()
        assert (await bob.exclude_others(0, waiting)).is_satisfied


async def test_who_waits_goes_on_when_the_first_is_done(
    dialler: Dialler, shop: Database
) -> None:
    waiting = Heard()
    async with opened(dialler, shop) as first, opened(dialler, shop) as second:
        await first.exclude_others(0, Heard())
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(second.exclude_others(20, waiting))
            await waiting.anything()
            assert not answer.done()
            await first.close()
        assert answer.result().is_satisfied
        assert len(waiting) == 1
        assert holders(shop) == [second.pid]


async def test_of_many_that_begin_at_once_one_runs(
    dialler: Dialler, shop: Database
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        deploys = [
            await stack.enter_async_context(opened(dialler, shop)) for _ in range(6)
        ]
        answers = await asyncio.gather(*(d.exclude_others(0, Heard()) for d in deploys))
        assert [a.is_satisfied for a in answers].count(True) == 1
        assert [await d.still_holds() for d in deploys].count(True) == 1


async def test_another_database_is_another_matter(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as deploy:
        with psycopg.connect(shop.cluster.dsn(), autocommit=True) as elsewhere:
            taken = elsewhere.execute(deploy_lock.TRY.encode()).fetchone()
            assert taken == (True,)
            assert (await deploy._holder()).pid == 0
            assert (await deploy.exclude_others(0, Heard())).is_satisfied
            async with opened(dialler, shop) as second:
                answer = await second.exclude_others(0, Heard())
                assert dict(answer.evidence)["held_by_pid"] == str(deploy.pid)


async def test_a_shared_lock_of_the_key_is_no_way_past(
    dialler: Dialler, shop: Database
) -> None:
    share = f"SELECT pg_advisory_lock_shared({deploy_lock.KEY})".encode()
    with psycopg.connect(
        shop.dsn, autocommit=True, application_name="squat\x1b[2J"
    ) as squatter:
        squatter.execute(share)
        async with opened(dialler, shop) as deploy:
            answer = await deploy.exclude_others(0, Heard())
            assert answer.state is GateState.UNSATISFIED
            assert f"process {squatter.info.backend_pid}" in answer.detail
            assert "\x1b" not in str(answer)
            assert not await deploy.still_holds()


async def test_a_login_that_may_not_lock_keeps_nobody_out_and_says_so(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop, login="reader") as deploy:
        answer = await deploy.exclude_others(5, Heard())
        assert answer.state is GateState.UNAVAILABLE
        assert "permission denied for function pg_try_advisory_lock" in answer.detail
        assert not await deploy.still_holds()


async def test_a_connection_that_is_ended_from_outside_is_noticed(
    dialler: Dialler, shop: Database
) -> None:
    lost = Heard()
    async with opened(dialler, shop, lost=lost) as deploy:
        await deploy.exclude_others(0, Heard())
        terminate(shop, deploy.pid)
        await lost.anything()
        assert not deploy.is_alive
        assert not await deploy.still_holds()
        again = await deploy.exclude_others(0, Heard())
        assert again.state is GateState.UNAVAILABLE
        with pytest.raises(DeployError):
            await deploy.position()
        with pytest.raises(DigestError):
            await deploy.digest(SCOPE)
    assert len(lost) == 1
    assert "administrator" in lost[0]


async def test_a_lock_that_is_gone_while_the_connection_stands_is_noticed(
    dialler: Dialler, shop: Database
) -> None:
    # As with a pooler that gives each transaction another server process.
    async with opened(dialler, shop) as deploy:
        await deploy.exclude_others(0, Heard())
        await deploy._session.ask("SELECT pg_advisory_unlock_all()")
        assert deploy.is_alive
        assert not await deploy.still_holds()
        answer = await deploy.exclude_others(0, Heard())
        assert answer.state is GateState.UNAVAILABLE


async def test_the_end_during_the_wait_is_unavailable(
    dialler: Dialler, shop: Database
) -> None:
    waiting = Heard()
    async with opened(dialler, shop) as first, opened(dialler, shop) as second:
        await first.exclude_others(0, Heard())
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(second.exclude_others(20, waiting))
            await waiting.anything()
            terminate(shop, second.pid)
        assert answer.result().state is GateState.UNAVAILABLE


async def test_who_gives_up_leaves_no_lock(dialler: Dialler, shop: Database) -> None:
    lost = Heard()
    async with opened(dialler, shop, lost=lost) as deploy:
        await deploy.exclude_others(0, Heard())
        asking = asyncio.get_running_loop().create_task(
            deploy._session.ask("SELECT pg_sleep(30)")
        )
        await until(lambda: deploy._session.is_busy)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        # An answer that comes later would be taken for that of the next question.
        assert not deploy.is_alive
        assert len(lost) == 1
        await deploy.close()
        # The query that nobody waits for would have kept it for 30 s.
        await until(lambda: not holders(shop))


async def test_closing_in_the_middle_of_a_query_gives_the_lock_back(
    dialler: Dialler, shop: Database
) -> None:
    lost = Heard()
    async with opened(dialler, shop, lost=lost) as deploy:
        await deploy.exclude_others(0, Heard())
        asking = asyncio.get_running_loop().create_task(
            deploy._session.value("SELECT pg_sleep(30)")
        )
        await until(lambda: deploy._session.is_busy)
        await deploy.close()
        await until(lambda: not holders(shop))
        with pytest.raises(Exception, match="gone"):
            await asking
    assert lost == []


async def test_the_schema_is_read_without_what_is_not_committed(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as deploy:
        await deploy.exclude_others(0, Heard())
        before = await deploy.digest(SCOPE)
        assert "table public.orders" in before.objects
        with psycopg.connect(shop.migrator_dsn) as client:
            client.execute("CREATE TABLE brand_new (a int)")
            assert await deploy.digest(SCOPE) == before
            client.commit()
        assert "table public.brand_new" in (await deploy.digest(SCOPE)).objects
        # The look's own transaction is over, and the lock has outlived it.
        (state,) = shop.fetch(
            f"SELECT state, xact_start FROM pg_stat_activity WHERE pid = {deploy.pid}"
        )
        assert state == ("idle", None)
        assert await deploy.still_holds()


@pytest.mark.parametrize(
    "altered",
    [
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "ALTER TABLE customers ADD COLUMN more int DEFAULT 5",
        "CREATE INDEX more ON orders (id); DROP INDEX more; TRUNCATE order_items",
    ],
)
async def test_what_a_client_has_locked_is_not_waited_for_long(
    dialler: Dialler,
    shop: Database,
    monkeypatch: pytest.MonkeyPatch,
    altered: str,
) -> None:
    monkeypatch.setattr(deploy_module, "LOCK_TIMEOUT_S", 0.2)
    async with opened(dialler, shop) as deploy:
        await deploy.exclude_others(0, Heard())
        before = await deploy.digest(SCOPE)
        # The client waits for us and we for it: Postgres sees no deadlock in that.
        with psycopg.connect(shop.dsn) as client:
            client.execute(altered.encode())
            async with asyncio.timeout(5):
                with pytest.raises(DigestError, match="locked a table") as error:
                    await deploy.digest(SCOPE)
            assert error.value.sqlstate == "55000"
            assert deploy.is_alive
            assert await deploy.still_holds()
            client.rollback()
        assert await deploy.digest(SCOPE) == before


@pytest.mark.parametrize(
    "done",
    [
        "LOCK TABLE orders IN EXCLUSIVE MODE",
        "CREATE TABLE aside.t2 (a int); LOCK TABLE aside.t IN ACCESS EXCLUSIVE MODE",
        "DELETE FROM order_items; CREATE INDEX another ON orders (id)",
    ],
)
async def test_what_is_waited_for_is_only_what_alters_the_schemas_themselves(
    dialler: Dialler, shop: Database, done: str
) -> None:
    shop.execute("CREATE SCHEMA aside; CREATE TABLE aside.t (a int PRIMARY KEY)")
    async with opened(dialler, shop) as deploy:
        before = await deploy.digest(SCOPE)
        with psycopg.connect(shop.dsn) as client:
            client.execute(done.encode())
            assert await deploy.digest(SCOPE) == before
            client.rollback()


async def test_an_index_that_is_made_concurrently_does_not_wait_for_us(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as first, opened(dialler, shop) as second:
        await first.exclude_others(0, Heard())
        await first.digest(SCOPE)
        waiting = Heard()
        async with asyncio.TaskGroup() as group:
            waits = group.create_task(second.exclude_others(30, waiting))
            await waiting.anything()
            await asyncio.to_thread(
                shop.execute, "CREATE INDEX CONCURRENTLY slowly ON orders (id)"
            )
            await first.close()
        assert waits.result().is_satisfied


async def test_a_digest_that_takes_too_long_ends_the_deploy(
    dialler: Dialler, shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_module, "DIGEST_WITHIN_S", 0.3)
    lost = Heard()
    async with opened(dialler, shop, lost=lost) as deploy:
        await deploy.exclude_others(0, Heard())
        with psycopg.connect(shop.dsn) as client:
            client.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DigestError, match="can't be read now"):
                await deploy.digest(SCOPE)
            assert not deploy.is_alive
            await until(lambda: not holders(shop))
            client.rollback()
    assert len(lost) == 1


async def test_the_position_is_that_of_the_server(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as deploy:
        position = await deploy.position()
        shop.execute("CREATE TABLE brand_new (a int)")
        later = await deploy.position()
        grown = f"SELECT '{later}'::pg_lsn > '{position}'::pg_lsn"
        assert shop.fetch(grown) == [(True,)]


async def test_a_privileged_login_sets_a_restore_point(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as deploy:
        before = await deploy.position()
        answer = await deploy.restore_point("admin", NAME)
        assert answer.is_satisfied
        found = dict(answer.evidence)
        assert found["restore_point"] == NAME
        assert found["archive_mode"] == "off"
        assert "only if the WAL is kept" in answer.detail
        grown = f"SELECT '{found['lsn']}'::pg_lsn > '{before}'::pg_lsn"
        assert shop.fetch(grown) == [(True,)]
    assert f'restore point "{NAME}" created' in shop.cluster.log_path.read_text()


async def test_a_login_of_just_that_right_is_enough(
    dialler: Dialler, shop: Database
) -> None:
    user = shop.logins.migrator.user
    grant = "EXECUTE ON FUNCTION pg_create_restore_point(text)"
    async with opened(dialler, shop) as deploy:
        refused = await deploy.restore_point("migrator", NAME)
        assert refused.state is GateState.UNAVAILABLE
        assert "permission denied for function" in refused.detail
        assert "/" in dict(refused.evidence)["lsn"]
        assert "restore_point" not in dict(refused.evidence)
        shop.execute(f"GRANT {grant} TO {user}")
        try:
            assert (await deploy.restore_point("migrator", NAME)).is_satisfied
        finally:
            shop.execute(f"REVOKE {grant} FROM {user}")


async def test_without_a_login_for_it_only_the_position_is_noted(
    dialler: Dialler, shop: Database
) -> None:
    async with opened(dialler, shop) as deploy:
        answer = await deploy.restore_point(None, NAME)
        assert answer.is_satisfied
        assert dict(answer.evidence)["restore_point"] == "no login is set"
        assert "/" in dict(answer.evidence)["lsn"]
        await deploy.close()
        assert (await deploy.restore_point(None, NAME)).state is GateState.UNAVAILABLE


@pytest.mark.parametrize("name", ["", "a" * 64, "x'); SELECT pg_sleep(9); --", "a b"])
async def test_no_restore_point_of_a_name_that_is_none(
    dialler: Dialler, shop: Database, name: str
) -> None:
    async with opened(dialler, shop) as deploy:
        answer = await deploy.restore_point("admin", name)
        assert answer.state is GateState.UNAVAILABLE
        assert "/" in dict(answer.evidence)["lsn"]


async def test_a_restore_point_that_nobody_can_be_asked_for(
    shop: Database, tmp_path: Path
) -> None:
    dialler = dialler_of(shop, tmp_path)
    async with opened(dialler, shop) as deploy:
        (tmp_path / "admin").write_text("not the password")
        answer = await deploy.restore_point("admin", NAME)
        assert answer.state is GateState.UNAVAILABLE
        assert "/" in dict(answer.evidence)["lsn"]
        assert "error" in dict(answer.evidence)
        assert "not the password" not in str(answer)
        assert "127.0.0.1" not in answer.detail


async def test_a_server_that_can_set_none(clusters: Clusters, tmp_path: Path) -> None:
    cluster = new_cluster(bin_dir(17), wal_level="minimal", max_wal_senders="0")
    try:
        with cluster:
            logins = clusters.logins(17)
            furnish(cluster, logins)
            shop = Database(cluster, "shop", logins)
            async with opened(dialler_of(shop, tmp_path), shop) as deploy:
                answer = await deploy.restore_point("admin", NAME)
                assert answer.state is GateState.UNAVAILABLE
                assert "WAL level not sufficient" in answer.detail
                assert "/" in dict(answer.evidence)["lsn"]
    finally:
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


async def test_nothing_is_deployed_through_a_standby(
    clusters: Clusters, tmp_path: Path
) -> None:
    logins = clusters.logins(17)
    with pair_of(17, clusters) as pair:
        there = Database(pair.standby, "shop", logins)
        lost = Heard()
        with pytest.raises(DeployError, match="standby") as error:
            await Deploy.open(
                dialler_of(there, tmp_path), "migrator", "shop", who="a", lost=lost
            )
        assert error.value.sqlstate == "55000"
        assert lost == []
        both = dialler_of(
            there, tmp_path, hosts=pair.hosts[::-1], target_session_attrs="primary"
        )
        async with opened(both, there) as deploy:
            assert deploy.place is not None
            assert deploy.place.port == pair.primary.port
            assert (await deploy.exclude_others(0, Heard())).is_satisfied


@pytest.mark.parametrize("wrong", ["password", "database", "gone"])
async def test_a_database_that_does_not_let_us_in(
    shop: Database, tmp_path: Path, wrong: str
) -> None:
    more = {"hosts": ["127.0.0.1:1"]} if wrong == "gone" else {}
    dialler = dialler_of(shop, tmp_path, **more)
    if wrong == "password":
        (tmp_path / "migrator").write_text("not the password")
    database = "nowhere" if wrong == "database" else shop.name
    with pytest.raises(DeployError) as error:
        await Deploy.open(dialler, "migrator", database, who="a", lost=Heard())
    report = error.value.report()
    assert report.sqlstate == "55000"
    assert "127.0.0.1" not in str(report)
    assert error.value.operator_note


async def test_where_each_has_a_role_of_their_own_it_is_theirs(
    shop: Database, tmp_path: Path
) -> None:
    (tmp_path / "alice").write_text("s3cret")
    more = {"user": "own_{identity}", "password_file": str(tmp_path / "{identity}")}
    settings = UpstreamSettings.model_validate(
        {
            "hosts": [f"127.0.0.1:{shop.cluster.port}"],
            "tls": {"mode": "disable"},
            "logins": {"own": more},
        }
    )
    dialler = Dialler(settings, tasks=Tasks(), keys=[Key("own", "alice")])
    shop.execute(
        "CREATE ROLE own_alice LOGIN PASSWORD 's3cret';"
        f"GRANT {shop.logins.migrator.user} TO own_alice"
    )
    try:
        async with opened(dialler, shop, login="own") as deploy:
            assert await deploy._session.value("SELECT current_user") == "own_alice"
            assert (await deploy.exclude_others(0, Heard())).is_satisfied
        with pytest.raises(DeployError) as error:
            async with opened(dialler, shop, login="own", who="mallory"):
                pass
        assert "own_mallory" in error.value.operator_note
        assert "own_mallory" not in str(error.value.report())
    finally:
        shop.execute("DROP ROLE own_alice")


async def test_a_server_that_stops_is_noticed(
    clusters: Clusters, tmp_path: Path
) -> None:
    cluster = new_cluster(bin_dir(17))
    try:
        with cluster:
            logins = clusters.logins(17)
            furnish(cluster, logins)
            shop = Database(cluster, "shop", logins)
            lost = Heard()
            async with opened(dialler_of(shop, tmp_path), shop, lost=lost) as deploy:
                await deploy.exclude_others(0, Heard())
                await asyncio.to_thread(cluster.stop)
                await lost.anything()
                assert not deploy.is_alive
    finally:
        shutil.rmtree(cluster.plan.work, ignore_errors=True)
    assert len(lost) == 1
