"""Settings changed behind pgwarden's back: what Postgres reports ends the session.

A function that the policy takes for reading sets a parameter. Nothing in the text shows
it, and the upstream login is a superuser, so only the report is left. It comes after
the statement, at ReadyForQuery, and not for every setting: an alarm, no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.corpus.setting_forms import narrowed
from tests.fix_postgres import shop_copy
from tests.fix_proxy import Proxies, as_superuser, ungated_text
from tests.oracle.raw import RawClient
from tests.unit.session.playbook import error_fields, query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.turns,
]

SLY = """
    CREATE SCHEMA evil;
    CREATE OR REPLACE FUNCTION unaccent(text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN {body}; RETURN $1; END $$;
    GRANT EXECUTE ON FUNCTION unaccent(text) TO PUBLIC
"""
CALL = "SELECT unaccent('x')"


@pytest.fixture(scope="module")
def proxies(clusters: Clusters) -> Iterator[Proxies]:
    started = Proxies(clusters)
    yield started
    started.stop()


_strong: dict[int, Proxy] = {}


@pytest.fixture
def strong(proxies: Proxies, postgres: Cluster, tmp_path: Path) -> Proxy:
    if postgres.major not in _strong:
        policy = tmp_path / "narrow.yaml"
        text = ungated_text()
        policy.write_text(narrowed(text), "utf-8")
        _strong[postgres.major] = proxies.start(
            postgres, policy=policy, settings=as_superuser(postgres)
        )
    return _strong[postgres.major]


@pytest.fixture
def stage(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    with shop_copy(clusters, postgres) as database:
        yield database


@pytest.mark.parametrize(
    ("reported", "body"),
    [
        ("standard_conforming_strings", "SET standard_conforming_strings = off"),
        ("client_encoding", "PERFORM set_config('client_encoding', 'SJIS', false)"),
        (
            "default_transaction_read_only",
            "PERFORM set_config('default_transaction_read_only', 'off', false)",
        ),
        (
            "default_transaction_read_only",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        ),
        ("session_authorization", "SET SESSION AUTHORIZATION pgwarden_migrator"),
        ("is_superuser", "SET ROLE pgwarden_migrator"),
        ("search_path", "SET search_path = evil, public"),
    ],
)
def test_a_report_ends_the_session(
    strong: Proxy, stage: Database, reported: str, body: str
) -> None:
    stage.execute(SLY.format(body=body))
    with RawClient(strong.dsn("developer", stage.name)) as client:
        client.send(query(CALL))
        got = client.receive("Z")
        if reported == "search_path" and stage.cluster.major < 18:
            # Not reported there: the settings of readers' functions are lock (c)'s.
            assert not client.closed
            return
        (fatal,) = (error_fields(body) for kind, body in got if kind == "E")
        assert fatal["S"] == "FATAL"
        assert fatal["C"] == "08P01"
        said = fatal["M"].split('"')[1]
        client.receive()
        assert client.closed
    alarms = [
        record["detail"]
        for record in strong.records()
        if "parameter-alarm" in record.values()
    ]
    assert alarms[-1]["parameter"] == said
    # Who is someone else may also be a superuser no more: either comes first.
    assert said == reported or {said, reported} == {
        "session_authorization",
        "is_superuser",
    }


def test_what_a_function_sets_for_itself_is_no_alarm(
    strong: Proxy, stage: Database
) -> None:
    """What is set for the transaction is gone by the report."""
    stage.execute(
        SLY.format(
            body="PERFORM set_config('standard_conforming_strings', 'off', true),"
            "set_config('search_path', 'evil', true)"
        )
    )
    with RawClient(strong.dsn("developer", stage.name)) as client:
        client.send(query(CALL) + query("SELECT 1"))
        assert [kind for kind, _ in client.receive("Z", times=2)].count("E") == 0


def test_what_is_stored_does_not_reach_a_session(guard: Proxy, shop: Database) -> None:
    """The startup packet wins over what ALTER ROLE and ALTER DATABASE say."""
    settings = {
        "standard_conforming_strings": "on",
        "client_encoding": "UTF8",
        "default_transaction_read_only": "on",
    }
    role = shop.logins.reader.user
    values = {**dict.fromkeys(settings, "off"), "client_encoding": "SJIS"}
    for name, value in values.items():
        shop.execute(
            f"ALTER ROLE {role} IN DATABASE {shop.name} SET {name} = '{value}'"
        )
    try:
        dsn = guard.dsn("developer", shop.name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for text in ("SELECT 1", "RESET ALL", "DISCARD ALL"):
                connection.execute(text)
                shown = {
                    name: connection.execute(f"SHOW {name}".encode()).fetchone()
                    for name in settings
                }
                assert shown == {name: (value,) for name, value in settings.items()}
    finally:
        shop.execute(f"ALTER ROLE {role} IN DATABASE {shop.name} RESET ALL")


def test_row_security_off_shows_no_more_rows(guard: Proxy, shop: Database) -> None:
    """Why the shipped policy permits it: pg_dump wants the error."""
    shop.execute(
        "CREATE TABLE secret AS SELECT 1 AS id; GRANT SELECT ON secret TO PUBLIC;"
        "ALTER TABLE secret ENABLE ROW LEVEL SECURITY"
    )
    dsn = guard.dsn("developer", shop.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        look = "SELECT * FROM secret"
        assert connection.execute(look).fetchall() == []
        connection.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(look)


def test_two_texts_at_once_are_faster_than_a_report(
    guard: Proxy, shop: Database
) -> None:
    """The report comes too late for what is on its way: then lock (c) stands alone."""
    shop.execute(
        SLY.format(
            body="SET standard_conforming_strings = off;"
            "SET default_transaction_read_only = off"
        )
        + "; CREATE TABLE prey AS SELECT 1 AS id; GRANT SELECT ON prey TO PUBLIC"
    )
    with RawClient(guard.dsn("developer", shop.name)) as client:
        client.send(query(CALL) + query(r"SELECT 'a\''; DELETE FROM prey; --'"))
        client.receive("Z", times=2)
        client.receive("Z", times=2)
        assert client.closed
    assert shop.fetch("SELECT id FROM prey") == [(1,)]
