"""Attacks by several sessions, against another schema, and where proofs are mixed.

Beside `gate_attacks_runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.oracle.gate_attacks import (
    BEGIN,
    COMMIT,
    R2,
    R3,
    R4,
    R9,
    R11,
    closing,
    sessions,
    steps,
)
from tests.oracle.gate_stage import (
    ADD,
    DOUBLE,
    DROP_NOTE,
    FIVE,
    MORE,
    NONE_LEFT,
    SYNC,
    THREE,
    THRICE,
    Client,
    bind,
    execute,
    extended,
    parse,
    query,
    row,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS: dict[str, Callable[[str], None]] = {
    "a proof of another schema": steps(BEGIN, DOUBLE, NONE_LEFT, R9, COMMIT),
    "one that begins as another does": steps(BEGIN, f"{DOUBLE}; {NONE_LEFT}", COMMIT),
    "one that begins as another does, with its row": steps(
        BEGIN, f"{DOUBLE}; {NONE_LEFT}; {R9}", COMMIT
    ),
    "behind another in one message": steps(
        BEGIN, f"{DOUBLE}; {ADD}; {R2}; {DOUBLE}; {NONE_LEFT}; {R9}", COMMIT
    ),
    "behind another in one transaction": steps(
        BEGIN, DROP_NOTE, R4, DOUBLE, ADD, R2, COMMIT
    ),
}


def in_an_old_snapshot(dsn: str) -> None:
    """Another deploy alters the schema, and this session does not see it."""
    with Client(dsn) as first, Client(dsn) as second:
        second.say("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
        first.say(BEGIN, DROP_NOTE, R4, COMMIT)
        second.say(DOUBLE, ADD, R2, COMMIT)


def while_another_alters(dsn: str) -> None:
    """The schema was looked at before another deploy ended."""
    with Client(dsn) as first, Client(dsn) as second:
        first.say(BEGIN, DROP_NOTE)
        second.send(query(MORE))
        second.is_under_way()
        first.say(R4, COMMIT)
        second.wait(1)
        second.say(THRICE, R3)


def while_another_hangs_up(dsn: str) -> None:
    """The end of the first run was not seen, the second one knows it as begun."""
    with Client(dsn) as second:
        with Client(dsn) as first:
            first.say(BEGIN, DOUBLE)
            second.say(BEGIN)
            second.send(query(DOUBLE))
            second.is_under_way()
            first.say(ADD, R2)
            first.send(query(COMMIT))
            first.hang_up()
        second.wait(1)
        second.say(ADD, R2, COMMIT)


def cancelled_behind_the_row(dsn: str) -> None:
    """Cancel what looks at the schema before COMMIT, and do not await the end."""
    for _ in range(2):
        with Client(dsn) as client:
            client.say(BEGIN, DOUBLE, ADD)
            client.send(query(R2))
            client.is_under_way()
            for _ in range(3):
                client.cancel()
            client.wait(1)
            client.send(query(COMMIT))
            client.hang_up()


def cancelled_while_held(dsn: str) -> None:
    """The first statement waits for its gates, and more is sent meanwhile."""
    with Client(dsn) as client:
        client.say(BEGIN)
        client.send(query(DOUBLE))
        client.cancel()
        client.send(query("DELETE FROM orders") + query(COMMIT))
        client.wait(3)
    steps("DELETE FROM orders")(dsn)


def with_a_verdict_left_over(dsn: str) -> None:
    """An error comes while a proven statement behind it is held: what is next?"""
    for most in (100_000, 400_000, 1_000_000, 3_000_000, 8_000_000):
        slow = f"SELECT 1 / (count(*) - {most}) FROM generate_series(1, {most})"
        with Client(dsn) as client:
            client.say(BEGIN)
            client.say(
                parse("u", DOUBLE)
                + extended(slow)
                + bind("p", "u")
                + execute("p")
                + SYNC
                + query("ROLLBACK; DELETE FROM orders")
            )


def one_begins_and_another_ends(dsn: str) -> None:
    """Two sessions share one migration."""
    with Client(dsn) as first, Client(dsn) as second:
        first.say(MORE)
        second.say(THRICE, R3)


def one_runs_and_another_writes(dsn: str) -> None:
    """The row comes from elsewhere."""
    with Client(dsn) as first, Client(dsn) as second:
        first.say(MORE, THRICE)
        second.say(row("0099"), R3)


TOGETHER: dict[str, tuple[Callable[[str], None], set[str]]] = {
    "in an old snapshot": (in_an_old_snapshot, {"drop"}),
    "while another one alters": (while_another_alters, {"drop"}),
    "while another one hangs up": (while_another_hangs_up, {"double"}),
    "cancelled behind the row": (cancelled_behind_the_row, {"start", "double"}),
    "with a verdict left over": (with_a_verdict_left_over, {"start"}),
    "cancelled while held": (cancelled_while_held, {"start"}),
    "one begins, another ends": (one_begins_and_another_ends, {"start", "more half"}),
    "one runs, another writes": (one_runs_and_another_writes, {"start", "more bare"}),
}
PLANTED = "INSERT INTO orders VALUES (77, 7)"
MIXED: dict[str, Callable[[str], None]] = {
    "what the rules refuse, alone": steps(FIVE),
    "what the rules refuse, committed by itself": steps(BEGIN, FIVE, COMMIT),
    "something else in the middle": steps(BEGIN, FIVE, PLANTED, COMMIT),
    "something else in the middle, again and again": sessions(
        *[(BEGIN, FIVE, PLANTED.replace("77", str(n)), COMMIT) for n in (77, 78, 79)]
    ),
    "something else in the middle, and the rest": steps(
        BEGIN, FIVE, PLANTED, THREE, R11, COMMIT
    ),
    "something else in one message with it": steps(
        BEGIN, f"{FIVE}; {PLANTED}", THREE, R11, COMMIT
    ),
    "another row": steps(BEGIN, FIVE, row("0099"), COMMIT),
    "another row behind all of it": steps(BEGIN, FIVE, THREE, row("0099"), COMMIT),
    "row and COMMIT at once, hung up": closing(
        *[((BEGIN, FIVE, THREE), query(f"{R11}; COMMIT"))] * 2
    ),
    "COMMIT among others": steps(BEGIN, f"{FIVE}; COMMIT; {PLANTED}"),
    "taken back, and something else": steps(
        BEGIN, FIVE, "SAVEPOINT s", THREE, "ROLLBACK TO s", PLANTED, COMMIT
    ),
    "twice": sessions(*[(BEGIN, FIVE, THREE, R11, COMMIT)] * 2),
    "another failure": steps(
        BEGIN, FIVE, "UPDATE _prisma_migrations SET logs = 'x' WHERE id = 'k0'", COMMIT
    ),
}
"""For `proofs: accept`: the rules let the planted row pass, and not the rest."""
