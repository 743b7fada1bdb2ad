"""Becoming somebody else upstream: SET ROLE and SET SESSION AUTHORIZATION, by writers.

Readers are in the corpus of attacks. Here are the roles that write: production's
migrator, and staging's developer, who may do nearly everything. Their upstream login is
a superuser, so Postgres itself permits each of these, which the first test shows; only
the decision, and the alarm behind it, stand in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.shipped import policy_path
from tests.fix_postgres import shop_copy
from tests.fix_proxy import Proxies, as_superuser
from tests.oracle.wire import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.turns,
]

FORMS = ("simple", "extended", "named", "pipelined", "sql_prepared")
WHO = "SELECT current_user, session_user"
OTHER = "stranger"
"""Not one of the upstream logins: Flyway may go back to the role that it came with."""
WAYS = (
    f"SET ROLE {OTHER}",
    f"SET ROLE '{OTHER}'",
    f"SET LOCAL ROLE {OTHER}",
    f"SET SESSION ROLE {OTHER}",
    f"SET role = '{OTHER}'",
    f'SET "role" TO {OTHER}',
    f"SET SESSION AUTHORIZATION {OTHER}",
    f"SET LOCAL SESSION AUTHORIZATION {OTHER}",
    f"SET session_authorization = '{OTHER}'",
    f"SET SESSION SESSION AUTHORIZATION '{OTHER}'",
    f"SELECT set_config('role', '{OTHER}', false)",
    f"SELECT set_config('ro' || 'le', '{OTHER}', false)",
    f"SELECT pg_catalog.set_config('session_authorization', '{OTHER}', false)",
    f"UPDATE pg_settings SET setting = '{OTHER}' WHERE name = 'role'",
    f"SET search_path = public; SET ROLE {OTHER}",
    f"/* */ SET -- x\n ROLE {OTHER}",
)
CODE = (
    f"DO $$ BEGIN SET ROLE {OTHER}; END $$",
    f"DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION {OTHER}'; END $$",
    f"DO $$ BEGIN PERFORM set_config('role', '{OTHER}', false); END $$",
)
"""Bodies of code, into which no policy looks: production refuses DO as a whole."""
STORED = (
    f"ALTER ROLE CURRENT_USER SET role = '{OTHER}'",
    f"ALTER ROLE postgres SET role TO {OTHER}",
    f"ALTER DATABASE <DB> SET role = '{OTHER}'",
    f"ALTER ROLE ALL SET session_authorization = '{OTHER}'",
    f"ALTER SYSTEM SET role = '{OTHER}'",
    f"CREATE FUNCTION spawn() RETURNS text LANGUAGE sql SET role = '{OTHER}'"
    " AS 'SELECT current_user::text'",
    f"CREATE FUNCTION spawn() RETURNS text LANGUAGE sql SET session_authorization"
    f" = '{OTHER}' AS 'SELECT current_user::text'",
)
"""What would take effect later, or for others."""


@pytest.fixture(scope="module")
def proxies(clusters: Clusters) -> Iterator[Proxies]:
    started = Proxies(clusters)
    yield started
    started.stop()


_strong: dict[tuple[int, str], Proxy] = {}


@pytest.fixture(params=["production-migrator", "staging-developer"])
def writer(
    request: pytest.FixtureRequest, proxies: Proxies, postgres: Cluster
) -> tuple[Proxy, str]:
    """A pgwarden whose writers are superusers upstream, and the name of one."""
    policy, _, identity = request.param.partition("-")
    key = (postgres.major, policy)
    if key not in _strong:
        strong = dict(as_superuser(postgres)["upstream"]["logins"]["reader"])
        _strong[key] = proxies.start(
            postgres,
            policy=None if policy == "production" else policy_path(policy),
            settings={"upstream": {"logins": {"reader": strong, "migrator": strong}}},
        )
    return _strong[key], identity


@pytest.fixture
def stage(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    with shop_copy(clusters, postgres) as database:
        database.execute(
            f"DO $$ BEGIN CREATE ROLE {OTHER}; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        yield database


def test_postgres_itself_would_do_it(stage: Database) -> None:
    """Otherwise nothing of the rest were a test."""
    for sql in (WAYS[0], WAYS[6], WAYS[10], *CODE):
        with Session(stage.dsn) as superuser:
            assert not superuser.simple(sql).sqlstate, sql
            found = superuser.simple(WHO).rows[0]
            assert OTHER.encode() in found, sql


def test_nobody_becomes_somebody_else(
    writer: tuple[Proxy, str], stage: Database
) -> None:
    proxy, identity = writer
    for sql in (*WAYS, *CODE) if identity == "migrator" else WAYS:
        for form in FORMS:
            with Session(proxy.dsn(identity, stage.name)) as session:
                answer = getattr(session, form)(sql)
                assert answer.sqlstate, (form, sql)
                assert "audit id" in answer.message, (form, sql, answer)
                session.simple("ROLLBACK")
                rows = session.simple(WHO).rows
                assert rows == [(b"postgres", b"postgres")], (form, sql)


def test_nor_for_later_or_for_others(
    writer: tuple[Proxy, str], stage: Database
) -> None:
    proxy, identity = writer
    settings = "SELECT count(*) FROM pg_db_role_setting s, unnest(s.setconfig) c"
    settings += " WHERE c ~ '^(role|session_authorization)='"
    for sql in STORED:
        with Session(proxy.dsn(identity, stage.name)) as session:
            answer = session.simple(sql.replace("<DB>", stage.name))
            assert "audit id" in answer.message, (sql, answer)
        assert stage.fetch(settings) == [(0,)], sql
        assert stage.fetch("SELECT count(*) FROM pg_proc WHERE proname = 'spawn'") == [
            (0,)
        ]


@pytest.mark.parametrize("name", ["role", "session_authorization", "ROLE"])
def test_nor_by_the_startup_packet(
    writer: tuple[Proxy, str], stage: Database, name: str
) -> None:
    proxy, identity = writer
    with pytest.raises(psycopg.OperationalError, match="not allowed"):
        psycopg.connect(proxy.dsn(identity, stage.name), options=f"-c {name}={OTHER}")


def test_nor_by_code_that_was_there(writer: tuple[Proxy, str], stage: Database) -> None:
    """Who may call a function of the database's may not stay what it made of him."""
    stage.execute(
        "CREATE FUNCTION become() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
        f"PERFORM set_config('session_authorization', '{OTHER}', false); "
        "RETURN current_user; END $$"
    )
    proxy, identity = writer
    with Session(proxy.dsn(identity, stage.name)) as session:
        answer = session.simple("SELECT become()")
        # Refused, or the session is over at once: it never runs another statement.
        if answer.sqlstate == "42501":
            assert session.simple(WHO).rows == [(b"postgres", b"postgres")]
        else:
            assert answer.sqlstate == "08006"
            assert not session.is_open
            last = [each for each in proxy.records() if each["kind"] == "session.end"]
            assert "session_authorization" in str(last[-1])


def test_code_reaches_no_further_than_the_upstream_login(
    proxies: Proxies, postgres: Cluster, stage: Database
) -> None:
    """Staging lets its developers run code. What holds then is Postgres: the login is a
    member of nothing, and the doctor counts whatever a membership would bring."""
    proxy = proxies.start(postgres, policy=policy_path("staging"))
    user = stage.logins.migrator.user.encode()
    for sql in CODE:
        with Session(proxy.dsn("developer", stage.name)) as session:
            answer = session.simple(sql)
            assert answer.sqlstate == "42501", (sql, answer)
            assert session.simple(WHO).rows == [(user, user)]
