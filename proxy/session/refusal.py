"""Refusal by substitution: what Postgres is sent in place of a refused message.

The stand-in is a text that can't parse and holds a token. Postgres answers with a
syntax error that quotes the token, and does to the transaction and the pipeline just
what it does for any error; the session then swaps that ErrorResponse for the refusal.
Pure. Next: `proxy.session.replies`, which does the swap.
"""

from __future__ import annotations

from proxy.errors import SYNTAX_ERROR, ErrorReport
from proxy.wire.errors_wire import parse_error_fields

RESERVED_STATEMENT = b"pgwarden_refused"
"""Name of the statement that a refused named Parse, Bind or Execute turns into. It
never comes to exist, since its text can't parse; a client may not use it."""

LONGEST_TOKEN_ERROR = 16 * 1024
"""An ErrorResponse over this is never about a token: those are some 300 bytes."""


class Refusal:
    """One refused message on its way through Postgres and back."""

    __slots__ = ("report", "token")

    def __init__(self, token: str, report: ErrorReport) -> None:
        self.token = token
        self.report = report

    def as_query(self) -> bytes:
        """The stand-in for a refused Query or FunctionCall."""
        text = self.token.encode() + b"\0"
        return b"Q" + (len(text) + 4).to_bytes(4, "big") + text

    def as_parse(self, *, unnamed: bool) -> bytes:
        """The stand-in for a refused Parse, Bind or Execute.

        `unnamed` only where the refused message is itself a Parse of the unnamed
        statement: Postgres drops the old one when such a Parse fails, and so must we.
        """
        name = b"" if unnamed else RESERVED_STATEMENT
        body = name + b"\0" + self.token.encode() + b"\0\0\0"
        return b"P" + (len(body) + 4).to_bytes(4, "big") + body

    def is_answered_by(self, body: bytes) -> bool:
        """Whether the ErrorResponse with this body is Postgres' answer to the token.

        SQLSTATE and position are checked besides the token: a client can provoke an
        error that quotes another session's token, which it may see in
        pg_stat_activity.
        """
        if len(body) > LONGEST_TOKEN_ERROR:
            return False
        fields = parse_error_fields(body)
        # Around the token stand the quotes of the server's own language.
        _, quoted, behind = fields.get("M", "").partition(self.token)
        return (
            fields.get("C") == SYNTAX_ERROR
            and fields.get("P") == "1"
            and bool(quoted)
            and not behind[:1].isalnum()
        )

    def swapped(self, body: bytes) -> ErrorReport:
        """The report for the client, as severe as Postgres made the error.

        With `exit_on_error` Postgres says FATAL and ends the session.
        """
        severity = parse_error_fields(body).get("V", "ERROR")
        report = self.report
        if severity == report.severity:
            return report
        return ErrorReport(
            report.sqlstate,
            report.message,
            report.detail,
            report.hint,
            report.position,
            severity,
        )
