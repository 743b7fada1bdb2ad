"""The gate when something is wrong: proofs, keys, clocks, the store, time, a kill."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.fix_proxy import Proxies
from tests.integration.proving import Guards, Pair, Side, resigned
from tests.integration.rig import eventually, restart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters

pytestmark = pytest.mark.timeout(180)

DROPS = "ALTER TABLE customer DROP COLUMN balance"
DOUBLES = "UPDATE customer SET balance = balance * 2"
HISTORY = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"


def row(version: str) -> str:
    return f"INSERT INTO alembic_version (version_num) VALUES ('{version}')"


def run(side: Side, *texts: str) -> list[str]:
    """Run statements as the migrator; what pgwarden has told meanwhile."""
    told: list[str] = []
    with psycopg.connect(side.dsn, autocommit=True) as session:
        session.add_notice_handler(lambda n: told.append(n.message_primary or ""))
        for text in texts:
            session.execute(text.encode())
    return told


def migrate(side: Side, body: str = DROPS, version: str = "a1") -> list[str]:
    """One migration as Alembic runs it; pgwarden's notices."""
    return run(side, "BEGIN", body, row(version), "COMMIT")


def refusal(side: Side, body: str = DROPS, version: str = "a1") -> psycopg.Error:
    """Why a migration does not pass; nothing of it has."""
    before = state(side)
    with pytest.raises(psycopg.Error) as caught:
        migrate(side, body, version)
    assert state(side) == before
    return caught.value


def state(side: Side) -> list[tuple[object, ...]]:
    """All that a migration could have changed."""
    columns = side.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    rows = side.fetch("SELECT md5(string_agg(c::text, '' ORDER BY id)) FROM customer c")
    return columns + rows + side.fetch("SELECT version_num FROM alembic_version")


def uses(side: Side) -> list[str]:
    """What the ledger says of runs in this database, in order."""
    return [
        action.removeprefix("migration.")
        for action, detail in side.history()
        if action.startswith("migration.") and detail.get("database") == side.database
    ]


@pytest.fixture(scope="module")
def guards(
    tmp_path_factory: pytest.TempPathFactory, clusters: Clusters
) -> Iterator[Guards]:
    proxies = Proxies(clusters)
    cluster = clusters.get(17)
    folder = tmp_path_factory.mktemp("faults")
    gates = {"deploy_wait_s": 1, "lock_timeout_s": 1}
    yield Guards(folder, cluster, cluster, proxies.start, gates=gates)
    proxies.stop()


@pytest.fixture
def both(guards: Guards) -> Pair:
    """Two databases with an empty history each."""
    both = guards.fresh()
    for side in (both.staging, both.production):
        side.execute(f"SET ROLE pgwarden_migrator; {HISTORY}")
    return both


def test_what_staging_has_proven_passes_and_is_told(both: Pair) -> None:
    migrate(both.staging)
    [proof] = both.approve(1)
    told = migrate(both.production)
    assert any(proof[:12] in each and "position in the WAL" in each for each in told)
    assert uses(both.production) == ["begun", "committing", "committed"]
    assert state(both.production) == state(both.staging)


def test_without_an_approval_it_does_not(both: Pair) -> None:
    migrate(both.staging)
    both.carry()
    error = refusal(both.production)
    assert error.diag.sqlstate == "42501"
    assert "lacks 1 of 1 approvals" in str(error)


def test_it_passes_once(both: Pair) -> None:
    migrate(both.staging, DOUBLES)
    both.approve(1)
    migrate(both.production, DOUBLES)
    assert "was used" in str(refusal(both.production, DOUBLES, "a1"))


def test_rolled_back_it_may_be_run_again(both: Pair) -> None:
    migrate(both.staging, DOUBLES)
    both.approve(1)
    before = state(both.production)
    run(both.production, "BEGIN", DOUBLES, row("a1"), "ROLLBACK")
    assert state(both.production) == before
    run(both.production, "BEGIN", DOUBLES, "ROLLBACK")
    with psycopg.connect(both.production.dsn) as session:
        session.execute(DOUBLES.encode())
        session.close()  # in the middle
    eventually(lambda: uses(both.production)[-1:] == ["rolled-back"])
    migrate(both.production, DOUBLES)
    assert state(both.production) != before
    assert uses(both.production).count("committed") == 1


def test_half_of_it_is_not_committed(both: Pair) -> None:
    run(both.staging, "BEGIN", DOUBLES, DROPS, row("a1"), "COMMIT")
    both.approve(1)
    before = state(both.production)
    with pytest.raises(psycopg.Error, match="1 of 2 statements"):
        run(both.production, "BEGIN", DOUBLES, "COMMIT")
    with pytest.raises(psycopg.Error):
        run(
            both.production, "BEGIN", DOUBLES, "ROLLBACK; " + DROPS, row("a1"), "COMMIT"
        )
    assert state(both.production) == before


# --- proofs -------------------------------------------------------------------


@contextmanager
def opened(store: Path) -> Iterator[sqlite3.Connection]:
    """The ledger's own file, past all that keeps it whole."""
    with sqlite3.connect(store) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f'DROP TRIGGER "{name}"')
        yield connection
        # What is known of the ledger is kept for some seconds, unless this changes.
        connection.execute("UPDATE state SET generation = hex(randomblob(16))")


@pytest.mark.parametrize("what", ["statement", "database", "before"])
def test_a_proof_that_was_changed_is_worth_nothing(both: Pair, what: str) -> None:
    other = "DELETE FROM orders"
    migrate(both.staging)
    migrate(both.staging, other, "a2")
    first, second = both.approve(2)
    store = both.folder / "production.db"
    with opened(store) as ledger:
        bodies = dict(ledger.execute("SELECT id, body FROM proofs WHERE kind='proof'"))
        mine, its = bytes(bodies[first]), bytes(bodies[second])
        changed = mine.replace(b"a1", b"a9") if what == "database" else its
        if what == "before":
            changed = mine.replace(b'"committed"', b'"failed"')
        ledger.execute("UPDATE proofs SET body = ? WHERE id = ?", (changed, first))
    error = refusal(both.production, other if what == "statement" else DROPS)
    assert error.diag.sqlstate in {"42501", "55000"}
    with opened(store) as ledger:
        ledger.execute("UPDATE proofs SET body = ? WHERE id = ?", (mine, first))
    migrate(both.production)


def test_a_proof_of_another_database_is_worth_nothing(
    both: Pair, guards: Guards
) -> None:
    other = guards.fresh()
    other.production.execute(f"SET ROLE pgwarden_migrator; {HISTORY}")
    migrate(both.staging)
    both.approve(1)
    assert refusal(other.production).diag.sqlstate == "42501"
    migrate(both.production)


def test_against_another_schema_it_does_not_pass(both: Pair) -> None:
    migrate(both.staging)
    both.approve(1)
    both.production.execute("CREATE TABLE public.surprise (id int)")
    error = refusal(both.production)
    assert error.diag.sqlstate == "55000"
    assert "table public.surprise is unexpected" in str(error)
    both.production.execute("DROP TABLE public.surprise")
    migrate(both.production)


def test_under_other_settings_it_does_not_pass(both: Pair) -> None:
    migrate(both.staging)
    both.approve(1)
    before = state(both.production)
    for setting in (
        "SET search_path = pg_catalog, public",
        "SET timezone = 'Asia/Tokyo'",
    ):
        with pytest.raises(psycopg.Error, match="when it was proven"):
            run(both.production, setting, "BEGIN", DROPS, row("a1"), "COMMIT")
        with pytest.raises(psycopg.Error, match="when it was proven"):
            run(both.production, "BEGIN", setting.replace("SET", "SET LOCAL"), DROPS)
    assert state(both.production) == before


# --- keys and clocks ----------------------------------------------------------


def test_keys_are_rotated_and_distrusted(both: Pair) -> None:
    migrate(both.staging)
    both.approve(1)
    keys, new = both.folder / "keys.yaml", both.folder / "second.key"
    saved, old = keys.read_text(), both.staging.key()
    try:
        both.staging.pgwarden("migration", "keys", "new", str(new))
        both.staging.pgwarden("migration", "keys", "retire", old)
        run(both.production, "BEGIN", DROPS, "ROLLBACK")  # signed before: it counts
        both.staging.pgwarden("migration", "keys", "retire", old, "--distrust")
        assert refusal(both.production).diag.sqlstate == "42501"
    finally:
        keys.write_text(saved)
    migrate(both.production)


@pytest.mark.parametrize("days", [1, -400])
def test_clocks(both: Pair, days: int) -> None:
    """What is dated ahead, or before its key, is not believed, whoever was wrong."""
    migrate(both.staging)
    [proof] = [p["id"] for p in both.listed() if p["state"] == "recorded"]
    both.carry()
    resigned(both, proof, days=days)
    error = refusal(both.production)
    assert error.diag.sqlstate == "42501"
    assert days < 0 or "yet to come" in str(error)


# --- store --------------------------------------------------------------------


def test_without_the_ledger_nothing_passes(both: Pair) -> None:
    migrate(both.staging)
    both.approve(1)
    store = both.folder / "production.db"
    away = store.with_suffix(".away")
    session = psycopg.connect(both.production.dsn, autocommit=True)
    session.execute("SELECT 1")
    store.rename(away)
    try:
        session.execute("BEGIN")
        with pytest.raises(psycopg.Error) as caught:
            session.execute(DROPS.encode())
        assert caught.value.diag.sqlstate == "55000"
    finally:
        away.rename(store)
        session.close()
    migrate(both.production)


def test_a_revocation_counts_at_once(both: Pair) -> None:
    migrate(both.staging)
    [proof] = both.approve(1)
    run(both.production, "BEGIN", DROPS, "ROLLBACK")
    both.production.pgwarden("migration", "revoke", proof)
    assert "revoked" in str(refusal(both.production))


# --- two at once --------------------------------------------------------------


def test_a_second_deploy_waits_and_gets_a_clear_answer(both: Pair) -> None:
    migrate(both.staging, DOUBLES)
    migrate(both.staging, DROPS, "a2")
    both.approve(2)
    with psycopg.connect(both.production.dsn, autocommit=True) as first:
        first.execute("BEGIN")
        first.execute(DOUBLES.encode())
        with psycopg.connect(both.production.dsn, autocommit=True) as second:
            told: list[str] = []
            second.add_notice_handler(lambda n: told.append(n.message_primary or ""))
            with pytest.raises(psycopg.Error) as caught:
                second.execute(DOUBLES.encode())
            # the ledger has it as begun already, or the lock keeps it out
            assert caught.value.diag.sqlstate in {"42501", "55000"}
        first.execute(row("a1").encode())
        first.execute("COMMIT")
    migrate(both.production, DROPS, "a2")


def test_its_turn_comes_when_the_first_has_ended(both: Pair) -> None:
    for number, body in enumerate((DOUBLES, "UPDATE orders SET customer = 1"), 1):
        migrate(both.staging, body, f"a{number}")
    both.approve(2)
    other = "UPDATE orders SET customer = 1"
    with psycopg.connect(both.production.dsn, autocommit=True) as first:
        first.execute("BEGIN")
        first.execute(DOUBLES.encode())
        waits = threading.Thread(target=migrate, args=(both.production, other, "a2"))
        waits.start()
        time.sleep(0.3)  # it is waiting by now, or will not have to
        first.execute(row("a1").encode())
        first.execute("COMMIT")
    waits.join(60)
    assert both.production.value("SELECT count(*) FROM alembic_version") == 2


# --- time ---------------------------------------------------------------------


def test_what_is_made_concurrently_has_no_time_out(both: Pair) -> None:
    index = "CREATE INDEX CONCURRENTLY by_name ON customer (name)"
    run(both.staging, index, row("a1"))
    both.approve(1)
    with psycopg.connect(
        both.production.cluster.dsn(both.production.database)
    ) as holds:
        holds.execute("LOCK TABLE customer IN ROW EXCLUSIVE MODE")
        deploys = threading.Thread(target=run, args=(both.production, index, row("a1")))
        deploys.start()
        time.sleep(1.6)  # longer than the lock_timeout of the settings
        assert deploys.is_alive()
        holds.commit()
    deploys.join(60)
    assert both.production.value(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass"
    )
    with psycopg.connect(both.production.dsn) as session:
        assert session.execute("SHOW lock_timeout").fetchall() == [("1s",)]


def test_what_failed_halfway_keeps_all_back_until_it_is_mended(both: Pair) -> None:
    """An index that could not be made CONCURRENTLY is there all the same, invalid."""
    index = "CREATE UNIQUE INDEX CONCURRENTLY by_name ON customer (name)"
    run(both.staging, index, row("a1"))
    migrate(both.staging, DROPS, "a2")
    both.approve(2)
    both.production.execute("UPDATE customer SET name = 'c1' WHERE id = 2")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(both.production, index)
    assert both.production.value(
        "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass"
    )
    with pytest.raises(psycopg.Error, match=r"index public\.by_name is unexpected"):
        run(both.production, index)
    assert "index public.by_name is changed" in str(
        refusal(both.production, DROPS, "a2")
    )
    both.production.execute(
        "DROP INDEX by_name; UPDATE customer SET name = 'c2' WHERE id = 2"
    )
    run(both.production, index, row("a1"))
    migrate(both.production, DROPS, "a2")
    assert state(both.production) == state(both.staging)


def test_a_schema_that_is_another_behind_it_is_not_committed(both: Pair) -> None:
    migrate(both.staging)
    both.approve(1)
    before = state(both.production)
    with psycopg.connect(both.production.dsn, autocommit=True) as session:
        session.execute("BEGIN")
        session.execute(DROPS.encode())
        both.production.execute("CREATE TABLE public.surprise (id int)")
        session.execute(row("a1").encode())
        with pytest.raises(psycopg.Error, match="not what it was on staging"):
            session.execute("COMMIT")
        session.execute("ROLLBACK")
    both.production.execute("DROP TABLE public.surprise")
    assert state(both.production) == before
    migrate(both.production)


# --- killed -------------------------------------------------------------------


def test_killed_in_the_middle_it_may_be_run_again(
    tmp_path: Path, clusters: Clusters, postgres17: Cluster
) -> None:
    proxies = Proxies(clusters)
    try:
        guards = Guards(tmp_path, postgres17, postgres17, proxies.start)
        both = guards.fresh()
        for side in (both.staging, both.production):
            side.execute(f"SET ROLE pgwarden_migrator; {HISTORY}")
        migrate(both.staging, DOUBLES)
        run(both.staging, DROPS, row("a2"))
        both.approve(2)
        before = state(both.production)
        killed = psycopg.connect(both.production.dsn, autocommit=True)
        killed.execute("BEGIN")
        killed.execute(DOUBLES.encode())
        both.production.proxy.kill()
        killed.close()
        assert state(both.production) == before
        restart(both.production.proxy)
        migrate(both.production, DOUBLES)
        assert uses(both.production) == [
            *("begun", "rolled-back"), *("begun", "committing", "committed")
        ]  # fmt: skip
        # Outside of a transaction nobody can tell: a person says so.
        killed = psycopg.connect(both.production.dsn, autocommit=True)
        killed.execute(DROPS.encode())
        both.production.proxy.kill()
        killed.close()
        restart(both.production.proxy)
        assert "settle" in str(refusal(both.production, DROPS, "a2"))
    finally:
        proxies.stop()
