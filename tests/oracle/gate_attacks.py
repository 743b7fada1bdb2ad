"""Attacks on the gate, as data and small functions; each gets a DSN and does its worst.

Where nobody guards the server each of them does harm, and the tests see to that.
`ATTACKS` are for `proofs: require`. Next: `gate_stage` for what the names stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.oracle.gate_stage import (
    ADD,
    ANNOUNCE,
    DOUBLE,
    FLUSH,
    PRISMA,
    REVISION,
    SYNC,
    TERMINATE,
    UPPER,
    ZERO,
    Client,
    extended,
    message,
    parse,
    query,
    row,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, COMMIT, ROLLBACK = "BEGIN", "COMMIT", "ROLLBACK"
R2, R3, R4, R5 = row("0002"), row("0003"), row("0004"), row("0005")
R6, R7, R8, R9 = row("0006"), row("0007"), row("0008"), row("0009")
R10, R11 = row("0010"), row("0011")


def steps(*each: bytes | str) -> Callable[[str], None]:
    """One session that sends these, each after the answer to the one before."""

    def attack(dsn: str) -> None:
        with Client(dsn) as client:
            client.say(*each)

    return attack


def sessions(*each: tuple[bytes | str, ...]) -> Callable[[str], None]:
    """Several sessions, one after the other."""

    def attack(dsn: str) -> None:
        for script in each:
            steps(*script)(dsn)

    return attack


def closing(*scripts: tuple[tuple[bytes | str, ...], bytes]) -> Callable[[str], None]:
    """Sessions that hang up without waiting for the answer to their last words."""

    def attack(dsn: str) -> None:
        for script, last in scripts:
            with Client(dsn) as client:
                client.say(*script)
                client.send(last)
                client.hang_up()

    return attack


UNPROVEN: dict[str, Callable[[str], None]] = {
    "a table dropped": steps("DROP TABLE orders"),
    "a table made": steps("CREATE TABLE spawn (id int)"),
    "a row planted": steps("INSERT INTO orders VALUES (77, 7)"),
    "rows changed by a revoked proof": steps(BEGIN, ZERO, R8, COMMIT),
    "a temporary table that copies itself": steps(
        "CREATE TEMP TABLE t AS SELECT 1; UPDATE orders SET n = 7 WHERE id = 1"
    ),
    "SELECT INTO": steps("SELECT 1 AS x INTO spawn"),
    "a function with an effect": steps("SELECT bump(1)"),
    "a function with an effect, by its notation": steps(
        "SELECT (id).bump FROM customer", "SELECT id FROM customer WHERE bump(id) = 1"
    ),
    "a function in EXPLAIN ANALYZE": steps("EXPLAIN ANALYZE SELECT bump(1)"),
    "EXPLAIN ANALYZE of an UPDATE": steps(f"EXPLAIN ANALYZE {ZERO}"),
    "a CTE that writes": steps(
        "WITH d AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM d"
    ),
    "a cursor that calls": steps(
        BEGIN, "DECLARE c CURSOR FOR SELECT bump(1)", "FETCH ALL c", COMMIT
    ),
    "a cursor that calls, amid a proven migration": steps(
        BEGIN, DOUBLE, "DECLARE c CURSOR FOR SELECT bump(1)", "FETCH c", ADD, R2, COMMIT
    ),
    "a sequence moved": steps(
        "SELECT setval('django_migrations_id_seq', 900)",
        row("free"),
        "INSERT INTO django_migrations (app) VALUES ('x')",
    ),
    "PREPARE and EXECUTE": steps(f"PREPARE q AS {ZERO}", "EXECUTE q"),
    "a Parse, and EXECUTE of it": steps(parse("q", ZERO) + SYNC, "EXECUTE q"),
    "a proven text, and EXECUTE of it": steps(
        parse("q", DOUBLE) + SYNC, BEGIN, "EXECUTE q", COMMIT
    ),
    "a proven text, and EXPLAIN ANALYZE EXECUTE": steps(
        parse("q", DOUBLE) + SYNC, "EXPLAIN ANALYZE EXECUTE q"
    ),
    "COPY FROM STDIN": steps(
        query("COPY orders FROM STDIN") + message(b"d", b"88\t8\n") + message(b"c")
    ),
    "COPY, in the extended protocol": steps(
        extended("COPY orders FROM STDIN")
        + message(b"d", b"88\t8\n")
        + message(b"c")
        + SYNC
    ),
    "COPY of a DELETE": steps("COPY (DELETE FROM orders RETURNING id) TO STDOUT"),
    "DO": steps("DO 'BEGIN DELETE FROM orders; END'"),
    "a failed transaction, and what comes behind ROLLBACK": steps(
        BEGIN, "SELECT 1/0", "ROLLBACK; DELETE FROM orders"
    ),
    "a failed transaction, and both at once": steps(
        BEGIN, "SELECT 1/0", query(ROLLBACK) + query("DELETE FROM orders")
    ),
    "a failed transaction, a savepoint, and both at once": steps(
        BEGIN,
        "SAVEPOINT s",
        "SELECT 1/0",
        query("ROLLBACK TO s") + query("DELETE FROM orders") + query(COMMIT),
    ),
    "a failed transaction, in a pipeline": steps(
        BEGIN,
        "SELECT 1/0",
        extended(ROLLBACK) + extended("DELETE FROM orders") + SYNC,
    ),
    "what is skipped, and what is not": steps(
        extended("SELECT 1/0") + query("DELETE FROM orders") + SYNC,
        query("SELECT 1/0") + query("DELETE FROM orders"),
        extended("SELECT 1/0") + SYNC + extended("DELETE FROM orders") + SYNC,
    ),
    "Flush and no Sync": steps(extended("DELETE FROM orders") + FLUSH + SYNC),
    "Terminate right behind": closing(
        ((), query("DELETE FROM orders") + TERMINATE),
        ((), extended("DELETE FROM orders") + SYNC + TERMINATE),
    ),
    "a held migration overtaken": steps(
        BEGIN, query(DOUBLE) + query("DELETE FROM orders") + query(COMMIT)
    ),
    "a statement of more than a megabyte": steps(
        query(f"DELETE FROM orders /* {'x' * 2_000_000} */")
    ),
    "a statement in many words": steps(
        query(f"DELETE FROM orders WHERE n IN ({'1,' * 9_000}1,2,3,4,5)")
    ),
    "an escape for a letter": steps('DROP TABLE U&"ord\\0065rs"'),
    "FunctionCall": steps(
        "DO $$ BEGIN PERFORM bump(1); END $$",
        message(b"F", b"\0\0\x06\x26" + b"\0\0" * 4 + b"\0\0"),
    ),
    "a setting of the session's power": steps(
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "DELETE FROM orders",
    ),
    "a read-only table emptied by name": steps("TRUNCATE orders", "LOCK TABLE orders"),
}
TEXTS = {
    "a blank more": DOUBLE.replace(" = ", "  = "),
    "a comment inside": DOUBLE.replace("WHERE", "/* x */ WHERE"),
    "a letter's case": DOUBLE.replace("balance", "Balance"),
    "another number": DOUBLE.replace("2", "3"),
    "another WHERE": DOUBLE.replace("id > 0", "id > 1"),
    "a qualified name": DOUBLE.replace("customer", "other.customer"),
    "more behind it": DOUBLE + " AND id < 5",
    "a RETURNING": DOUBLE + " RETURNING bump(id)",
    "a second statement": f"{DOUBLE}; DELETE FROM orders",
    "a statement before": f"DELETE FROM orders; {DOUBLE}",
    "a statement before, and empty ones": f";; DELETE FROM orders;; {DOUBLE};;",
    "a comment that ends late": f"{DOUBLE} -- x\n; DELETE FROM orders",
    "a nested comment": f"/* /* */ */ DELETE FROM orders; /* */ {DOUBLE}",
    "a dollar quote": f"{DOUBLE}; DO $x$ BEGIN DELETE FROM orders; END $x$",
    "a setting before it": f"SET search_path = other; {DOUBLE}",
    "a local setting before it": f"SET LOCAL search_path = other; {DOUBLE}",
    "set_config before it": (
        f"SELECT set_config('search_path', 'other', true); {DOUBLE}"
    ),
    "the order": ADD,
    "the same one twice": f"{DOUBLE}; {DOUBLE}",
    "one left out": f"{DOUBLE}; {R2}; COMMIT",
}
for _name, _text in TEXTS.items():
    UNPROVEN[f"a proven text, with {_name}"] = steps(BEGIN, _text, R2, COMMIT)
for _name in ("another number", "a qualified name", "the order", "a letter's case"):
    UNPROVEN[f"a proven text, extended, with {_name}"] = steps(
        BEGIN, extended(TEXTS[_name]) + SYNC, R2, COMMIT
    )
HISTORY: dict[str, Callable[[str], None]] = {
    "a row without its migration": steps(row("0099")),
    "a row of a proof without its migration": steps(BEGIN, R2, COMMIT),
    "a row more": steps(
        BEGIN, DOUBLE, ADD, R2 + ", ('shop', '0099', '2024-01-01')", COMMIT
    ),
    "a row under another name": steps(BEGIN, DOUBLE, ADD, row("0099"), COMMIT),
    "a row twice": steps(BEGIN, DOUBLE, ADD, R2, R2, COMMIT),
    "a row and another": steps(BEGIN, DOUBLE, ADD, f"{R2}; {row('0099')}", COMMIT),
    "a row taken away": steps(
        "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0001'"
    ),
    "all rows taken away": steps("TRUNCATE django_migrations"),
    "the table dropped": steps("DROP TABLE django_migrations"),
    "a stamp": steps(REVISION),
    "a revision that becomes another one": steps(
        BEGIN,
        UPPER,
        "INSERT INTO alembic_version (version_num) VALUES ('a1') "
        "ON CONFLICT (version_num) DO UPDATE SET version_num = 'z9'",
        COMMIT,
    ),
    "a revision without its migration, and a condition more": steps(
        BEGIN, REVISION.replace("WHERE", "WHERE true OR"), COMMIT
    ),
    "another migration's logs": steps(
        "UPDATE _prisma_migrations SET logs = 'forged', applied_steps_count = 9 "
        "WHERE id = 'k0'"
    ),
    "another migration's name": steps(
        "UPDATE _prisma_migrations SET migration_name = 'forged' WHERE id = 'k0'"
    ),
    "another migration rolled back": steps(
        "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = 'k0'"
    ),
    "a migration resolved": steps(
        "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name) "
        "VALUES ('k9', 'c9', now(), '9_forged')"
    ),
    "all migrations finished": steps(
        ANNOUNCE,
        PRISMA,
        "UPDATE _prisma_migrations SET finished_at = '2024-01-01', id = id || 'x' "
        "WHERE id = 'k1' OR true",
    ),
    "a trigger on the history": steps(
        "CREATE TRIGGER t AFTER INSERT ON django_migrations EXECUTE FUNCTION "
        "suppress_redundant_updates_trigger()"
    ),
    "a column more for the history": steps(
        "ALTER TABLE alembic_version ADD COLUMN x int DEFAULT 7"
    ),
    "a row that calls": steps(
        BEGIN,
        DOUBLE,
        ADD,
        R2.replace("'0002'", "(SELECT '000' || bump(1) + 1)"),
        COMMIT,
    ),
    "a row that returns a call": steps(
        BEGIN, DOUBLE, ADD, R2 + " RETURNING bump(1)", COMMIT
    ),
    "a row from a CTE that writes": steps(
        BEGIN,
        DOUBLE,
        ADD,
        "WITH d AS (DELETE FROM orders RETURNING id) " + R2,
        COMMIT,
    ),
}
