"""A session without sockets: what the conversation itself costs for one query.

The frames of a query and of its answer go through `Session` as they would from the
shell; the records are hashed into the chain as the writer does, without writing them.
What this leaves out is the loop, the system calls and the file. Next:
`proxy.session.session`.
"""

from __future__ import annotations

import struct
import time
from statistics import median
from typing import TYPE_CHECKING

from proxy.audit.chain import Chain
from proxy.audit.records import SessionRecords
from proxy.metrics import Metrics
from proxy.session.judge import Judge
from proxy.session.session import Session
from tests.bench.decisions import collector_as_served, production
from tests.bench.results import Section
from tests.bench.statements import SMALL, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.plan import Plan
    from tests.bench.progress import Ticks

NAME = "micro"
COLUMNS = ("a query in memory", "session µs", "records hashed µs", "together µs")
QUERIES_IN_ROUND = 1_000
_AT_ONCE = 8
"""Records of so many queries share a write when eight clients are busy."""


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return 3 * plan.repeats


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


_SYNC = _message(b"S")
_READY = _message(b"Z", b"I")
_ROW = _message(b"D", b"\0\1\0\0\0\1" + b"0") + _message(b"C", b"SELECT 1\0") + _READY
_DESCRIPTION = _message(b"T", b"\0\1abalance\0" + bytes(18))
_PARSE = _message(
    b"P", b"P_0\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0"
)
_EXECUTE = (
    _message(b"B", b"\0P_0\0\0\0" + struct.pack("!Hi", 1, 5) + b"12345\0\0")
    + _message(b"D", b"P\0")
    + _message(b"E", b"\0\0\0\0\0")
    + _SYNC
)
_EXECUTED = _message(b"2") + _DESCRIPTION + _ROW
_ANSWER = _DESCRIPTION + _ROW


class Bench:
    """One session that is fed and emptied."""

    def __init__(self) -> None:
        records = SessionRecords(
            "0123456789abcdef",
            identity="dev",
            role="developer",
            database="bench",
            application_name="pgbench",
            client_address="127.0.0.1",
        )
        self.session = Session(
            Judge(production(), "developer", database="bench"),
            records,
            token="bench",
            clock=time.perf_counter,
            tally=Metrics(version="bench", started=0.0).tally,
        )
        self.recorded: list[bytes] = []

    def empty(self) -> None:
        """What the shell does with the effects, without doing it.

        Raises:
            RuntimeError: the session does not do what is being measured.
        """
        session = self.session
        if session.ending is not None or not session.to_backend:
            raise RuntimeError(f"the session did not forward: {session.ending}")
        self.recorded += session.records
        session.records = []
        session.committed()
        session.to_backend = []
        session.to_frontend = []

    def round_us(self, queries: Sequence[bytes], answer: bytes) -> tuple[float, float]:
        """CPU microseconds for a query: in the session, and for hashing its records."""
        session, empty = self.session, self.empty
        self.recorded = []
        started = time.thread_time()
        for query in queries:
            session.from_frontend(query)
            session.from_backend(answer)
            empty()
        conversed = time.thread_time()
        chain = Chain()
        step = 2 * _AT_ONCE
        for first in range(0, len(self.recorded), step):
            _, chain.seq, chain.last = chain.extend(
                self.recorded[first : first + step], 1.8e9
            )
        hashed = time.thread_time()
        if len(self.recorded) != 2 * len(queries):
            raise RuntimeError("not one statement and one outcome for each query")
        each = 1e6 / len(queries)
        return (conversed - started) * each, (hashed - conversed) * each


def measure(plan: Plan, tick: Ticks) -> Section:
    """Prepared, a text seen before, and a new text each time; alternating."""
    section = Section(NAME, "The conversation alone, without sockets", COLUMNS)
    bench = Bench()
    bench.session.from_frontend(_PARSE + _SYNC)
    bench.empty()
    bench.session.from_backend(_message(b"1") + _READY)
    known = [_message(b"Q", texts(SMALL, 7, 1)[0] + b"\0")] * QUERIES_IN_ROUND
    found: dict[str, list[tuple[float, float]]] = {}
    with collector_as_served():
        for number in range(plan.repeats):
            first = 1_000_000 + number * QUERIES_IN_ROUND
            new = [
                _message(b"Q", text + b"\0")
                for text in texts(SMALL, first, QUERIES_IN_ROUND)
            ]
            for name, queries, answer in (
                ("prepared", [_EXECUTE] * QUERIES_IN_ROUND, _EXECUTED),
                ("simple, known text", known, _ANSWER),
                ("simple, new text", new, _ANSWER),
            ):
                found.setdefault(name, []).append(bench.round_us(queries, answer))
                tick()
    for name, rounds in found.items():
        session_us, hashed_us = (median(each) for each in zip(*rounds, strict=True))
        key = name.replace("simple, ", "").replace(" ", "_")
        section.figures[f"{key}.session_us"] = session_us
        section.figures[f"{key}.hashed_us"] = hashed_us
        whole = f"{session_us + hashed_us:.1f}"
        section.rows.append((name, f"{session_us:.1f}", f"{hashed_us:.1f}", whole))
    section.notes.append("Without the loop, the system calls and the audit file.")
    return section
