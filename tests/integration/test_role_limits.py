"""How many sessions and statements a role may have, and what is kept for others."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.demo.postgres import url
from tests.integration.limited import (
    connect,
    ends,
    policy_file,
    policy_text,
    refused_login,
)
from tests.integration.rig import Raw, events, eventually, metric, query
from tests.unit.session.playbook import SYNC, bind, execute, parse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

RULE = "limits.statements-per-minute"
DENIED = f'pgwarden_refusals_total{{role="developer",rule="{RULE}"}}'


def hits(proxy: Proxy, limit: str, role: str = "developer") -> float:
    return metric(proxy, f'pgwarden_limit_hits_total{{limit="{limit}",role="{role}"}}')


def add_identity(proxy: Proxy, name: str, password: str, role: str) -> None:
    """One more in the identities file, and a reload."""
    path = proxy.folder / "identities.yaml"
    document = yaml.safe_load(path.read_text())
    secret = make_secret(password, salt=secrets.token_bytes(SALT_LENGTH)).encode()
    document["identities"].append({"name": name, "role": role, "secret": secret})
    path.write_text(yaml.safe_dump(document))
    count = len(events(proxy, "reloaded"))
    proxy.reload()
    eventually(lambda: len(events(proxy, "reloaded")) > count)


# --- sessions -----------------------------------------------------------------


def test_the_migrator_always_gets_in(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    """A runaway pool takes what there is, but for the places that are reserved."""
    proxy = start_proxy(
        shop17.cluster,
        policy=policy_file(tmp_path, migrator={"reserved_slots": 2}),
        settings={"limits": {"sessions": 5}},
    )
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(proxy, shop17))
        for _ in range(20):
            said = refused_login(proxy, shop17)
            assert "the last 2 of pgwarden's 5 places are reserved" in said
            assert 'not for role "developer"' in said
            assert "rule limits.reserved-slots" in said
        assert hits(proxy, "reserved-slots") == 20
        with connect(proxy, shop17, "migrator") as first:
            # One of the two is in use, so one more is kept.
            assert "the last 1 of" in refused_login(proxy, shop17)
            with connect(proxy, shop17, "migrator"):
                assert "has 5 sessions already" in refused_login(proxy, shop17)
                assert "has 5 sessions" in refused_login(proxy, shop17, "migrator")
            assert first.execute("select 1").fetchone() == (1,)
        eventually(lambda: refused_login(proxy, shop17, "migrator") == "")
    eventually(lambda: refused_login(proxy, shop17) == "")


def test_sessions_of_a_role_and_of_an_identity(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    proxy = start_proxy(
        shop17.cluster,
        policy=policy_file(
            tmp_path, developer={"sessions": 3, "sessions_per_identity": 2}
        ),
    )
    add_identity(proxy, "ana", "her own", "developer")
    ana = url("ana", "her own", proxy.port, shop17.name)
    with connect(proxy, shop17), connect(proxy, shop17):
        said = refused_login(proxy, shop17)
        assert f'"{proxy.user()}" has 2 sessions already' in said
        assert "rule limits.sessions-per-identity" in said
        with psycopg.connect(ana):
            with pytest.raises(psycopg.OperationalError) as refused:
                psycopg.connect(ana)
            assert 'role "developer" has 3 sessions already' in str(refused.value)
            assert "rule limits.sessions" in str(refused.value)
            connect(proxy, shop17, "migrator").close()
    assert hits(proxy, "sessions") == 1
    assert hits(proxy, "sessions-per-identity") == 1
    eventually(lambda: [end for end in ends(proxy) if end["status"] == "refused"])
    refused_end = next(end for end in ends(proxy) if end["status"] == "refused")
    assert refused_end["sqlstate"] == "53300"
    assert refused_end["role"] == "developer"


# --- statements per minute ----------------------------------------------------


@pytest.fixture
def paced(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> Proxy:
    """Ten statements a minute for developers."""
    return start_proxy(
        shop17.cluster,
        policy=policy_file(tmp_path, developer={"statements_per_minute": 10}),
    )


def spend(connection: psycopg.Connection, statements: int = 10) -> None:
    for number in range(statements):
        assert connection.execute(f"select {number}".encode()).fetchone() == (number,)


def too_fast(connection: psycopg.Connection, statement: str, **how: Any) -> str:
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as refused:
        connection.execute(statement.encode(), **how)
    assert f"rule {RULE}, audit id " in (refused.value.diag.message_detail or "")
    return str(refused.value)


def test_one_statement_too_many(paced: Proxy, shop17: Database) -> None:
    with connect(paced, shop17) as connection:
        spend(connection)
        said = too_fast(connection, "select 11")
        assert (
            "over 10 statements a minute, which is the most for each identity" in said
        )
        assert "HINT:  wait " in said
        too_fast(connection, "select 12", prepare=True)
        too_fast(connection, ";")
        assert connection.info.transaction_status.name == "IDLE"
    for _ in range(2):
        # Another session of the same identity, at the same time or later.
        with connect(paced, shop17) as again:
            too_fast(again, "select 1")
    with connect(paced, shop17, "migrator") as other:
        spend(other, 30)
    records = [each for each in paced.records() if each.get("rule") == RULE]
    assert [each["decision"] for each in records] == ["deny"] * 5
    assert records[0]["text"] == "select 11"
    assert records[0]["sqlstate"] == "53400"
    assert metric(paced, DENIED) == 5


def test_a_transaction_can_be_ended(paced: Proxy, shop17: Database) -> None:
    with connect(paced, shop17) as first, connect(paced, shop17) as second:
        first.execute("begin")
        second.execute("begin")
        spend(first, 8)
        too_fast(first, "select 9")
        assert first.info.transaction_status.name == "INERROR"
        first.execute("rollback")
        assert second.info.transaction_status.name == "INTRANS"
        second.execute("commit")
        for connection in (first, second):
            assert connection.info.transaction_status.name == "IDLE"
            too_fast(connection, "begin")
            too_fast(connection, "rollback")  # of nothing


def test_what_is_counted(paced: Proxy, shop17: Database) -> None:
    with connect(paced, shop17) as connection:
        # Eleven in one text never pass, and take nothing from the others.
        too_fast(connection, "select 1;" * 11)
        connection.execute("select 1; select 2; select 3; select 4")
        too_fast(connection, "select 1;" * 7)
        connection.execute("select 1;" * 5)
        spend(connection, 1)
        too_fast(connection, "select 1")


def test_a_refused_statement_counts(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    text = policy_text({"statements_per_minute": 5}).replace(
        "in_quarantine: true}\n",
        "in_quarantine: true}\n"
        "    - {id: no-ddl, forbid: {kinds: [ddl]}, reason: not here}\n",
    )
    policy = tmp_path / "p.yaml"
    policy.write_text(text)
    proxy = start_proxy(shop17.cluster, policy=policy)
    with connect(proxy, shop17) as connection:
        for _ in range(5):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("drop table customers")
        too_fast(connection, "select 1")


def test_a_pipeline_and_a_portal(paced: Proxy, shop17: Database) -> None:
    """Fetches of one portal are one statement; after a refusal the rest is skipped."""
    rows = parse("select generate_series(1, 100)") + bind()
    with Raw(paced.dsn("developer", shop17.name)) as raw:
        raw.send(rows + b"".join(execute("", 1) for _ in range(50)) + SYNC)
        one = parse("select 'x'") + bind() + execute()
        raw.send((one + SYNC) * 9)
        raw.send(one + one + SYNC + query("select 'last'"))
        said = b""
        while said.count(b"Z\0\0\0\5I") < 12:
            said += raw.socket.recv(1 << 16)
    assert said.count(b"SELECT 1\0") == 9
    assert said.count(b"C53400\0") == 2


def test_a_reload_changes_it(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    policy = policy_file(tmp_path)
    proxy = start_proxy(shop17.cluster, policy=policy)

    def reload(limits: dict[str, Any]) -> None:
        count = len(events(proxy, "reloaded"))
        policy.write_text(policy_text(limits))
        proxy.reload()
        eventually(lambda: len(events(proxy, "reloaded")) > count)

    with connect(proxy, shop17) as connection:
        spend(connection, 20)
        reload({"statements_per_minute": 3})
        spend(connection, 3)
        too_fast(connection, "select 1")
        reload({"statements_per_minute": 6})
        spend(connection, 3)
        too_fast(connection, "select 1")
        reload({})
        spend(connection, 20)
    assert json.dumps(proxy.records()).count('"53400"') == 2
