"""How a server reads a text, without running any of it.

In a transaction that has failed, Postgres parses a message as ever and then refuses to
go on: a syntax error says that its grammar does not take the text, 25P02 that it does.
A Parse takes one statement at most, which tells none, one and several apart. Source:
exec_simple_query() and exec_parse_message() in src/backend/tcop/postgres.c.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

from psycopg import pq

if TYPE_CHECKING:
    from tests.fix_postgres import Database

IN_FAILED_TRANSACTION = "25P02"


class Reading(StrEnum):
    """What a server makes of one text."""

    REJECTED = "rejected"
    NONE = "no statement"
    ONE = "one statement"
    SEVERAL = "several statements"


class Reader:
    """A connection whose transaction has failed, and stays so."""

    def __init__(self, database: Database) -> None:
        self._pgconn = pq.PGconn.connect(database.dsn.encode())
        assert self._pgconn.status == pq.ConnStatus.OK
        self._pgconn.exec_(b"SET client_min_messages = error")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pgconn.finish()

    def read(self, text: bytes) -> Reading:
        """How the server reads `text`, which holds no NUL."""
        self._fail()
        result = self._pgconn.prepare(b"", text)
        if result.status == pq.ExecStatus.COMMAND_OK:
            return self._none_or_exit(text)
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        if state.decode() == IN_FAILED_TRANSACTION:
            return Reading.ONE
        if message.startswith(b"cannot insert multiple commands"):
            return Reading.SEVERAL
        return Reading.REJECTED

    def message(self, text: bytes) -> str:
        """What the server says to `text` outside a failed transaction."""
        if self._pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self._pgconn.exec_(b"ROLLBACK")
        result = self._pgconn.prepare(b"", text)
        return (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()

    def _none_or_exit(self, text: bytes) -> Reading:
        """COMMIT and ROLLBACK are prepared even now; so is nothing at all."""
        result = self._pgconn.exec_(text)
        is_empty = result.status == pq.ExecStatus.EMPTY_QUERY
        return Reading.NONE if is_empty else Reading.ONE

    def _fail(self) -> None:
        if self._pgconn.transaction_status != pq.TransactionStatus.INERROR:
            self._pgconn.exec_(b"ROLLBACK")
            self._pgconn.exec_(b"BEGIN")
            self._pgconn.exec_(b"fail")


def ours(statements: int) -> Reading:
    """The same word for what pgwarden counts."""
    return (Reading.NONE, Reading.ONE, Reading.SEVERAL)[min(statements, 2)]
