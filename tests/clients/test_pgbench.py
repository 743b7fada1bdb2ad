"""pgbench: reading in all three protocols as developer; its own script is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.clients.refusals import refused_texts, statements
from tests.clients.tools import Outcome, libpq_environment, run
from tests.fix_postgres import Database, bin_dir

if TYPE_CHECKING:
    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("pgbench"), pytest.mark.slow]

EACH = 200  # transactions a client


@pytest.fixture
def bench(shop: Database, postgres: Cluster) -> Database:
    """The shop with pgbench's tables beside its own, readable for developers."""
    program = bin_dir(postgres.major) / "pgbench"
    run(
        [program, "--initialize", "--quiet", shop.dsn],
        environment={"PATH": "/usr/bin"},
    ).ok()
    shop.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO pgwarden_reader")
    shop.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO pgwarden_migrator")
    return shop


def pgbench(
    proxy: Proxy, database: Database, *options: str, identity: str = "developer"
) -> Outcome:
    program = bin_dir(database.cluster.major) / "pgbench"
    return run(
        [program, "-n", "-c", "4", "-t", str(EACH), *options],
        environment=libpq_environment(proxy, database, identity),
    )


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_selects_only(guard: Proxy, bench: Database, mode: str) -> None:
    done = pgbench(guard, bench, "--select-only", "--protocol", mode).ok()
    assert f"{4 * EACH}/{4 * EACH}" in done.out
    assert re.search(r"failed transactions: 0 ", done.out)
    recorded = [
        one for one in statements(guard, bench.name) if "abalance" in one["text"]
    ]
    assert len(recorded) == 4 * EACH
    assert {one["decision"] for one in recorded} == {"allow"}


def test_a_pipeline_of_selects(
    guard: Proxy, bench: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = tmp_path_factory.mktemp("pgbench") / "pipeline.sql"
    select = "SELECT abalance FROM pgbench_accounts WHERE aid = 1;\n"
    script.write_text("\\startpipeline\n" + select * 20 + "\\endpipeline\n")
    done = pgbench(guard, bench, "--protocol", "extended", "--file", str(script)).ok()
    assert f"{4 * EACH}/{4 * EACH}" in done.out


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_its_own_writing_script_is_refused(
    guard: Proxy, bench: Database, mode: str
) -> None:
    done = pgbench(guard, bench, "--protocol", mode)
    assert done.code != 0
    assert "UPDATE is not allowed for role developer" in done.err
    assert bench.fetch("SELECT count(*) FROM pgbench_history") == [(0,)]
    assert bench.fetch("SELECT count(*) FROM pgbench_accounts WHERE abalance <> 0") == [
        (0,)
    ]
    assert refused_texts(guard, bench.name)


@pytest.mark.parametrize("identity", ["developer", "migrator"])
def test_its_initialisation_is_refused(
    guard: Proxy, bench: Database, identity: str
) -> None:
    """It drops its tables first: nobody may, in production."""
    program = bin_dir(bench.cluster.major) / "pgbench"
    environment = libpq_environment(guard, bench, identity)
    done = run([program, "--initialize"], environment=environment)
    assert done.code != 0
    assert "DROP TABLE is not allowed" in done.err
    assert bench.fetch("SELECT count(*) FROM pgbench_accounts") == [(100_000,)]


def test_the_migrator_may_write_chosen_rows(guard: Proxy, bench: Database) -> None:
    options = ("--protocol", "prepared", "-c", "1")
    done = pgbench(guard, bench, *options, identity="migrator").ok()
    assert f"{EACH}/{EACH}" in done.out
    assert bench.fetch("SELECT count(*) FROM pgbench_history") == [(EACH,)]
