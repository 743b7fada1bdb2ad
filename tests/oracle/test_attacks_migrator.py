"""A deploy job's session turned against its own database: nothing may be lost.

Everything here runs through pgwarden with the production policy, as the role that owns
the tables, so that only the decision stands in the way. Each attack has a session of
its own, is sent in every form, and is followed by what a tool does after a refusal:
another way to the same end. Then the data is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oracle.wire import Session

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.turns,
]

STAGE = """
    CREATE TABLE prey (
        id int PRIMARY KEY, v text, n int GENERATED ALWAYS AS IDENTITY,
        twice int GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO prey (id, v) SELECT g, 'value ' || g FROM generate_series(1, 10) g;
    CREATE TABLE brood (id int PRIMARY KEY, prey_id int REFERENCES prey);
    INSERT INTO brood SELECT g, g FROM generate_series(1, 10) g;
    CREATE TABLE _prisma_migrations (id text PRIMARY KEY, name text);
    INSERT INTO _prisma_migrations VALUES ('1', 'init');
    CREATE TABLE past (id int, day date) PARTITION BY RANGE (day);
    CREATE TABLE past_1 PARTITION OF past DEFAULT;
    INSERT INTO past VALUES (1, '2024-01-01');
    CREATE TABLE loud (id int);
    CREATE TYPE pair AS (a int, b int);
    CREATE TABLE pairs OF pair;
    INSERT INTO pairs VALUES (1, 2);
    CREATE SEQUENCE tally START 100;
    CREATE VIEW by_key AS SELECT id, v, count(*) FROM prey GROUP BY id;
    CREATE MATERIALIZED VIEW digest AS SELECT id, v, count(*) FROM prey GROUP BY id;
    CREATE SCHEMA nest CREATE TABLE egg (id int);
    INSERT INTO nest.egg VALUES (1);
    CREATE FUNCTION strike() RETURNS int LANGUAGE plpgsql AS
        'BEGIN DELETE FROM brood; RETURN 1; END';
    CREATE PROCEDURE raid() LANGUAGE plpgsql AS 'BEGIN DELETE FROM brood; END';
    CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE ''kept''; END';
    CREATE TRIGGER keeps BEFORE TRUNCATE ON loud EXECUTE FUNCTION deny();
    ALTER TABLE loud ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON loud USING (true);
"""
DATA = """
    SELECT (SELECT string_agg(t::text, '|' ORDER BY id) FROM prey t),
        (SELECT string_agg(t::text, '|' ORDER BY id) FROM brood t),
        (SELECT string_agg(t::text, '|') FROM _prisma_migrations t),
        (SELECT string_agg(t::text, '|') FROM past t),
        (SELECT string_agg(t::text, '|') FROM pairs t),
        (SELECT string_agg(t::text, '|' ORDER BY id) FROM by_key t),
        (SELECT string_agg(t::text, '|' ORDER BY id) FROM digest t),
        (SELECT string_agg(t::text, '|') FROM nest.egg t),
        (SELECT count(*) FROM orders), (SELECT count(*) FROM customers),
        (SELECT string_agg(concat(relname, relkind, relpersistence, relowner),
            '|' ORDER BY oid) FROM pg_class
            WHERE relnamespace IN ('public'::regnamespace, 'nest'::regnamespace)),
        (SELECT string_agg(concat(tgname, tgenabled), '|' ORDER BY oid)
            FROM pg_trigger),
        (SELECT string_agg(concat(rolname, rolsuper), '|' ORDER BY oid) FROM pg_authid),
        (SELECT count(*) FROM pg_auth_members), (SELECT count(*) FROM pg_default_acl),
        (SELECT string_agg(polname, '|') FROM pg_policy),
        (SELECT string_agg(datname, '|' ORDER BY oid) FROM pg_database)
"""
FORMS = ("simple", "extended", "named", "pipelined", "sql_prepared")

DROPS = [
    "DROP TABLE brood",
    'DROP TABLE "brood"',
    "drop/**/table/**/brood",
    'DROP TABLE U&"br\\006fod"',
    "DROP TABLE public.brood, nest.egg CASCADE",
    "DROP TABLE IF EXISTS nothing, brood",
    "-- AlterTable\nDROP TABLE IF EXISTS brood RESTRICT",
    "CREATE TABLE fresh (id int); DROP TABLE brood",
    "BEGIN; DROP TABLE brood; COMMIT",
    "SELECT 1; SELECT 2;; DROP TABLE brood",
    "DROP SCHEMA nest CASCADE",
    "DROP SCHEMA IF EXISTS public CASCADE",
    "DROP SCHEMA nest, public CASCADE; CREATE SCHEMA public",
    "ALTER SCHEMA public RENAME TO gone",
    "DROP VIEW by_key",
    "DROP VIEW IF EXISTS by_key CASCADE",
    "DROP MATERIALIZED VIEW digest",
    "DROP SEQUENCE tally",
    "DROP SEQUENCE IF EXISTS tally CASCADE",
    "DROP TYPE pair CASCADE",
    "DROP TYPE order_status CASCADE",
    "DROP TYPE prey",
    "DROP OWNED BY CURRENT_USER",
    "DROP OWNED BY pgwarden_migrator CASCADE",
    "DROP FUNCTION strike() CASCADE",
    "DROP EXTENSION plpgsql CASCADE",
    "DROP DATABASE shop",
    "DROP DATABASE IF EXISTS shop WITH (FORCE)",
    "DROP INDEX prey_pkey CASCADE",
    "DROP TABLE _prisma_migrations",
    "DROP TRIGGER keeps ON loud",
    "DROP POLICY mine ON loud",
    "DROP ROLE pgwarden_reader",
]
ALTERS = [
    "ALTER TABLE prey DROP COLUMN v CASCADE",
    "ALTER TABLE prey DROP v CASCADE",
    "ALTER TABLE IF EXISTS ONLY prey DROP COLUMN IF EXISTS v CASCADE",
    "ALTER TABLE brood ADD COLUMN x int, ALTER x SET DEFAULT 1, DROP COLUMN prey_id",
    "ALTER TABLE brood ADD COLUMN x int; ALTER TABLE brood DROP COLUMN prey_id",
    "ALTER TYPE pair DROP ATTRIBUTE b CASCADE",
    "ALTER TABLE brood ALTER COLUMN prey_id TYPE text",
    "ALTER TABLE brood ALTER prey_id SET DATA TYPE smallint USING 0",
    "ALTER TABLE brood ADD x int, ALTER prey_id TYPE bigint USING 1",
    "ALTER TYPE pair ALTER ATTRIBUTE b TYPE text CASCADE",
    "ALTER TABLE prey ALTER COLUMN twice SET EXPRESSION AS (0)",
    "ALTER TABLE prey ALTER COLUMN n DROP IDENTITY",
    "ALTER TABLE prey DROP CONSTRAINT prey_pkey CASCADE",
    "ALTER TABLE brood ADD x int, DROP CONSTRAINT brood_pkey CASCADE",
    "ALTER TABLE brood SET UNLOGGED",
    "ALTER TABLE brood SET LOGGED, SET UNLOGGED",
    "ALTER TABLE brood OWNER TO postgres",
    "ALTER TABLE loud DISABLE TRIGGER ALL",
    "ALTER TABLE loud DISABLE TRIGGER keeps",
    "ALTER TABLE loud DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE _prisma_migrations RENAME TO gone",
    "ALTER INDEX _prisma_migrations RENAME TO gone",
    "ALTER TABLE _prisma_migrations SET SCHEMA nest",
    "ALTER TABLE _prisma_migrations RENAME COLUMN id TO gone",
    "ALTER DATABASE shop RENAME TO gone",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER USER pgwarden_migrator CREATEDB",
    "ALTER ROLE pgwarden_reader SET default_transaction_read_only = off",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pgwarden_reader",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO pgwarden_reader",
    "GRANT pgwarden_migrator TO pgwarden_reader",
    "REASSIGN OWNED BY CURRENT_USER TO pgwarden_reader",
    "REFRESH MATERIALIZED VIEW digest WITH NO DATA",
    "CLUSTER prey USING prey_pkey",
    "SECURITY LABEL ON TABLE prey IS 'x'",
]
ROWS = [
    "DELETE FROM brood",
    "DELETE FROM ONLY public.brood AS b",
    "DELETE FROM brood WHERE true",
    "DELETE FROM brood WHERE 1 = 1",
    "DELETE FROM brood WHERE id = id",
    "DELETE FROM brood WHERE NOT false",
    "DELETE FROM brood WHERE id IS NULL OR id IS NOT NULL",
    "DELETE FROM brood WHERE id = 1 OR true",
    "DELETE FROM brood WHERE id = 1 OR id <> 1",
    "DELETE FROM brood WHERE NOT (id <> id)",
    "DELETE FROM brood WHERE id IN (1, id)",
    "DELETE FROM brood WHERE id BETWEEN id AND id",
    "DELETE FROM brood WHERE id::text LIKE '%'",
    "DELETE FROM brood WHERE (SELECT true)",
    "DELETE FROM brood WHERE EXISTS (SELECT o.id FROM orders o)",
    "DELETE FROM brood USING prey",
    "DELETE FROM brood USING prey p WHERE p.id = 1",
    "DELETE FROM brood USING prey WHERE prey.id = prey.id",
    "DELETE FROM brood RETURNING *",
    "UPDATE prey SET v = ''",
    "UPDATE prey SET v = '' WHERE 'a' = 'a'",
    "UPDATE prey SET v = '' FROM brood b WHERE b.id = 1",
    "UPDATE prey SET (v) = ROW ('')",
    "WITH d AS (DELETE FROM brood RETURNING *) SELECT count(*) FROM d",
    "WITH d AS (UPDATE prey SET v = '' RETURNING 1) INSERT INTO loud TABLE d",
    "WITH x AS (SELECT 1) DELETE FROM brood",
    "EXPLAIN ANALYZE DELETE FROM brood",
    "EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM brood",
    "COPY (DELETE FROM brood RETURNING *) TO STDOUT",
    "INSERT INTO prey (id, v) SELECT id, v FROM prey "
    "ON CONFLICT (id) DO UPDATE SET v = ''",
    "INSERT INTO prey (id, v) TABLE brood ON CONFLICT (id) DO UPDATE SET v = ''",
    "MERGE INTO brood USING prey ON brood.id = prey.id WHEN MATCHED THEN DELETE",
    "MERGE INTO prey USING brood ON true WHEN MATCHED THEN UPDATE SET v = ''",
    "TRUNCATE brood",
    "TRUNCATE TABLE ONLY prey CASCADE",
    "TRUNCATE brood, past RESTART IDENTITY",
    "DELETE FROM _prisma_migrations WHERE id = '1'",
    "TRUNCATE _prisma_migrations",
    "DO 'BEGIN DELETE FROM brood; END'",
    "CALL raid()",
    "SELECT strike()",
    "SELECT 1 FROM prey WHERE strike() = 1",
    "CREATE TABLE spawn AS SELECT strike()",
    "CREATE MATERIALIZED VIEW spawn AS SELECT strike()",
    "CREATE INDEX spawn ON prey ((strike()))",
    "ALTER TABLE loud ADD COLUMN x int DEFAULT strike()",
    "INSERT INTO loud VALUES (strike())",
    "UPDATE prey SET v = strike()::text WHERE id = 1",
    "CREATE RULE spawn AS ON INSERT TO loud DO ALSO DELETE FROM brood",
    "CREATE FUNCTION spawn() RETURNS int LANGUAGE sql "
    "BEGIN ATOMIC DELETE FROM brood RETURNING id; END",
    "COPY prey FROM PROGRAM 'id'",
    "COPY prey TO '/tmp/spawn'",
    "SELECT lo_unlink(1)",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "UPDATE pg_class SET relname = 'gone' WHERE relname = 'prey'",
    "CREATE DATABASE spawn",
    "CREATE ROLE spawn SUPERUSER",
    "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO public",
]
ATTACKS = {"drop": DROPS, "alter": ALTERS, "rows": ROWS}
# What a session may do, and is left with another way to the same end afterwards.
DETOURS = {
    "rename, then drop": [
        "ALTER TABLE brood RENAME TO old",
        "DROP TABLE old",
        "ALTER TABLE old RENAME TO brood",
    ],
    "to another schema, then drop that": [
        "CREATE SCHEMA bin",
        "ALTER TABLE nest.egg SET SCHEMA bin",
        "DROP SCHEMA bin CASCADE",
        "ALTER TABLE bin.egg SET SCHEMA nest",
    ],
    "detach, then drop": [
        "ALTER TABLE past DETACH PARTITION past_1",
        "DROP TABLE past_1",
    ],
    "inherit, then truncate the parent": [
        "CREATE TABLE parent (id text, name text)",
        "ALTER TABLE _prisma_migrations INHERIT parent",
        "TRUNCATE parent",
        "DELETE FROM parent",
    ],
    "reach the history as a partition": [
        "CREATE TABLE parent (id text, name text) PARTITION BY LIST (id)",
        "ALTER TABLE parent ATTACH PARTITION _prisma_migrations DEFAULT",
        "TRUNCATE parent",
    ],
    "prepare, be refused, execute": [
        "PREPARE q AS DELETE FROM brood WHERE id = 1",
        "DROP TABLE brood",
        "EXECUTE q",
        "EXPLAIN ANALYZE EXECUTE q",
        "CREATE TABLE spawn AS EXECUTE q",
    ],
    "declare, be refused, fetch and delete": [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM brood FOR UPDATE",
        "SAVEPOINT s",
        "DROP TABLE brood",
        "ROLLBACK TO s",
        "FETCH c",
        "DELETE FROM brood WHERE CURRENT OF c",
        "ROLLBACK TO s",
        "UPDATE brood SET prey_id = 1 WHERE id = 2",
        "COMMIT",
    ],
    "be refused, then by chosen rows": [
        "TRUNCATE brood",
        "DELETE FROM brood WHERE id > 0",
        "UPDATE prey SET v = '' WHERE id > 0",
        "INSERT INTO prey (id) VALUES (99)",
        "COPY loud FROM STDIN",
        "RESET ALL",
        "DISCARD ALL",
        "DELETE FROM brood WHERE id > 0",
    ],
    "what Prisma does after DROP SCHEMA was refused": [
        'DROP SCHEMA "public" CASCADE',
        'CREATE SCHEMA "public"',
        'ALTER TABLE "brood" DROP CONSTRAINT brood_prey_id_fkey;'
        ' DROP TABLE "brood"; DROP TABLE "prey" CASCADE; DROP TYPE "pair" CASCADE',
        'DROP TABLE "brood"',
    ],
}


@pytest.fixture
def stage(shop: Database) -> Database:
    with Session(shop.migrator_dsn) as owner:
        made = owner.simple(STAGE)
        assert not made.sqlstate, made.message
    return shop


def data(superuser: Session) -> object:
    answer = superuser.simple(DATA)
    assert not answer.sqlstate, answer.message
    return answer.rows


@pytest.mark.parametrize("kind", ATTACKS)
def test_nothing_is_lost(kind: str, stage: Database, guard: Proxy) -> None:
    with Session(stage.dsn) as superuser:
        before = data(superuser)
        for sql in ATTACKS[kind]:
            for form in FORMS:
                with Session(guard.dsn("migrator", stage.name)) as session:
                    answer = getattr(session, form)(sql)
                    assert answer.sqlstate, (form, sql)
                    assert "audit id" in answer.message, (form, sql, answer)
                    session.simple("ROLLBACK")
                    assert session.simple("SELECT 1").rows == [(b"1",)], (form, sql)
            assert data(superuser) == before, sql


@pytest.mark.parametrize("name", DETOURS)
def test_no_detour_leads_there(name: str, stage: Database, guard: Proxy) -> None:
    """The rows are all there at the end, whatever the tables are called by then."""
    rows = """SELECT (SELECT count(*) FROM prey WHERE v <> ''), (SELECT count(*) FROM
        _prisma_migrations), (SELECT count(*) FROM pairs), (SELECT count(*) FROM past_1)
        """
    with Session(stage.dsn) as superuser:
        before = superuser.simple(rows).rows
        held = kept(superuser)
        with Session(guard.dsn("migrator", stage.name)) as session:
            for sql in DETOURS[name]:
                session.simple(sql)
            session.simple("COMMIT")
        assert superuser.simple(rows).rows == before
        assert kept(superuser) == held


def kept(superuser: Session) -> object:
    """All rows of brood and egg, wherever the tables are now."""
    found = superuser.simple(
        """SELECT format('SELECT string_agg(t::text, ''|'' ORDER BY id) FROM %s t', oid
            ::regclass) FROM pg_class WHERE relname IN ('brood', 'egg', 'old')
            AND relkind = 'r' ORDER BY 1"""
    ).rows
    assert len(found) == 2
    texts = [(row[0] or b"").decode() for row in found]
    return sorted(str(superuser.simple(text).rows) for text in texts)


@pytest.mark.parametrize("form", FORMS)
def test_quarantine_holds_in_every_form(
    form: str, stage: Database, guard: Proxy
) -> None:
    with Session(guard.dsn("migrator", stage.name)) as session:
        assert not getattr(session, form)("SELECT 1").sqlstate
        assert session.simple("DROP TABLE brood").sqlstate == "42501"
        for sql in (
            "DELETE FROM brood WHERE id = 1",
            "UPDATE prey SET v = 'x' WHERE id = 1",
            "INSERT INTO loud VALUES (1)",
        ):
            answer = getattr(session, form)(sql)
            assert answer.sqlstate == "42501", sql
            assert "quarantine" in answer.message
        assert not getattr(session, form)("SELECT 1").sqlstate
    with Session(guard.dsn("migrator", stage.name)) as fresh:
        assert not fresh.simple("DELETE FROM brood WHERE id = 1").sqlstate


def test_quarantine_holds_over_a_declared_cursor(stage: Database, guard: Proxy) -> None:
    """What a cursor runs is judged anew: FETCH would advance the sequence."""
    with Session(guard.dsn("migrator", stage.name)) as session:
        for sql in (
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT nextval('tally') FROM generate_series(1, 9)",
            "DECLARE plain CURSOR FOR SELECT v FROM prey ORDER BY id",
            "SAVEPOINT s",
        ):
            assert not session.simple(sql).sqlstate, sql
        assert session.simple("DROP TABLE brood").sqlstate == "42501"
        session.simple("ROLLBACK TO s")
        assert session.simple("FETCH plain").rows == [(b"value 1",)]
        for sql in ("FETCH c", "MOVE c", "FETCH ALL c"):
            for form in ("simple", "extended"):
                assert getattr(session, form)(sql).sqlstate == "42501", (sql, form)
                session.simple("ROLLBACK TO s")
        session.simple("COMMIT")
    assert stage.fetch("SELECT last_value, is_called FROM tally") == [(100, False)]
