"""Several hosts: a primary, its standby, the dead; and libpq as the measure."""

from __future__ import annotations

import contextlib
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from proxy.server.conversation import Conversation
from proxy.server.dial import TCP_WITHIN_S, Dialler
from proxy.server.health import UpstreamError
from proxy.server.probe import PROBE_EVERY_S
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key
from proxy.settings_upstream import UpstreamSettings
from proxy.shipped import policy_path
from tests.fix_postgres import MAJORS, bin_dir, new_cluster, run
from tests.fix_replicas import (
    Door,
    black_hole,
    hanging_up,
    hung,
    pair_of,
    refused,
    starting_up,
)
from tests.integration.knocker import Knocker
from tests.integration.rig import events, eventually, metric, problems, warnings
from tests.integration.test_cancel import Endless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy
    from tests.fix_replicas import Pair

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(120)]

MAJOR_PARAMS = [pytest.param(major, id=f"pg{major}") for major in MAJORS]
WORDS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")


@pytest.fixture(scope="module", params=MAJOR_PARAMS)
def pair(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Pair]:
    """For tests that leave both as they are."""
    with pair_of(request.param, clusters) as found:
        yield found


@pytest.fixture(params=MAJOR_PARAMS)
def mortal(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Pair]:
    """For tests that do not."""
    with pair_of(request.param, clusters) as found:
        yield found


@pytest.fixture(scope="module")
def alone() -> Iterator[Cluster]:
    """A server by itself, on both kinds of addresses."""
    cluster = new_cluster(bin_dir(17), listen_addresses="::1,127.0.0.1")
    try:
        with cluster:
            yield cluster
    finally:
        shutil.rmtree(cluster.plan.work, ignore_errors=True)


def settings(
    pair: Pair, hosts: list[str], folder: Path, **more: Any
) -> UpstreamSettings:
    file = folder / "password"
    file.write_text(pair.primary.password)
    return UpstreamSettings.model_validate(
        {
            "hosts": hosts,
            "tls": {"mode": "disable"},
            "connect_timeout_s": 5,
            "logins": {"admin": {"user": "postgres", "password_file": str(file)}},
            **more,
        }
    )


def dialler_of(found: UpstreamSettings) -> Dialler:
    return Dialler(found, tasks=Tasks(), keys=[Key("admin")])


async def port_of(dialler: Dialler, *, is_read_only: bool = False) -> int:
    """Where a login of ours ends up, in the server's own words."""
    plan = dialler.own_plan("admin", "shop", is_read_only=is_read_only)
    async with Conversation(await dialler.connect(plan)) as session:
        return int(await session.value("SHOW port"))


@pytest.mark.parametrize("is_standby_first", [False, True])
@pytest.mark.parametrize("word", WORDS)
async def test_each_word_means_what_it_means_to_libpq(
    pair: Pair, tmp_path: Path, word: str, is_standby_first: bool
) -> None:
    hosts = pair.hosts[::-1] if is_standby_first else pair.hosts
    dialler = dialler_of(
        settings(pair, [refused(), *hosts], tmp_path, target_session_attrs=word)
    )
    with psycopg.connect(
        host="127.0.0.1,127.0.0.1",
        port=",".join(each.rpartition(":")[2] for each in hosts),
        user="postgres",
        password=pair.primary.password,
        dbname="shop",
        target_session_attrs=word,
    ) as libpq:
        expected = libpq.info.port
    # With what is remembered of the hosts by then, the answer is the same.
    assert [await port_of(dialler) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize(
    ("word", "is_primary"), [("read-write", True), ("read-only", False)]
)
async def test_a_readers_own_read_only_says_nothing_of_the_server(
    pair: Pair, tmp_path: Path, word: str, is_primary: bool
) -> None:
    dialler = dialler_of(
        settings(pair, pair.hosts, tmp_path, target_session_attrs=word)
    )
    expected = pair.primary if is_primary else pair.standby
    assert await port_of(dialler, is_read_only=True) == expected.port


@pytest.mark.parametrize("dead", [black_hole, hung, hanging_up])
async def test_a_dead_host_costs_one_login_its_time(
    pair: Pair, tmp_path: Path, dead: Callable[[], AbstractContextManager[str]]
) -> None:
    with dead() as nobody:
        dialler = dialler_of(
            settings(pair, [nobody, pair.hosts[0]], tmp_path, connect_timeout_s=4)
        )
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert await port_of(dialler) == pair.primary.port
            took.append(time.monotonic() - started)
    assert took[0] < 6
    if dead is black_hole:
        assert TCP_WITHIN_S <= took[0] < TCP_WITHIN_S + 2
    assert max(took[1:]) < 1
    assert nobody in dialler.hosts.warnings()[0]


async def test_after_a_refusal_no_other_host_is_tried(
    pair: Pair, tmp_path: Path
) -> None:
    """As in libpq: a wrong password at the first is not tried out at all the others."""
    pgpass = tmp_path / "pgpass"
    first, second = (each.rpartition(":")[2] for each in pair.hosts)
    pgpass.write_text(f"*:{first}:*:*:wrong\n*:{second}:*:*:{pair.primary.password}\n")
    pgpass.chmod(0o600)
    login = {"user": "postgres", "password_pgpass": str(pgpass)}
    for hosts, works in ((pair.hosts, False), (pair.hosts[::-1], True)):
        dialler = dialler_of(settings(pair, hosts, tmp_path, logins={"admin": login}))
        if works:
            assert await port_of(dialler) == pair.standby.port
            continue
        with pytest.raises(UpstreamError) as error:
            await port_of(dialler)
        assert error.value.sqlstate == "28P01"
        assert dialler.hosts.warnings() == []


def lets_in(port: int) -> bool:
    """Whether the server asks for no password any more."""
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "works"),
    [
        ("127.0.0.1", True),
        # This machine too, but by a name that somebody may have made: its proof counts.
        ("127.1", False),
    ],
)
async def test_trust_is_for_loopback_alone_host_by_host(
    alone: Cluster, host: str, works: bool
) -> None:
    rules = alone.plan.data / "pg_hba.conf"
    trust = "host postgres postgres all trust\n"
    if trust not in rules.read_text():
        rules.write_text(trust + rules.read_text())
        run(alone.dsn(), "select pg_reload_conf()")
        eventually(partial(lets_in, alone.port))
    found = UpstreamSettings.model_validate(
        {
            "hosts": [refused(), f"{host}:{alone.port}"],
            "tls": {"mode": "disable"},
            "logins": {"admin": {"user": "postgres"}},
        }
    )
    dialler = dialler_of(found)
    plan = dialler.own_plan("admin", "postgres", is_read_only=True)
    if works:
        async with Conversation(await dialler.connect(plan)) as session:
            assert await session.value("SELECT 1") == "1"
    else:
        with pytest.raises(UpstreamError) as error:
            await dialler.connect(plan)
        assert "trust" in error.value.note


async def test_nobody_fits(pair: Pair, tmp_path: Path) -> None:
    found = settings(pair, pair.hosts[1:], tmp_path, target_session_attrs="primary")
    with pytest.raises(UpstreamError) as error:
        await port_of(dialler_of(found))
    assert "not primary" in error.value.note
    assert "of the kind that is wanted" in error.value.report.message


async def test_random_order_meets_both(pair: Pair, tmp_path: Path) -> None:
    found = settings(pair, pair.hosts, tmp_path, load_balance_hosts="random")
    dialler = dialler_of(found)
    ports = {await port_of(dialler) for _ in range(30)}
    assert ports == {pair.primary.port, pair.standby.port}


async def test_addresses_of_the_sixth_version(alone: Cluster, tmp_path: Path) -> None:
    """By number, and by a name that stands for both kinds."""
    file = tmp_path / "password"
    file.write_text(alone.password)
    for hosts, addresses in (
        ([f"[::1]:{alone.port}"], {"::1"}),
        ([f"localhost:{alone.port}"], {"::1", "127.0.0.1"}),
    ):
        found = UpstreamSettings.model_validate(
            {
                "hosts": hosts,
                "tls": {"mode": "disable"},
                "logins": {"admin": {"user": "postgres", "password_file": file}},
            }
        )
        dialler = dialler_of(found)
        plan = dialler.own_plan("admin", "postgres", is_read_only=True)
        async with Conversation(await dialler.connect(plan)) as session:
            at = await session.value("SELECT host(inet_server_addr())")
        assert at in addresses
        places, _ = await dialler.hosts.places()
        assert {place.address for place in places} <= addresses


# --- the whole of it ----------------------------------------------------------


def guarded(
    start_proxy: StartProxy, pair: Pair, hosts: list[str], **more: Any
) -> Proxy:
    return start_proxy(
        pair.primary,
        settings={
            "upstream": {"host": None, "hosts": hosts, "connect_timeout_s": 5, **more}
        },
    )


def port_through(proxy: Proxy, identity: str = "developer") -> int:
    with psycopg.connect(proxy.dsn(identity), autocommit=True) as connection:
        row = connection.execute("show port").fetchone()
    assert row is not None
    return int(row[0])


def test_readers_and_migrators_may_want_different_servers(
    start_proxy: StartProxy, pair: Pair
) -> None:
    """And a cancel goes to the server that the session is on."""
    proxy = guarded(
        start_proxy,
        pair,
        pair.hosts,
        target_session_attrs="primary",
        logins={"reader": {"target_session_attrs": "prefer-standby"}},
    )
    assert port_through(proxy, "migrator") == pair.primary.port
    assert port_through(proxy, "developer") == pair.standby.port
    for identity in ("developer", "migrator"):
        with Endless(proxy.dsn(identity)) as running:
            time.sleep(0.3)
            running.cancel()
    series = 'pgwarden_cancel_requests_total{result="forwarded"}'
    eventually(lambda: metric(proxy, series) == 2)


def test_a_failover(start_proxy: StartProxy, mortal: Pair) -> None:
    """The primary dies while people log in; the standby is promoted."""
    proxy = guarded(
        start_proxy, mortal, mortal.hosts, target_session_attrs="read-write"
    )
    standby = mortal.standby.port
    assert port_through(proxy, "migrator") == mortal.primary.port
    with psycopg.connect(proxy.dsn("developer"), autocommit=True) as before:
        mortal.primary.stop()
        with pytest.raises(psycopg.OperationalError):
            before.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="of the kind that is wanted"):
        port_through(proxy)
    eventually(lambda: problems(proxy), 15)
    assert mortal.hosts[0] in warnings(proxy)[0]
    assert metric(proxy, "pgwarden_upstream_hosts_down") == 1
    mortal.promote()

    def is_back() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return port_through(proxy, "migrator") == standby
        return False

    took_s = eventually(is_back, 10, "a login after the promotion")
    assert took_s < 5
    assert port_through(proxy) == standby
    with psycopg.connect(proxy.dsn("migrator"), autocommit=True) as migrator:
        migrator.execute("create table after_the_failover ()")
    # It serves: that one host of two is down keeps nobody out, but is said.
    eventually(lambda: not problems(proxy), 15)
    assert mortal.hosts[0] in warnings(proxy)[0]
    assert metric(proxy, 'pgwarden_upstream_failovers_total{reason="connect"}') >= 1
    assert len(events(proxy, "upstream_host_down")) == 1


def test_a_server_that_is_starting_up(
    start_proxy: StartProxy, clusters: Clusters, pair: Pair
) -> None:
    """Alone, it keeps people waiting and tells them so; beside another, nobody."""
    with starting_up(18, clusters) as slow:
        server = slow.cluster
        own = f"127.0.0.1:{server.port}"

        def says_so() -> bool:
            with contextlib.suppress(OSError), Knocker("127.0.0.1", server.port) as one:
                told = one.start("postgres").error()
                return (told["C"], told["M"]) == (
                    "57P03",
                    "the database system is starting up",
                )
            return False

        eventually(says_so)
        proxy = start_proxy(server)
        eventually(lambda: problems(proxy) == [NOT_NOW], 15)
        with Knocker(proxy.host, proxy.port) as one:
            one.start(proxy.user(), "shop").offers()
            told = one.prove(proxy.password()).outcome()
        assert (told["C"], told["M"]) == (
            "57P03",
            "the database is not accepting connections now",
        )
        beside = guarded(start_proxy, pair, [own, pair.hosts[0]])
        assert port_through(beside) == pair.primary.port
        assert metric(beside, 'pgwarden_upstream_failovers_total{reason="not-now"}')
        assert any(own in each for each in warnings(beside))
        slow.go_on()
        eventually(lambda: not problems(proxy), 15)
        assert port_through(proxy) == server.port


NOT_NOW = "the database does not accept connections now"


def test_a_host_that_comes_back_is_noticed_by_the_probe(
    start_proxy: StartProxy, pair: Pair
) -> None:
    """No client has to find out, nor to wait for nobody while it is down."""
    door = Door(pair.primary.port)
    proxy = start_proxy(
        pair.primary,
        settings={
            "upstream": {"host": None, "hosts": [door.host, pair.hosts[1]]},
            "workers": 2,
        },
    )
    eventually(lambda: len(events(proxy, "upstream_host_down")) == 2)
    assert port_through(proxy) == pair.standby.port
    assert door.host in warnings(proxy)[0]
    assert metric(proxy, "pgwarden_upstream_hosts_down") == 1
    with door:
        eventually(
            lambda: len(events(proxy, "upstream_host_is_back")) == 2,
            2 * PROBE_EVERY_S,
        )
        assert port_through(proxy) == pair.primary.port
        assert not warnings(proxy)
    starts = [each for each in proxy.records() if each["kind"] == "session.start"]
    assert {each["upstream"] for each in starts} == {pair.hosts[1], door.host}


def test_the_gate_and_the_catalog_go_the_same_way(
    start_proxy: StartProxy, pair: Pair
) -> None:
    proxy = start_proxy(
        pair.primary,
        policy=policy_path("production"),
        settings={
            "upstream": {
                "host": None,
                "hosts": [refused(), *pair.hosts[::-1]],
                "target_session_attrs": "primary",
                "databases": ["shop"],
            }
        },
    )
    assert not events(proxy, "gate_is_closed")
    assert port_through(proxy) == pair.primary.port
    eventually(lambda: events(proxy, "catalog_loaded"))
