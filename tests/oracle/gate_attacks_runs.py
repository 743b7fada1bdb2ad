"""Attacks with what is proven: run by half, twice, otherwise, together, mixed.

Beside `gate_attacks`, which has what is not proven at all, and what writes history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.oracle.gate_attacks import (
    BEGIN,
    COMMIT,
    R2,
    R3,
    R5,
    R6,
    R7,
    R10,
    ROLLBACK,
    closing,
    sessions,
    steps,
)
from tests.oracle.gate_stage import (
    ADD,
    ANNOUNCE,
    BOUND,
    BUMP,
    DATED,
    DOC,
    DOUBLE,
    FINISH,
    MORE,
    PRISMA,
    SUM,
    SYNC,
    TERMINATE,
    THRICE,
    bind,
    execute,
    extended,
    message,
    parse,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HALVES: dict[str, Callable[[str], None]] = {
    "COMMIT in the middle": steps(BEGIN, DOUBLE, COMMIT),
    "END in the middle": steps(BEGIN, DOUBLE, "END"),
    "COMMIT AND CHAIN in the middle": steps(BEGIN, DOUBLE, "COMMIT AND CHAIN"),
    "COMMIT in one Query with it": steps(BEGIN, f"{DOUBLE}; COMMIT"),
    "COMMIT before it in one Query": steps(BEGIN, f"COMMIT; {DOUBLE}"),
    "a whole transaction in one Query": steps(f"BEGIN; {DOUBLE}; COMMIT"),
    "outside a transaction": steps(DOUBLE),
    "both at once outside a transaction, then ROLLBACK": steps(
        f"{DOUBLE}; ROLLBACK; {ADD}", R2
    ),
    "in a pipeline outside a transaction": steps(extended(DOUBLE) + SYNC),
    "COMMIT in a pipeline": steps(BEGIN, extended(DOUBLE) + extended(COMMIT) + SYNC),
    "the first taken back": steps(BEGIN, DOUBLE, ROLLBACK, BEGIN, ADD, R2, COMMIT),
    "the first taken back by a savepoint": steps(
        BEGIN, "SAVEPOINT s", DOUBLE, "ROLLBACK TO s", ADD, R2, COMMIT
    ),
    "all taken back, and the row": steps(
        BEGIN, "SAVEPOINT s", DOUBLE, ADD, "ROLLBACK TO s", R2, COMMIT
    ),
    "the end taken back by a savepoint": steps(
        BEGIN, DOUBLE, "SAVEPOINT s", ADD, R2, "ROLLBACK TO s", COMMIT
    ),
    "the end taken back, and COMMIT at once": steps(
        BEGIN,
        DOUBLE,
        "SAVEPOINT s",
        ADD,
        R2,
        "SELECT 1/0",
        query("ROLLBACK TO s") + query(COMMIT),
    ),
    "the end taken back, and COMMIT at once, extended": steps(
        BEGIN,
        DOUBLE,
        "SAVEPOINT s",
        ADD,
        R2,
        "SELECT 1/0",
        query("ROLLBACK TO s") + extended(COMMIT) + SYNC,
    ),
    "the end taken back, and COMMIT in the same pipeline": steps(
        BEGIN,
        DOUBLE,
        "SAVEPOINT s",
        ADD,
        R2,
        "SELECT 1/0",
        extended("ROLLBACK TO s") + extended(COMMIT) + SYNC,
    ),
    "an error, a savepoint and the rest": steps(
        BEGIN, DOUBLE, "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", R2, COMMIT
    ),
    "an error in a pipeline behind a part": steps(
        extended(MORE) + extended("SELECT 1/0") + SYNC, THRICE, R3
    ),
    "ROLLBACK in a pipeline, outside a transaction": steps(
        extended(MORE) + extended(ROLLBACK) + extended(THRICE) + SYNC, R3
    ),
    "a failure of another tool's history": steps(
        BEGIN,
        DOUBLE,
        "UPDATE _prisma_migrations SET logs = 'x' WHERE id = 'none'",
        COMMIT,
    ),
    "one row of a call that has many": steps(
        BEGIN, extended(BUMP, most=1) + SYNC, R5, COMMIT
    ),
    "one row of a call, and the portal closed": steps(
        BEGIN,
        parse("", BUMP)
        + bind("p", "")
        + execute("p", 1)
        + message(b"C", b"Pp\0")
        + SYNC,
        R5,
        COMMIT,
    ),
    "the session closed in the middle": closing(((BEGIN, DOUBLE), query(COMMIT))),
    "Terminate behind COMMIT in the middle": closing(
        ((BEGIN, DOUBLE), query(COMMIT) + TERMINATE)
    ),
    "an UPDATE that a savepoint takes back, named otherwise": steps(
        BEGIN,
        "SAVEPOINT a",
        DOUBLE,
        "SAVEPOINT a",
        ADD,
        "ROLLBACK TO SAVEPOINT a",
        "RELEASE a",
        R2,
        COMMIT,
    ),
    "ABORT AND CHAIN": steps(BEGIN, DOUBLE, "ABORT AND CHAIN", ADD, R2, COMMIT),
    "the announced one without its script": steps(ANNOUNCE, FINISH),
    "a script without its announcement": steps(PRISMA),
    "announced with another checksum": steps(
        ANNOUNCE.replace(SUM, "0" * 64), PRISMA, FINISH
    ),
    "announced, and another script": steps(ANNOUNCE, DOUBLE, FINISH),
    "announced in a transaction that is taken back": steps(
        BEGIN, ANNOUNCE, ROLLBACK, PRISMA
    ),
    "announced under another name": steps(
        ANNOUNCE.replace("1_minus", "2_other"), PRISMA, FINISH
    ),
}
HALVES["all of it in one Query"] = steps(f"{DOUBLE}; {ADD}")
TWICE: dict[str, Callable[[str], None]] = {
    "with its row in one Query": sessions(*[(f"{DOUBLE}; {ADD}; {R2}",)] * 2),
    "in one session": steps(
        *(BEGIN, DOUBLE, ADD, R2, COMMIT), *(BEGIN, DOUBLE, ADD, R2, COMMIT)
    ),
    "in two": sessions(*[(BEGIN, DOUBLE, ADD, R2, COMMIT)] * 2),
    "in one transaction": steps(BEGIN, DOUBLE, ADD, R2, DOUBLE, ADD, R2, COMMIT),
    "a statement bound twice": steps(
        BEGIN,
        parse("q", DOUBLE) + bind("", "q") + execute() + SYNC,
        bind("", "q") + execute() + SYNC,
        ADD,
        R2,
        COMMIT,
    ),
    "COMMIT AND CHAIN, an error and ROLLBACK": sessions(
        *[(BEGIN, DOUBLE, ADD, R2, "COMMIT AND CHAIN", "SELECT 1/0", ROLLBACK)] * 2
    ),
    "hung up behind COMMIT": closing(*[((BEGIN, DOUBLE, ADD, R2), query(COMMIT))] * 2),
    "hung up behind row and COMMIT": closing(
        *[((BEGIN, DOUBLE, ADD), query(f"{R2}; COMMIT"))] * 2
    ),
    "hung up behind row and COMMIT in a pipeline": closing(
        *[((BEGIN, DOUBLE, ADD), extended(R2) + extended(COMMIT) + SYNC)] * 2
    ),
    "hung up behind all of it": closing(
        *[((BEGIN, DOUBLE), query(ADD) + query(R2) + query(COMMIT) + TERMINATE)] * 2
    ),
    "outside a transaction, hung up": closing(
        *[((MORE,), query(THRICE) + query(R3))] * 2
    ),
    "each step outside a transaction": sessions(*[(MORE, THRICE, R3)] * 2),
    "taken up where it ended": steps(MORE, THRICE, MORE, THRICE, R3),
    "a failure told, and again": sessions(
        *[
            (
                BEGIN,
                DOUBLE,
                "UPDATE _prisma_migrations SET logs = 'x' WHERE id = 'none'",
                COMMIT,
            )
        ]
        * 2
    ),
}
OTHERWISE: dict[str, Callable[[str], None]] = {
    "a schema before the own one": steps(
        "SET search_path = other", BEGIN, DOUBLE, ADD, R2, COMMIT
    ),
    "a schema before the own one, set in the transaction": steps(
        BEGIN, "SET LOCAL search_path = other", DOUBLE, ADD, R2, COMMIT
    ),
    "set_config": steps(
        "SELECT set_config('search_path', 'other', false)", MORE, THRICE, R3
    ),
    "a setting amid the pipeline": steps(
        extended("SET search_path = other") + extended(MORE) + SYNC
    ),
    "a setting behind the Parse": steps(
        parse("q", MORE) + SYNC,
        extended("SET search_path = other") + bind("", "q") + execute() + SYNC,
    ),
    "a setting in another segment": steps(
        parse("q", MORE) + SYNC,
        "SET search_path = other",
        bind("", "q") + execute() + SYNC,
    ),
    "a setting that ends with the transaction": steps(
        "SET search_path = other",
        BEGIN,
        """SET LOCAL search_path = "$user", public""",
        f"COMMIT; {MORE}",
    ),
    "a setting that ends with the transaction, in a pipeline": steps(
        "SET search_path = other",
        BEGIN,
        """SET LOCAL search_path = "$user", public""",
        extended(COMMIT) + extended(MORE) + SYNC,
    ),
    "a setting that ends with the transaction, Parse before": steps(
        "SET search_path = other",
        BEGIN,
        """SET LOCAL search_path = "$user", public""",
        parse("q", MORE) + extended(COMMIT) + bind("", "q") + execute() + SYNC,
    ),
    "a date read by another rule": steps(
        "SET datestyle = 'ISO, DMY'", BEGIN, DATED, R6, COMMIT
    ),
    "a date that was read before by another rule": steps(
        "SET datestyle = 'ISO, DMY'",
        parse("q", DATED) + SYNC,
        "SET datestyle = 'ISO, MDY'",
        BEGIN,
        bind("", "q") + execute() + SYNC,
        R6,
        COMMIT,
    ),
    "a date that was read before, by a setting that ended": steps(
        BEGIN,
        "SET LOCAL datestyle = 'ISO, DMY'",
        parse("q", DATED) + SYNC,
        COMMIT,
        BEGIN,
        bind("", "q") + execute() + SYNC,
        R6,
        COMMIT,
    ),
    "bytes written in another way": steps(
        "SET bytea_output = escape", BEGIN, DOC, R10, COMMIT
    ),
    "other values": steps(BEGIN, extended(BOUND, b"8", b"1") + SYNC, R7, COMMIT),
    "the values the other way round": steps(
        BEGIN, extended(BOUND, b"1", b"7") + SYNC, R7, COMMIT
    ),
    "another format": steps(
        BEGIN,
        parse("", BOUND)
        + bind("", "", b"\0\0\0\x08", b"1", formats=(1, 0))
        + execute()
        + SYNC,
        R7,
        COMMIT,
    ),
    "NULL for a value": steps(
        BEGIN, extended(BOUND, b"6", None) + SYNC, R7, COMMIT, "DELETE FROM orders"
    ),
    "a portal bound to other values behind the proven ones": steps(
        BEGIN,
        parse("q", BOUND)
        + bind("p", "q", b"7", b"1")
        + bind("", "q", b"9", b"2")
        + execute()
        + execute("p")
        + SYNC,
        R7,
        COMMIT,
    ),
    "a value too large to be kept": steps(
        BEGIN, extended(BOUND, b"7" + b" " * 200_000, b"2") + SYNC, R7, COMMIT
    ),
    "the row written elsewhere": steps(
        BEGIN, DOUBLE, ADD, R2.replace("django", "other.django"), COMMIT
    ),
    "the row written elsewhere, by the path": steps(
        BEGIN, DOUBLE, ADD, "SET LOCAL search_path = other", R2, COMMIT
    ),
    "the row written to a temporary table": steps(
        "CREATE TEMP TABLE django_migrations (id int, app text, name text, "
        "applied timestamptz)",
        *(BEGIN, DOUBLE, ADD, R2, COMMIT),
    ),
    "a table of history made elsewhere": steps(
        "CREATE TABLE other.alembic_version (version_num text)"
    ),
    "a table of history made elsewhere, by the path": steps(
        "SET search_path = other", "CREATE TABLE alembic_version (version_num text)"
    ),
}
