"""Calls that no call shows, and calls that only look dangerous, with a real catalog.

Each trap is built in a database of 15, 17 and 18. Where it is marked so, the statement
is run on the bare server first, as superuser: it must change the world, or the trap is
none. Then the catalog is loaded as `pgwarden serve` does, and the statement judged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import psycopg
import pytest

from proxy.catalog.load import fingerprint, load
from proxy.catalog.model import decode, encode
from proxy.catalog.queries import SETTINGS
from proxy.catalog.resolve import Resolver
from proxy.cli.asking import ByUrl
from proxy.cli.offline import OfflineSession
from proxy.policy.documents import load as load_policy
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from proxy.catalog.model import Catalog
    from proxy.policy.decision import Decision
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.oracle, pytest.mark.turns]

WORLD = """
CREATE TABLE struck (at text);
CREATE SCHEMA helpers;
CREATE FUNCTION helpers.strike(who text) RETURNS int LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.struck VALUES (who); RETURN 1; END';
CREATE TABLE item (id int, label text);
INSERT INTO item VALUES (1, 'one'), (2, 'two');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


class Trap(NamedTuple):
    """A statement that calls what it does not show."""

    name: str
    setup: str
    statement: str
    works: bool = True
    """It changes the world on a bare server."""


CHECKED = "CREATE DOMAIN public.checked AS text CHECK (helpers.strike(VALUE) = 1); "

TRAPS = [
    Trap("a volatile function", "", "SELECT helpers.strike('x')"),
    Trap(
        "an overload in public of a built-in name",
        "CREATE FUNCTION public.lower(item) RETURNS text LANGUAGE sql AS "
        "$$SELECT helpers.strike('lower')::text$$",
        "SELECT lower(i) FROM item i",
    ),
    Trap(
        "the same with other arguments, chosen by a cast",
        "CREATE FUNCTION public.abs(text) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('abs')$$",
        "SELECT abs('x'::text)",
    ),
    Trap(
        "a security definer function that says STABLE",
        "CREATE FUNCTION public.peek() RETURNS int LANGUAGE sql STABLE SECURITY "
        "DEFINER AS $$SELECT helpers.strike('peek')$$",
        "SELECT peek()",
    ),
    Trap(
        "a view over a volatile function",
        "CREATE VIEW quiet AS SELECT id, helpers.strike('view') AS n FROM item",
        "SELECT * FROM quiet",
    ),
    Trap(
        "a view over a view, without its schema",
        "CREATE VIEW helpers.inner_quiet AS SELECT helpers.strike('deep') AS n; "
        "CREATE VIEW outer_quiet AS SELECT * FROM helpers.inner_quiet",
        "TABLE outer_quiet",
    ),
    Trap(
        "a view over a built-in function with an effect",
        "CREATE SEQUENCE counter; CREATE VIEW ticking AS "
        "SELECT pg_catalog.nextval('counter') AS n",
        "SELECT n FROM ticking",
        works=False,
    ),
    Trap(
        "attribute notation",
        "CREATE FUNCTION public.total(item) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('attribute')$$",
        "SELECT i.total FROM item i",
    ),
    Trap(
        "attribute notation of a row in brackets",
        "CREATE FUNCTION public.gross(item) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('brackets')$$",
        "SELECT (i).gross FROM item i",
    ),
    Trap(
        "attribute notation of a plain value",
        "CREATE FUNCTION public.net(int) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('plain')$$",
        "SELECT (id).net FROM item",
    ),
    Trap(
        "attribute notation of a function's own row",
        "CREATE FUNCTION public.tare(int) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('series')$$",
        "SELECT n.tare FROM generate_series(1, 2) n",
    ),
    Trap(
        "an operator",
        "CREATE FUNCTION public.op(int, text) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('operator')$$; "
        "CREATE OPERATOR public.### (LEFTARG = int, RIGHTARG = text, "
        "PROCEDURE = public.op)",
        "SELECT id ### label FROM item",
    ),
    Trap(
        "an operator in its long form",
        "CREATE FUNCTION public.op2(int, text) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike('operator')$$; "
        "CREATE OPERATOR public.##% (LEFTARG = int, RIGHTARG = text, "
        "PROCEDURE = public.op2)",
        "SELECT id OPERATOR(public.##%) label FROM item",
    ),
    Trap(
        "an operator with a built-in name",
        "CREATE FUNCTION public.eq(item, item) RETURNS bool LANGUAGE sql AS "
        "$$SELECT helpers.strike('equals') = 1$$; "
        "CREATE OPERATOR public.= (LEFTARG = item, RIGHTARG = item, "
        "PROCEDURE = public.eq)",
        "SELECT a = b FROM item a, item b",
    ),
    Trap(
        "a cast",
        "CREATE TYPE public.mood AS (v text); "
        "CREATE FUNCTION public.to_mood(item) RETURNS public.mood LANGUAGE sql AS "
        "$$SELECT ROW(helpers.strike('cast')::text)::public.mood$$; "
        "CREATE CAST (item AS public.mood) WITH FUNCTION public.to_mood(item)",
        "SELECT i::public.mood FROM item i",
    ),
    Trap(
        "CAST in words, without the schema",
        "CREATE TYPE public.tone AS (v text); "
        "CREATE FUNCTION public.to_tone(item) RETURNS public.tone LANGUAGE sql AS "
        "$$SELECT ROW(helpers.strike('cast')::text)::public.tone$$; "
        "CREATE CAST (item AS public.tone) WITH FUNCTION public.to_tone(item)",
        "SELECT CAST(i AS tone) FROM item i",
    ),
    Trap(
        "a domain's CHECK",
        "CREATE DOMAIN public.checked AS text CHECK (helpers.strike(VALUE) = 1)",
        "SELECT 'x'::checked",
    ),
    Trap(
        "a domain over a domain with a CHECK",
        CHECKED + "CREATE DOMAIN public.again AS checked",
        "SELECT 'x'::again",
    ),
    Trap(
        "an array of a domain, by the name of the array's type",
        CHECKED + "",
        "SELECT '{x}'::_checked",
    ),
    Trap(
        "a composite type with a domain in it",
        CHECKED + "CREATE TYPE public.pair AS (a int, b checked)",
        "SELECT '(1,x)'::pair",
    ),
    Trap(
        "a table's row with an array of a domain in it",
        CHECKED + "CREATE TABLE kept (a checked[])",
        "SELECT * FROM json_populate_record(NULL::kept, '{\"a\":[1]}')",
    ),
    Trap(
        "a domain whose CHECK names another",
        CHECKED + "CREATE DOMAIN public.above AS text CHECK (VALUE::checked <> ''); "
        "CREATE DOMAIN public.top AS text CHECK (VALUE::above <> '')",
        "SELECT 'x'::top",
    ),
    Trap(
        "a range of a domain",
        CHECKED + "CREATE TYPE public.span AS RANGE (SUBTYPE = checked)",
        "SELECT '[a,b]'::span",
    ),
    Trap(
        "a row-level policy",
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY watch ON item USING (helpers.strike('policy') = 1); "
        "GRANT USAGE ON SCHEMA helpers TO PUBLIC; GRANT INSERT ON struck TO PUBLIC",
        "SELECT * FROM item",
        works=False,  # for a superuser; the test below does it as another role
    ),
    Trap(
        "an aggregate",
        "CREATE FUNCTION public.step(int, text) RETURNS int LANGUAGE sql AS "
        "$$SELECT helpers.strike($2)$$; "
        "CREATE AGGREGATE public.gather(text) (SFUNC = public.step, STYPE = int)",
        "SELECT gather(label) FROM item",
    ),
    Trap(
        "a default of a function's argument is not the point; its SET clause is",
        "CREATE FUNCTION public.loud() RETURNS int LANGUAGE plpgsql STABLE "
        "SET session_replication_role = 'replica' AS 'BEGIN RETURN 1; END'",
        "SELECT loud()",
        works=False,
    ),
    Trap(
        "a foreign table",
        "CREATE FOREIGN DATA WRAPPER nowhere; "
        "CREATE SERVER there FOREIGN DATA WRAPPER nowhere; "
        "CREATE FOREIGN TABLE far (id int) SERVER there",
        "SELECT * FROM far",
        works=False,
    ),
    Trap(
        "a view over a foreign table",
        "CREATE FOREIGN DATA WRAPPER nowhere; "
        "CREATE SERVER there FOREIGN DATA WRAPPER nowhere; "
        "CREATE FOREIGN TABLE far (id int) SERVER there; "
        "CREATE VIEW near AS SELECT id FROM far",
        "SELECT count(*) FROM near",
        works=False,
    ),
    Trap(
        "a partition that is a foreign table",
        "CREATE FOREIGN DATA WRAPPER nowhere; "
        "CREATE SERVER there FOREIGN DATA WRAPPER nowhere; "
        "CREATE TABLE whole (id int) PARTITION BY LIST (id); "
        "CREATE FOREIGN TABLE part PARTITION OF whole FOR VALUES IN (1) SERVER there",
        "SELECT * FROM whole",
        works=False,
    ),
]

READS = [
    ("", "SELECT id, lower(label) FROM item WHERE id = 1"),
    ("", "SELECT i.label, (i).id FROM public.item i ORDER BY i.id"),
    (
        "CREATE FUNCTION public.doubled(int) RETURNS int LANGUAGE sql IMMUTABLE AS "
        "'SELECT $1 * 2'",
        "SELECT doubled(id) FROM item",
    ),
    (
        "CREATE FUNCTION public.lookup(int) RETURNS text LANGUAGE plpgsql STABLE AS "
        "'BEGIN RETURN (SELECT label FROM public.item WHERE id = $1); END'",
        "SELECT public.lookup(1)",
    ),
    (
        "CREATE FUNCTION public.net(item) RETURNS int LANGUAGE sql STABLE AS "
        "'SELECT 1'",
        "SELECT i.net FROM item i",
    ),
    (
        "CREATE FUNCTION public.label(item) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT i.label FROM item i",  # the column wins
    ),
    (
        "CREATE VIEW fine AS SELECT id, upper(label) AS label FROM item WHERE id > 0",
        "SELECT * FROM fine JOIN item USING (id)",
    ),
    (
        "CREATE AGGREGATE public.sum2(int) (SFUNC = int4pl, STYPE = int)",
        "SELECT sum2(id) FROM item",
    ),
    (
        "CREATE FUNCTION public.cmp(int, text) RETURNS bool LANGUAGE sql IMMUTABLE AS "
        "'SELECT $1::text = $2'; CREATE OPERATOR public.=== "
        "(LEFTARG = int, RIGHTARG = text, PROCEDURE = public.cmp)",
        "SELECT id === label, id OPERATOR(public.===) label FROM item",
    ),
    (
        "CREATE DOMAIN public.email AS text CHECK (VALUE ~ '@')",
        "SELECT 'a@b'::email",
    ),
    ("", "SELECT * FROM pg_catalog.pg_class, pg_stat_activity LIMIT 1"),
    ("", "SELECT * FROM information_schema.tables LIMIT 1"),
]

AVAILABLE = "SELECT FROM pg_available_extensions WHERE name = %s"
HERE = {
    "pgcrypto": "SELECT gen_random_uuid(), crypt('a', gen_salt('bf'))",
    "pg_stat_statements": "SELECT calls FROM pg_stat_statements LIMIT 1",
    "citext": "SELECT 'A'::citext = 'a', replace('a'::citext, 'a', 'b')",
    "pg_trgm": "SELECT 'a' % 'b', similarity('a', 'b')",
    "hstore": "SELECT 'a=>1'::hstore -> 'a'",
    "ltree": "SELECT 'a.b'::ltree <@ 'a'::ltree",
    "tablefunc": "SELECT * FROM normal_rand(2, 0, 1)",
}


def catalog_of(dsn: str) -> Catalog:
    async def ask() -> Catalog:
        connection = await asyncpg.connect(dsn, server_settings=SETTINGS)
        try:
            return await load(ByUrl(connection))
        finally:
            await connection.close()

    return asyncio.run(ask())


def fingerprint_of(dsn: str) -> str:
    async def ask() -> str:
        connection = await asyncpg.connect(dsn, server_settings=SETTINGS)
        try:
            return await fingerprint(ByUrl(connection))
        finally:
            await connection.close()

    return asyncio.run(ask())


def judged(
    catalog: Catalog | None, statement: str, role: str = "developer"
) -> Decision:
    path = policy_path("production")
    policy = Policy(load_policy(path.read_text("utf-8"), source=str(path)))
    resolver = None if catalog is None else Resolver(catalog)
    session = OfflineSession(Judge(policy, role, resolver=resolver))
    return session.send(statement.encode())[0]


def struck(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute("SELECT count(*) FROM public.struck").fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_a_trap_is_seen(shop: Database, trap: Trap) -> None:
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD)
        if trap.setup:
            superuser.execute(trap.setup)
        superuser.execute(trap.statement) if trap.works else None
        assert bool(struck(superuser)) is trap.works
    catalog = catalog_of(shop.dsn)
    decision = judged(catalog, trap.statement)
    assert not decision.allowed
    assert decision.sqlstate == "42501"
    # and so it is when it was exported, prepared, or opened as a cursor
    again = decode(encode(catalog), source="test")
    assert again == catalog
    for form in (
        f"PREPARE p AS {trap.statement}",
        f"DECLARE c CURSOR FOR {trap.statement}",
        f"EXPLAIN ANALYZE {trap.statement}",
        f"COPY ({trap.statement}) TO STDOUT",
        f"WITH w AS ({trap.statement}) SELECT 1 FROM w",
    ):
        assert not judged(again, form).allowed, form


def test_a_policy_really_calls_what_it_names(shop: Database) -> None:
    trap = next(each for each in TRAPS if each.name == "a row-level policy")
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD + trap.setup)
        superuser.execute(f"SET ROLE {shop.logins.migrator.user}")
        superuser.execute(trap.statement)
        superuser.execute("RESET ROLE")
        assert struck(superuser)


@pytest.mark.parametrize("read", READS, ids=[sql for _, sql in READS])
def test_what_reads_passes(shop: Database, read: tuple[str, str]) -> None:
    setup, statement = read
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD)
        if setup:
            superuser.execute(setup)
        superuser.execute("BEGIN READ ONLY")
        superuser.execute(statement)
        superuser.execute("ROLLBACK")
    decision = judged(catalog_of(shop.dsn), statement)
    assert decision.allowed, decision.reason


@pytest.mark.parametrize("extension", HERE)
def test_reading_with_an_extension_passes(shop: Database, extension: str) -> None:
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        if superuser.execute(AVAILABLE, (extension,)).fetchone() is None:
            # The wheel of 18 is built without OpenSSL; the others must have them all.
            assert (shop.cluster.major, extension) == (18, "pgcrypto")
            return
        superuser.execute(f"CREATE EXTENSION {extension}")
    decision = judged(catalog_of(shop.dsn), HERE[extension])
    assert decision.allowed, decision.reason


def test_the_reason_names_the_function_and_what_is_wrong(shop: Database) -> None:
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD + TRAPS[1].setup)
    decision = judged(catalog_of(shop.dsn), TRAPS[1].statement)
    assert '"public.lower"' in decision.reason
    assert "VOLATILE" in decision.reason
    assert "reading_functions" in decision.hint


def test_without_a_catalog_every_function_of_the_user_is_refused(
    shop: Database,
) -> None:
    setup, statement = READS[2]
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD + setup)
    assert judged(catalog_of(shop.dsn), statement).allowed
    assert not judged(None, statement).allowed


@pytest.mark.parametrize(
    "change",
    [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION helpers.strike SECURITY DEFINER",
        "CREATE OR REPLACE VIEW v AS SELECT 2 AS n",
        "ALTER TABLE item ADD more int",
        "ALTER TABLE item RENAME label TO title",
        "ALTER TABLE item SET SCHEMA helpers",
        "CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4pl)",
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON item USING (true)",
        "CREATE DOMAIN d AS int CHECK (VALUE > 0)",
        "ALTER SCHEMA helpers RENAME TO others",
        "DROP FUNCTION helpers.strike",
    ],
)
def test_the_fingerprint_sees_every_change(shop: Database, change: str) -> None:
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(WORLD + "CREATE VIEW v AS SELECT 1 AS n")
        before = fingerprint_of(shop.dsn)
        assert fingerprint_of(shop.dsn) == before
        superuser.execute(change)
        assert fingerprint_of(shop.dsn) != before


def test_an_overload_that_nobody_reviewed_is_unknown(shop: Database) -> None:
    """As a new release would bring it; here a superuser puts it into pg_catalog."""
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute(
            WORLD + "CREATE FUNCTION pg_catalog.upper(int) RETURNS int LANGUAGE sql AS "
            "$$SELECT helpers.strike('new')$$"
        )
        superuser.execute("SELECT pg_catalog.upper(1)")
        assert struck(superuser)
    catalog = catalog_of(shop.dsn)
    assert not judged(catalog, "SELECT pg_catalog.upper(1)").allowed
    assert not judged(catalog, "SELECT upper('x')").allowed
