"""Attacks that need the wire: names, portals and pipelines around a refusal.

Each script is sent as bytes, step by step; what Postgres holds afterwards is looked at
past pgwarden. The systematic comparison with a bare server is in `test_traces`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.oracle.raw import RawClient

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.turns,
]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(name: str, text: str) -> bytes:
    return message(b"P", f"{name}\0{text}\0".encode() + b"\0\0")


def bind(portal: str, name: str) -> bytes:
    return message(b"B", f"{portal}\0{name}\0".encode() + b"\0\0\0\0\0\0")


def execute(portal: str, most: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", most))


SYNC = message(b"S")
FLUSH = message(b"H")
CLOSE_Q = message(b"C", b"Sq\0")
COPY_DONE = message(b"c")
DROP = query("DROP TABLE prey")
DELETE = "DELETE FROM prey WHERE id = 1"
NEXT = "SELECT nextval('tally') FROM generate_series(1, 9)"

AS_MIGRATOR = {
    "a portal bound before the refusal": [
        query("BEGIN") + parse("", DELETE) + bind("x", "") + SYNC,
        query("SAVEPOINT s") + DROP + query("ROLLBACK TO s"),
        execute("x") + SYNC + query("COMMIT"),
    ],
    "a portal that was suspended": [
        query("BEGIN; SELECT 1")
        + parse("", "SELECT id FROM prey")
        + bind("y", "")
        + SYNC,
        DROP + query("ROLLBACK"),
        parse("", NEXT) + bind("x", "") + execute("x", 1) + SYNC,
    ],
    "a statement prepared before": [
        parse("q", DELETE) + SYNC,
        DROP,
        bind("", "q") + execute("") + SYNC + query("EXECUTE q"),
        query("EXPLAIN ANALYZE EXECUTE q") + query("CREATE TABLE t AS EXECUTE q"),
    ],
    "all at once": [
        parse("q", DELETE)
        + (SYNC + DROP)
        + (bind("", "q") + execute("") + SYNC + query(DELETE))
        + (parse("", DELETE) + bind("", "") + execute("") + SYNC)
    ],
    "an EXECUTE whose name means something else by now": [
        query("PREPARE q AS SELECT 1") + parse("w", "EXECUTE q") + SYNC,
        query("DEALLOCATE q") + query("PREPARE q AS " + DELETE) + DROP,
        bind("", "w") + execute("") + SYNC,
    ],
    "COPY with a statement inside its data": [
        query("COPY prey FROM STDIN") + message(b"d", DROP) + COPY_DONE,
        query("SELECT 1"),
    ],
    "COPY that failed, and a statement while it is skipped": [
        parse("", "COPY prey FROM STDIN") + bind("", "") + execute(""),
        message(b"d", b"bad\n") * 9 + DROP + COPY_DONE + SYNC + query("SELECT 1"),
    ],
    "COPY after the refusal": [
        DROP + query("COPY prey FROM STDIN") + message(b"d", b"99\n") + COPY_DONE
    ],
    "a Query amid a COPY": [
        query("COPY prey FROM STDIN"),
        message(b"d", b"99\n") + query(DELETE) + COPY_DONE + SYNC,
    ],
}
AS_DEVELOPER = {
    "the statement behind a refused unnamed one": [
        parse("", "SELECT 1") + SYNC,
        parse("", DELETE) + SYNC + bind("", "") + execute("") + SYNC,
    ],
    "a refused statement's name": [
        parse("q", DELETE) + SYNC + bind("", "q") + execute("") + SYNC,
        query("EXECUTE q"),
    ],
    "a name that is taken": [
        parse("q", "SELECT 1")
        + parse("q", DELETE)
        + bind("", "q")
        + execute("")
        + SYNC,
        CLOSE_Q + parse("q", DELETE) + bind("", "q") + execute("") + SYNC,
    ],
    "Flush and no Sync": [
        parse("", DELETE) + FLUSH + bind("", "") + execute("") + FLUSH,
        bind("", "") + execute("") + FLUSH + SYNC,
    ],
    "what was skipped comes after": [
        parse("", "SELECT 1/0") + bind("", "") + execute("") + query(DELETE) + SYNC,
        query(DELETE),
    ],
    "FunctionCall of nextval": [
        message(b"F", struct.pack("!ihhh", 1574, 0, 1, 0) + b"\0\0\0\0\0\0"),
        parse("", "SELECT 1")
        + message(b"F", struct.pack("!ihhh", 1574, 0, 0, 0))
        + SYNC,
    ],
    "text behind the end of the text": [
        message(b"Q", b"SELECT 1\0" + b"DROP TABLE prey\0")
    ],
    "a Parse inside a Parse": [
        message(
            b"P", b"\0SELECT 1\0\0\0" + parse("", DELETE) + bind("", "") + execute("")
        )
    ],
    "a length that lies": [
        b"Q" + struct.pack("!i", 14) + b"SELECT 1;" + query(DELETE),
        query(DELETE),
    ],
    "COPY data that nobody asked for": [
        query("COPY prey FROM STDIN") + message(b"d", b"99\n") + COPY_DONE,
        parse("", "COPY prey FROM STDIN") + bind("", "") + execute(""),
        message(b"d", b"99\n") + COPY_DONE + SYNC,
    ],
}
SCRIPTS = [("migrator", name) for name in AS_MIGRATOR] + [
    ("developer", name) for name in AS_DEVELOPER
]


@pytest.mark.parametrize(("identity", "name"), SCRIPTS)
def test_nothing_slips_through(
    identity: str, name: str, shop: Database, guard: Proxy
) -> None:
    shop.execute(
        """CREATE TABLE prey AS SELECT g AS id FROM generate_series(1, 10) g;
        CREATE SEQUENCE tally;
        ALTER TABLE prey OWNER TO pgwarden_migrator;
        ALTER SEQUENCE tally OWNER TO pgwarden_migrator;
        GRANT ALL ON prey, tally TO pgwarden_reader"""
    )
    look = """SELECT (SELECT array_agg(id ORDER BY id) FROM prey),
        (SELECT last_value || ':' || is_called FROM tally)"""
    before = shop.fetch(look)
    script = AS_MIGRATOR if identity == "migrator" else AS_DEVELOPER
    refused = False
    with RawClient(guard.dsn(identity, shop.name)) as client:
        for step in script[name]:
            client.send(step)
            refused |= any(kind == "E" for kind, _ in client.receive())
    assert refused
    assert shop.fetch(look) == before
