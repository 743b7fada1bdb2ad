"""What pgwarden learns from each database's catalog, and when, on the wire."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.integration.rig import events, eventually, metric

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

STABLE = "CREATE FUNCTION {} RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'"
VOLATILE = "CREATE OR REPLACE FUNCTION {} RETURNS int LANGUAGE sql AS 'SELECT 1'"
SECRETLY = """
    CREATE TABLE struck (n int);
    CREATE FUNCTION strike() RETURNS int LANGUAGE sql AS
        'INSERT INTO public.struck VALUES (1) RETURNING n';
    CREATE VIEW quiet AS SELECT strike() AS n;
    GRANT SELECT ON quiet TO PUBLIC;
"""


@pytest.fixture
def guard(start_proxy: StartProxy, shop: Database) -> Proxy:
    """Looks at the catalog every second."""
    return start_proxy(
        shop.cluster, settings={"upstream": {"catalog": {"refresh_s": 1}}}
    )


def as_superuser(shop: Database, text: str) -> None:
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute(text)


def developer(guard: Proxy, shop: Database) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        guard.dsn("developer", shop.name), autocommit=True, prepare_threshold=0
    )


def passes(connection: psycopg.Connection[tuple[object, ...]], text: str) -> bool:
    try:
        connection.execute(text)
    except psycopg.errors.InsufficientPrivilege as refusal:
        if not str(refusal.diag.message_detail).startswith("rule "):
            raise  # Postgres' own: the wrong reason
        return False
    return True


def test_the_first_statement_is_judged_by_the_catalog(
    guard: Proxy, shop: Database
) -> None:
    as_superuser(
        shop, STABLE.format("f()") + ";" + VOLATILE.format("g()") + ";" + SECRETLY
    )
    with developer(guard, shop) as session:
        assert passes(session, "SELECT f()")
        assert not passes(session, "SELECT g()")
        assert not passes(session, "SELECT * FROM quiet")


def test_a_prepared_statement_is_judged_anew_when_the_function_changes(
    guard: Proxy, shop: Database
) -> None:
    as_superuser(shop, STABLE.format("f()"))
    with developer(guard, shop) as session:
        session.execute("PREPARE p AS SELECT f()")
        assert passes(session, "EXECUTE p")
        assert passes(session, "SELECT f()")
        as_superuser(shop, "ALTER FUNCTION f() VOLATILE")
        assert eventually(lambda: not passes(session, "SELECT f()"))
        assert not passes(session, "EXECUTE p")


def test_what_a_migration_adds_is_known_when_its_session_is_over(
    start_proxy: StartProxy, shop: Database
) -> None:
    guard = start_proxy(
        shop.cluster, settings={"upstream": {"catalog": {"refresh_s": 3600}}}
    )
    with developer(guard, shop) as session:
        assert not passes(session, "SELECT fresh()")
        with psycopg.connect(
            guard.dsn("migrator", shop.name), autocommit=True
        ) as migration:
            migration.execute(STABLE.format("fresh()"))
        as_superuser(shop, "GRANT EXECUTE ON FUNCTION fresh() TO PUBLIC")
        assert eventually(lambda: passes(session, "SELECT fresh()"))


def test_without_a_catalog_the_verdicts_are_strict(
    start_proxy: StartProxy, shop: Database
) -> None:
    as_superuser(shop, STABLE.format("f()"))
    wrong = {"user": shop.logins.reader.user, "password_env": "PGWARDEN_SECRET_WRONG"}
    guard = start_proxy(
        shop.cluster,
        settings={
            "upstream": {"catalog": {"login": "wrong"}, "logins": {"wrong": wrong}}
        },
        environment={"PGWARDEN_SECRET_WRONG": "not the password"},
    )
    with developer(guard, shop) as session:
        assert passes(session, "SELECT count(*) FROM orders")
        assert not passes(session, "SELECT f()")
    (told,) = events(guard, "catalog_not_loaded")
    assert told["database"] == shop.name
    assert "strictly" in told["judged"]
    assert "not the password" not in json.dumps(told)
    assert metric(guard, 'pgwarden_catalog_loads_total{result="failed"}') >= 1


def test_a_database_that_is_gone_is_forgotten(guard: Proxy, shop: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(guard.dsn("developer", "nowhere"))
    assert not events(guard, "catalog_not_loaded")


def test_offline_the_exported_catalog_gives_the_answer_of_the_wire(
    guard: Proxy, shop: Database, tmp_path: Path
) -> None:
    as_superuser(shop, STABLE.format("f()") + ";" + SECRETLY)
    exported = tmp_path / "shop.json"
    pgwarden = [sys.executable, "-m", "proxy.cli.main"]
    subprocess.run(
        [
            *(*pgwarden, "catalog", "export", shop.name),
            *("--config", str(guard.settings_path), "-o", str(exported)),
        ],
        check=True,
    )
    texts = ["SELECT f()", "TABLE quiet", "SELECT g()", "SELECT count(*) FROM orders"]
    lines = "".join(json.dumps({"id": n, "sql": t}) + "\n" for n, t in enumerate(texts))
    said = subprocess.run(
        [*pgwarden, "check", "--jsonl", "-", "--catalog", str(exported)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    offline = [json.loads(line)["decision"] == "allow" for line in said.splitlines()]
    with developer(guard, shop) as session:
        assert offline == [passes(session, text) for text in texts]
    assert offline == [True, False, False, True]


def test_an_exported_catalog_that_is_none_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"database": 1}')
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy.cli.main", "check"),
            *("--catalog", str(broken), "-"),
        ],
        input="SELECT 1",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "not an exported catalog" in done.stderr
