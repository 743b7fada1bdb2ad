"""A column that a policy forbids is never told, whichever way a statement asks for it.

Each statement is run on a bare 15, 17 and 18 first: the secret must come back, or the
test shows nothing. What asks for other columns passes, with a catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.catalog.resolve import Resolver
from proxy.cli.offline import OfflineSession
from proxy.policy.documents import load as load_policy
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from tests.oracle.test_catalog import catalog_of

if TYPE_CHECKING:
    from proxy.policy.decision import Decision
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.oracle]

SECRET = "ana@example.com"
WORLD = f"""
CREATE SCHEMA hr;
CREATE TABLE hr.users (id int PRIMARY KEY, name text, email text);
CREATE TABLE hr.logins (id int PRIMARY KEY, user_id int, email text);
CREATE TABLE hr.free (id int PRIMARY KEY, email text);
INSERT INTO hr.users VALUES (1, 'Ana', '{SECRET}');
INSERT INTO hr.logins VALUES (7, 1, '');
INSERT INTO hr.free VALUES (1, 'nobody@example.com');
CREATE VIEW hr.cards AS SELECT id, name, email AS address FROM hr.users;
CREATE VIEW hr.badges AS SELECT * FROM hr.cards;
CREATE VIEW hr.plain AS SELECT id, name FROM hr.users;
"""

POLICY = """
version: 1
name: columns
roles:
  developer:
    login: permit
    upstream: reader
    rules:
      - id: read
        permit:
          kinds: [read, copy_out, cursor, execute, session]
          actions: ["*"]
          flags: ["*"]
          functions: [{effects: [none]}]
          relations: [{access: read}]
      - id: no-addresses
        forbid:
          relations: [{access: read, names: [hr.users], columns: [email, "secret*"]}]
        reason: addresses are personal
  narrow:
    login: permit
    upstream: reader
    rules:
      - id: some
        permit:
          kinds: [read]
          actions: [select]
          relations: [{access: read, names: [hr.users], columns: [id, name]}]
"""

LEAKS = [
    "SELECT email FROM hr.users",
    "SELECT * FROM hr.users",
    "TABLE hr.users",
    "SELECT users.* FROM hr.users",
    "SELECT hr.users.email FROM hr.users",
    "SELECT u FROM hr.users u",
    "SELECT users FROM hr.users",
    "SELECT u::text FROM hr.users u",
    "SELECT row_to_json(u) FROM hr.users u",
    "SELECT (u).email FROM hr.users u",
    "SELECT email(u) FROM hr.users u",
    "SELECT x.e FROM (SELECT email AS e FROM hr.users) x",
    "SELECT c FROM hr.users AS u (a, b, c)",
    "SELECT (SELECT email FROM hr.users LIMIT 1)",
    "SELECT (SELECT u.email) FROM hr.users u",
    "WITH w AS (SELECT * FROM hr.users) SELECT email FROM w",
    "WITH w (a, b, c) AS (TABLE hr.users) SELECT c FROM w",
    "SELECT max(email) FROM hr.users",
    "SELECT array_agg(u) FROM hr.users u",
    "SELECT string_agg(email, ',') OVER () FROM hr.users",
    "SELECT j.* FROM (hr.users JOIN hr.logins ON user_id = users.id) AS j (a, b, c)",
    "SELECT * FROM hr.logins JOIN hr.users ON user_id = users.id",
    "SELECT u.* FROM hr.logins, LATERAL (SELECT * FROM hr.users WHERE id = user_id) u",
    "SELECT id::text FROM hr.free UNION SELECT email FROM hr.users",
    "SELECT address FROM hr.cards",
    "SELECT * FROM hr.badges",
    "SELECT b FROM hr.badges b",
    "VALUES ((SELECT email FROM hr.users))",
    "SELECT coalesce(NULL, email) FROM hr.users ORDER BY id",
    "SELECT CASE WHEN true THEN email END FROM hr.users",
    "SELECT ARRAY(SELECT email FROM hr.users)",
    "SELECT * FROM hr.users NATURAL JOIN (SELECT 1 AS id) one",
    "SELECT (ROW(u.*)).f3 FROM hr.users u",
    "SELECT u.email FROM ONLY hr.users u TABLESAMPLE bernoulli (100)",
    "SELECT * FROM (VALUES (1)) v (n), hr.users",
    "SELECT DISTINCT ON (email) email FROM hr.users",
    'SELECT U&"em\\0061il" FROM hr.users',
    "SELECT c FROM (hr.free CROSS JOIN hr.users) AS j (x, y, a, b, c)",
    "SELECT c FROM (hr.free CROSS JOIN (hr.users CROSS JOIN hr.logins) AS k (a, b, c))",
    "SELECT j.email FROM (hr.users u CROSS JOIN hr.logins l (x, y, z)) AS j "
    "WHERE EXISTS (SELECT FROM (SELECT 1) AS j)",
    "SELECT j.email FROM (hr.users u CROSS JOIN hr.logins l (x, y, z)) AS j, "
    "(SELECT FROM hr.free AS j) q",
    "SELECT j.* FROM (hr.users u CROSS JOIN hr.logins l) AS j (a, b, c) "
    "WHERE EXISTS (SELECT FROM (SELECT 1) AS j)",
    "SELECT j.* FROM (hr.users u CROSS JOIN hr.logins l (x, y, z)) AS j "
    "WHERE EXISTS (SELECT FROM hr.free AS j)",
    "SELECT j FROM (hr.users u CROSS JOIN hr.logins l (x, y, z)) AS j "
    "WHERE EXISTS (SELECT FROM hr.free AS j)",
    "SELECT (j).email FROM (hr.users u CROSS JOIN hr.logins l (x, y, z)) AS j",
]
INFERS = [
    # Nothing comes back but what can be told from it.
    "SELECT id FROM hr.users WHERE email LIKE 'a%'",
    "SELECT name FROM hr.users ORDER BY email",
    "SELECT count(*) FROM hr.users GROUP BY email",
    "SELECT 1 FROM hr.users JOIN hr.logins USING (email)",
    "SELECT 1 FROM hr.users NATURAL JOIN hr.logins",
    "SELECT 1 FROM hr.users HAVING max(email) > 'a'",
    "SELECT id FROM hr.users u WHERE u IS DISTINCT FROM NULL",
    "SELECT rank() OVER (ORDER BY email) FROM hr.users",
]
FINE = [
    "SELECT id, name FROM hr.users",
    "SELECT count(*) FROM hr.users",
    "SELECT u.id FROM hr.users u ORDER BY u.name",
    "SELECT email FROM hr.free",
    "SELECT f.email, u.name FROM hr.free f JOIN hr.users u ON f.id = u.id",
    "SELECT f.* FROM hr.free f JOIN hr.users u ON f.id = u.id",
    "SELECT * FROM (SELECT id, name FROM hr.users) x",
    "SELECT * FROM hr.plain",
    "WITH w AS (SELECT id FROM hr.users) SELECT * FROM w",
    "SELECT name FROM hr.users WHERE EXISTS (SELECT 1 FROM hr.free)",
    "SELECT (SELECT name FROM hr.users u WHERE u.id = f.id), f.email FROM hr.free f",
]
COPIES = ["COPY hr.users TO STDOUT", "COPY hr.users (email) TO STDOUT"]


def session(database: Database, role: str, *, is_known: bool) -> OfflineSession:
    resolver = Resolver(catalog_of(database.dsn)) if is_known else None
    policy = Policy(load_policy(POLICY, source="columns"))
    return OfflineSession(Judge(policy, role, resolver=resolver))


def send(asking: OfflineSession, text: str) -> Decision:
    return asking.send(text.encode())[0]


@pytest.fixture
def world(shop: Database) -> Database:
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD)
    return shop


def test_the_secret_really_comes_back(world: Database) -> None:
    with psycopg.connect(world.dsn, autocommit=True) as superuser:
        for text in LEAKS:
            assert SECRET in str(superuser.execute(text).fetchall()), text
        for text in INFERS + FINE:
            told = superuser.execute(text).fetchall()
            assert SECRET not in str(told), text
        for text in COPIES:
            with superuser.cursor().copy(text) as copy:
                assert SECRET in "".join(bytes(each).decode() for each in copy), text


@pytest.mark.parametrize("is_known", [True, False], ids=["catalog", "strict"])
def test_no_way_leads_to_it(world: Database, *, is_known: bool) -> None:
    asking = session(world, "developer", is_known=is_known)
    behind_views = {text for text in LEAKS if "cards" in text or "badges" in text}
    for text in LEAKS + INFERS + COPIES:
        decision = send(asking, text)
        if is_known or text not in behind_views:
            assert not decision.allowed, text
            assert decision.rule == "no-addresses", text
            assert "addresses are personal" in decision.reason
        if text in COPIES:
            continue
        for form in (
            f"EXPLAIN ANALYZE {text}",
            f"DECLARE c CURSOR FOR {text}",
            f"COPY ({text}) TO STDOUT",
            f"PREPARE p AS {text}",
        ):
            if is_known or text not in behind_views:
                assert not send(asking, form).allowed, form


def test_what_asks_for_other_columns_passes(world: Database) -> None:
    asking = session(world, "developer", is_known=True)
    for text in FINE:
        decision = send(asking, text)
        assert decision.allowed, (text, decision.reason)


def test_a_prepared_statement_is_judged_by_its_columns(world: Database) -> None:
    asking = session(world, "developer", is_known=True)
    assert send(asking, "PREPARE fine AS SELECT id, name FROM hr.users").allowed
    assert send(asking, "EXECUTE fine").allowed
    both = "PREPARE bad AS SELECT email FROM hr.users; EXECUTE bad"
    assert send(asking, both).rule == "no-addresses"


@pytest.mark.parametrize("is_known", [True, False], ids=["catalog", "strict"])
def test_a_permit_of_columns_is_of_no_others(
    world: Database, *, is_known: bool
) -> None:
    asking = session(world, "narrow", is_known=is_known)
    assert send(asking, "SELECT id, name FROM hr.users").allowed
    assert send(asking, "SELECT u.id FROM hr.users u").allowed
    for text in ("SELECT * FROM hr.users", "SELECT id FROM hr.users WHERE email = ''"):
        decision = send(asking, text)
        assert not decision.allowed
        assert decision.rule == "default-deny"
    assert "column" in send(asking, "SELECT email FROM hr.users").reason


def test_the_reason_names_the_column(world: Database) -> None:
    asking = session(world, "developer", is_known=True)
    assert 'reading column "hr.users.email" is not allowed' in (
        send(asking, "SELECT * FROM hr.users").reason
    )
    assert "through a view" in send(asking, "SELECT * FROM hr.cards").reason
