"""One connection through libpq alone: no statements but the test's, in every form.

psycopg adds BEGINs, DEALLOCATEs and type look-ups of its own; an attack or an oracle
needs exactly what it sends. Answers are kept as SQLSTATEs and rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from psycopg import OperationalError, pq

if TYPE_CHECKING:
    from collections.abc import Sequence

COPIED_IN = b"990001\tplanted\n"
"""What is sent where a statement asks for COPY data: fits a table of (int, text)."""
_FINE = {
    pq.ExecStatus.TUPLES_OK,
    pq.ExecStatus.COMMAND_OK,
    pq.ExecStatus.EMPTY_QUERY,
    pq.ExecStatus.COPY_OUT,
}


@dataclass
class Answer:
    """What came back for one message: the SQLSTATE of an error, and what was read."""

    sqlstate: str = ""
    message: str = ""
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    copied: int = 0

    @property
    def leaked(self) -> bool:
        """Whether data came back."""
        return not self.sqlstate and (bool(self.rows) or self.copied > 0)


class Session:
    """A connection; the forms a statement can be sent in are its methods."""

    def __init__(self, dsn: str) -> None:
        self._pgconn = pq.PGconn.connect(dsn.encode())
        if self._pgconn.status != pq.ConnStatus.OK:
            raise ConnectionError(self._pgconn.error_message.decode())
        self._serial = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pgconn.finish()

    @property
    def is_open(self) -> bool:
        return self._pgconn.status == pq.ConnStatus.OK

    @property
    def status(self) -> str:
        """I, T or E, as the last ReadyForQuery said."""
        match self._pgconn.transaction_status:
            case pq.TransactionStatus.INTRANS:
                return "T"
            case pq.TransactionStatus.INERROR:
                return "E"
            case _:
                return "I"

    def simple(self, sql: str) -> Answer:
        """One Query message."""
        try:
            self._pgconn.send_query(sql.encode())
        except OperationalError as error:
            return Answer("08006", str(error))
        return self._collect()

    def extended(self, sql: str) -> Answer:
        """Parse, Bind, Describe, Execute and Sync with unnamed statement and portal."""
        self._pgconn.send_query_params(sql.encode(), [])
        return self._collect()

    def named(self, sql: str) -> Answer:
        """A named prepared statement, and its execution even if preparing failed."""
        self._serial += 1
        name = f"attack{self._serial}".encode()
        self._pgconn.send_prepare(name, sql.encode())
        prepared = self._collect()
        self._pgconn.send_query_prepared(name, [])
        executed = self._collect()
        return prepared if prepared.sqlstate else executed

    def with_nulls(self, sql: str) -> Answer:
        """The extended form, with a NULL for each parameter that the text has."""
        connection = self._pgconn
        connection.send_prepare(b"", sql.encode())
        answer = self._collect()
        if answer.sqlstate:
            return answer
        count = connection.describe_prepared(b"").nparams
        connection.send_query_prepared(b"", [None] * count)
        return self._collect()

    def bound(self, sql: str, values: Sequence[str]) -> Answer:
        """The extended form, with these parameters as text."""
        encoded = [value.encode() for value in values]
        self._pgconn.send_query_params(sql.encode(), encoded)
        return self._collect()

    def sql_prepared(self, sql: str) -> Answer:
        """SQL's PREPARE and EXECUTE, each in a Query of its own."""
        self._serial += 1
        prepared = self.simple(f"PREPARE attack{self._serial} AS {sql}")
        executed = self.simple(f"EXECUTE attack{self._serial}")
        return prepared if prepared.sqlstate else executed

    def pipelined(self, sql: str) -> Answer:
        """Between two harmless ones, all sent before any answer is read."""
        connection = self._pgconn
        connection.enter_pipeline_mode()
        for text in ("SELECT 1", sql, "SELECT 2"):
            connection.send_query_params(text.encode(), [])
        connection.pipeline_sync()
        connection.flush()
        answers: list[Answer] = []
        while True:
            answer = Answer()
            if self._take(answer):
                break
            answers.append(answer)
        connection.exit_pipeline_mode()
        return answers[1]

    def _collect(self) -> Answer:
        answer = Answer()
        self._take(answer)
        return answer

    def _take(self, answer: Answer) -> bool:
        """Read the results of one message; whether it was the end of a pipeline."""
        connection = self._pgconn
        while (result := connection.get_result()) is not None:
            match result.status:
                case pq.ExecStatus.PIPELINE_SYNC:
                    return True
                case pq.ExecStatus.TUPLES_OK:
                    answer.rows.extend(
                        tuple(result.get_value(row, at) for at in range(result.nfields))
                        for row in range(result.ntuples)
                    )
                case pq.ExecStatus.COPY_IN:
                    connection.put_copy_data(COPIED_IN)
                    connection.put_copy_end()
                case pq.ExecStatus.COPY_OUT:
                    self._drain(answer)
                case _:
                    pass
            if result.status not in {*_FINE, pq.ExecStatus.COPY_IN}:
                state = result.error_field(pq.DiagnosticField.SQLSTATE)
                answer.sqlstate = (state or b"08006").decode()
                answer.message = result.error_message.decode("utf-8", "replace")
        return False

    def _drain(self, answer: Answer) -> None:
        while True:
            size, _ = self._pgconn.get_copy_data(0)
            if size <= 0:
                return
            answer.copied += size
