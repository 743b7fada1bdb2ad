"""The stage for attacks on the gate: production, its proofs, and raw messages.

An attacker here has the migrator's login and knows every proof by the byte. An attack
is let loose on production's pgwarden and on a twin of its database that nobody guards,
each time from the same state, and the stage tells the state that is left.
Next: `test_attacks_gate`.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sqlite3
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psycopg

from proxy.demo.postgres import url
from tests.fix_postgres import run
from tests.integration.proving import create
from tests.oracle.raw import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.demo.roles import Login
    from tests.integration.proving import Pair

WAITING_S = 1.5
"""After that a session is taken for one that waits for another one."""
PATIENCE_S = 4.0
"""So long an answer is waited for: some of what attacks send has none."""
START = """
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL,
    balance int NOT NULL, since date, note text, doc text);
INSERT INTO customer SELECT n, 'c' || n, n, '2020-01-01', 'keep', ''
    FROM generate_series(1, 9) n;
CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO orders SELECT n, n FROM generate_series(1, 5) n;
CREATE FUNCTION bump(int) RETURNS int VOLATILE LANGUAGE plpgsql AS
    'BEGIN UPDATE customer SET balance = balance + 100 WHERE id = $1; RETURN 1; END';
CREATE TABLE django_migrations (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text, name text, applied timestamptz);
INSERT INTO django_migrations (app, name) VALUES ('shop', '0001');
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('base');
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64),
    finished_at timestamptz, migration_name varchar(255), logs text,
    rolled_back_at timestamptz, started_at timestamptz DEFAULT now(),
    applied_steps_count int DEFAULT 0);
INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)
    VALUES ('k0', 'c0', 'init', now());
CREATE SCHEMA other;
CREATE TABLE other.customer (LIKE customer);
INSERT INTO other.customer SELECT * FROM customer;
CREATE TABLE other.orders (LIKE orders);
INSERT INTO other.orders SELECT * FROM orders;
CREATE TABLE other.django_migrations (LIKE django_migrations INCLUDING ALL);
"""
STATE = """
SELECT json_build_object(
    'customer', (SELECT json_agg(to_jsonb(t) ORDER BY id) FROM customer t),
    'orders', (SELECT json_agg(to_jsonb(t) ORDER BY id) FROM orders t),
    'other', (SELECT json_agg(to_jsonb(t) ORDER BY id) FROM other.customer t),
    'other orders', (SELECT json_agg(to_jsonb(t) ORDER BY id) FROM other.orders t),
    'django', (SELECT json_agg(app || name ORDER BY id) FROM django_migrations),
    'elsewhere', (SELECT json_agg(app || name) FROM other.django_migrations),
    'alembic', (SELECT json_agg(t ORDER BY t::text) FROM alembic_version t),
    'prisma', (SELECT json_agg(concat_ws('|', id, checksum, migration_name, logs,
        finished_at IS NULL, rolled_back_at IS NULL, applied_steps_count) ORDER BY id)
        FROM _prisma_migrations),
    'relations', (SELECT json_agg(concat_ws(' ', nspname, relname, relkind,
        relpersistence, (SELECT string_agg(concat(attname, atttypid, attnotnull), ','
            ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
        ORDER BY nspname, relname) FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'),
    'schemas', (SELECT json_agg(nspname ORDER BY 1) FROM pg_namespace
        WHERE nspname NOT LIKE 'pg\\_temp%' AND nspname NOT LIKE 'pg\\_toast%'),
    'functions', (SELECT json_agg(concat(pronamespace::regnamespace, proname, prosrc)
        ORDER BY 1) FROM pg_proc WHERE oid >= 16384),
    'triggers', (SELECT json_agg(concat(tgname, tgenabled) ORDER BY 1)
        FROM pg_trigger WHERE NOT tgisinternal),
    'constraints', (SELECT json_agg(conname ORDER BY 1) FROM pg_constraint
        WHERE connamespace::regnamespace::text IN ('public', 'other')),
    'prepared', (SELECT json_agg(gid) FROM pg_prepared_xacts
        WHERE database = current_database()))
"""
DOUBLE = "UPDATE customer SET balance = balance * 2 WHERE id > 0"
ADD = "UPDATE customer SET balance = balance + 1 WHERE id > 0"
MORE = "UPDATE orders SET n = n + 1 WHERE id > 0"
THRICE = "UPDATE orders SET n = n * 3 WHERE id > 0"
DROP_NOTE = "ALTER TABLE customer DROP COLUMN note"
BUMP = "SELECT bump(id) FROM customer"
DATED = "UPDATE customer SET since = '01/02/2024' WHERE id = 1"
BOUND = "UPDATE customer SET balance = $1 WHERE id = $2"
ZERO = "UPDATE customer SET balance = 0 WHERE id > 0"
NONE_LEFT = "UPDATE orders SET n = 0 WHERE id > 0"
DOC = "UPDATE customer SET doc = '\\x00ff'::bytea::text WHERE id = 1"
FIVE = "UPDATE customer SET balance = balance * 5"
THREE = "UPDATE customer SET balance = balance + 3"
UPPER = "UPDATE customer SET name = upper(name) WHERE id > 0"
PRISMA = "UPDATE customer SET balance = balance - 1 WHERE id > 0"
SUM = "5e1f" * 16
ANNOUNCE = (
    "INSERT INTO _prisma_migrations (id, checksum, started_at, migration_name) "
    f"VALUES ('k1', '{SUM}', '2024-01-01', '1_minus')"
)
FINISH = "UPDATE _prisma_migrations SET finished_at = '2024-01-01' WHERE id = 'k1'"
REVISION = "UPDATE alembic_version SET version_num = 'a1' WHERE version_num = 'base'"


def row(name: str) -> str:
    """Django's row of history."""
    return (
        "INSERT INTO django_migrations (app, name, applied) "
        f"VALUES ('shop', '{name}', '2024-01-01')"
    )


# --- messages ----------------------------------------------------------------


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(name: str, text: str, *oids: int) -> bytes:
    types = struct.pack(f"!h{len(oids)}I", len(oids), *oids)
    return message(b"P", f"{name}\0{text}\0".encode() + types)


def bind(
    portal: str, name: str, *values: bytes | None, formats: Sequence[int] = ()
) -> bytes:
    body = f"{portal}\0{name}\0".encode()
    body += struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        size = -1 if value is None else len(value)
        body += struct.pack("!i", size) + (value or b"")
    return message(b"B", body + b"\0\0")


def execute(portal: str = "", most: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", most))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def extended(
    text: str, *values: bytes | None, most: int = 0, oids: Sequence[int] = ()
) -> bytes:
    """Parse, Bind, Execute, without Sync."""
    return parse("", text, *oids) + bind("", "", *values) + execute("", most)


def answers(sent: bytes) -> int:
    """How many ReadyForQuery answer this."""
    count = position = 0
    while position + 5 <= len(sent):
        count += sent[position] in b"QS"
        position += 1 + int.from_bytes(sent[position + 1 : position + 5], "big")
    return count


class Client(RawClient):
    """A raw client that sends steps; an answer that does not come is not waited for."""

    def say(self, *steps: bytes | str) -> Self:
        """Send each step and wait for its answers."""
        for step in steps:
            data = query(step) if isinstance(step, str) else step
            self.send(data)
            self.wait(answers(data))
        return self

    def hang_up(self) -> None:
        """Say no more, and wait for the other side to do the same.

        Closed at once, what it has sent might be lost on the way.
        """
        self.socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + PATIENCE_S
        while not self.closed and time.monotonic() < until:
            self.receive()

    def cancel(self) -> None:
        """CancelRequest, on a connection of its own."""
        self._login.cancel()

    def is_under_way(self) -> bool:
        """Wait for the first sign of an answer, or that there is none."""
        return bool(select.select([self.socket], [], [], WAITING_S)[0])

    def wait(self, times: int) -> str:
        """Read `times` ReadyForQuery; the SQLSTATEs of errors on the way."""
        states = ""
        until = time.monotonic() + PATIENCE_S
        while times > 0 and not self.closed and time.monotonic() < until:
            if not select.select([self.socket], [], [], PATIENCE_S)[0]:
                break
            for kind, body in self.receive():
                times -= kind == "Z"
                if kind == "E":
                    states += body.split(b"\0C", 1)[1].split(b"\0", 1)[0].decode() + " "
        return states


# --- the stage ---------------------------------------------------------------


@dataclass(slots=True)
class Stage:
    """Production with its proofs, and a twin of its database that nobody guards."""

    pair: Pair
    login: Login = field(repr=False)
    states: dict[str, str] = field(default_factory=dict)
    is_worn: bool = False

    @property
    def guarded(self) -> str:
        return self.pair.production.dsn

    @property
    def bare(self) -> str:
        """The same login on the server itself."""
        port = self.pair.production.cluster.port
        return url(self.login.user, self.login.password or "", port, self._twin)

    @property
    def _twin(self) -> str:
        return self.pair.production.database + "_twin"

    def build(self) -> None:
        """Keep production's state to come back to."""
        cluster, name = self.pair.production.cluster, self.pair.production.database
        create(cluster, f"{name}_origin", START)
        self._copy(self._twin)

    def refresh(self) -> None:
        """Production as at the beginning, with every proof unspent."""
        if self.is_worn:
            self._copy(self.pair.production.database)
            with contextlib.closing(sqlite3.connect(self._ledger)) as ledger:
                for (name,) in ledger.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'trigger' "
                    "AND tbl_name = 'proofs'"
                ).fetchall():
                    ledger.execute(f"DROP TRIGGER {name}")
                ledger.execute("DELETE FROM proofs WHERE kind = 'use'")
                ledger.execute("UPDATE state SET generation = hex(randomblob(16))")
                ledger.commit()
        self.is_worn = False

    def state(self, *, of_twin: bool = False) -> str:
        """What is there now, asked past pgwarden, once nobody else is in it."""
        cluster = self.pair.production.cluster
        name = self._twin if of_twin else self.pair.production.database
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            self._settle(connection)
            try:
                found = connection.execute(STATE.encode()).fetchone()
            except psycopg.Error as error:
                return f"gone: {error}"
        assert found is not None
        return json.dumps(found[0], sort_keys=True)

    def on_twin(self, attack: Callable[[str], None]) -> str:
        """What an attack leaves of a server without pgwarden."""
        self._copy(self._twin)
        attack(self.bare)
        return self.state(of_twin=True)

    def on_guarded(self, attack: Callable[[str], None]) -> str:
        """What it leaves of production."""
        self.refresh()
        attack(self.guarded)
        found = self.state()
        self.is_worn = found != self.states["start"] or bool(self.uses())
        return found

    def uses(self) -> list[dict[str, Any]]:
        """What the ledger says of runs."""
        with contextlib.closing(sqlite3.connect(self._ledger)) as ledger:
            rows = ledger.execute(
                "SELECT body FROM proofs WHERE kind = 'use' ORDER BY number"
            ).fetchall()
        return [json.loads(body)["body"] for (body,) in rows]

    @property
    def _ledger(self) -> str:
        return str(self.pair.folder / "production.db")

    def _copy(self, name: str) -> None:
        origin = f"{self.pair.production.database}_origin"
        dsn = self.pair.production.cluster.dsn()
        run(dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        run(dsn, f"CREATE DATABASE {name} TEMPLATE {origin} OWNER pgwarden_migrator")

    @staticmethod
    def _settle(connection: psycopg.Connection[Any]) -> None:
        until = time.monotonic() + 10
        busy = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND usename = 'pgwarden_migrator' AND pid <> pg_backend_pid()"
        )
        while connection.execute(busy).fetchone() and time.monotonic() < until:
            time.sleep(0.02)
