"""Every error pgwarden raises or sends, and whose fault it is.

Each class says who is to blame (frontend, backend, denied, unavailable, ours),
carries one SQLSTATE and keeps what the client may read (`message`, `detail`,
`hint`) apart from what only the operator may read (`operator_note`).
Imports nothing of pgwarden. Next: `proxy.wire.errors_wire` encodes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# SQLSTATEs that pgwarden itself sends. https://www.postgresql.org/docs/18/errcodes-appendix.html
DENIED: Final = "42501"
"""insufficient_privilege: the policy says no."""
SYNTAX_ERROR: Final = "42601"
"""syntax_error: the statement could not be understood, so it was not judged."""
TOO_LARGE: Final = "54000"
"""program_limit_exceeded: above one of pgwarden's ceilings."""
GATE_UNSATISFIED: Final = "55000"
"""object_not_in_prerequisite_state: a gate (proof, backup) is not satisfied."""
AUDIT_UNAVAILABLE: Final = "58030"
"""io_error: the audit record could not be written."""
PROTOCOL_VIOLATION: Final = "08P01"
CONNECTION_FAILURE: Final = "08006"
CANNOT_CONNECT: Final = "08001"
CONNECTION_REJECTED: Final = "08004"
INVALID_AUTHORIZATION: Final = "28000"
INVALID_PASSWORD: Final = "28P01"  # noqa: S105 - an SQLSTATE
INVALID_CATALOG_NAME: Final = "3D000"
INVALID_PARAMETER: Final = "22023"
FEATURE_NOT_SUPPORTED: Final = "0A000"
TOO_MANY_CONNECTIONS: Final = "53300"
LIMIT_EXCEEDED: Final = "53400"
"""configuration_limit_exceeded: too many statements a minute. The statement is fine and
passes later, so neither 42501 nor 54000; no pool drops a connection for it."""
QUERY_CANCELED: Final = "57014"
IDLE_IN_TRANSACTION: Final = "25P03"
ACTIVE_TRANSACTION: Final = "25001"
IN_FAILED_TRANSACTION: Final = "25P02"
ADMIN_SHUTDOWN: Final = "57P01"
CANNOT_CONNECT_NOW: Final = "57P03"
IDLE_SESSION_TIMEOUT: Final = "57P05"
LOGIN_TIMEOUT: Final = "57014"
"""query_canceled, as Postgres says "canceling authentication due to timeout"."""
UNDEFINED_PREPARED_STATEMENT: Final = "26000"
UNDEFINED_CURSOR: Final = "34000"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What a client is told: the fields of an ErrorResponse, already client-safe.

    `position` is the 1-based character offset in the client's own statement, or 0.
    """

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    position: int = 0
    severity: str = "ERROR"


class PgwardenError(Exception):
    """Base of everything pgwarden raises on purpose."""

    sqlstate = "XX000"

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        hint: str = "",
        operator_note: str = "",
        sqlstate: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.operator_note = operator_note
        if sqlstate:
            self.sqlstate = sqlstate

    def report(self, severity: str = "ERROR") -> ErrorReport:
        """The client-safe part, ready to be encoded."""
        return ErrorReport(
            self.sqlstate, self.message, self.detail, self.hint, severity=severity
        )


class FrontendError(PgwardenError):
    """The client broke the protocol or asked for the impossible; the session ends."""

    sqlstate = PROTOCOL_VIOLATION


class BackendError(PgwardenError):
    """The upstream broke the protocol, refused us or went away; the session ends."""

    sqlstate = CONNECTION_FAILURE


class LoginError(PgwardenError):
    """The client is not who it says, or may not come in."""

    sqlstate = INVALID_PASSWORD


class UnavailableError(PgwardenError):
    """Something pgwarden depends on (audit log, upstream) is not there right now."""

    sqlstate = CANNOT_CONNECT_NOW


class AuditUnavailable(UnavailableError):  # noqa: N818 - named for what it says
    """The audit log can't be written now, so nothing may be forwarded."""

    sqlstate = AUDIT_UNAVAILABLE


class ConfigError(PgwardenError):
    """A setting, policy or certificate is wrong: one line, told to the operator."""

    sqlstate = "F0000"


def reason_of(error: OSError) -> str:
    """Why the system said no, in its own words: no number, no Python name."""
    return (error.strerror or str(error) or "unreadable").lower()


def type_in_words(kind: str) -> str:
    """What pydantic's error type asks for, in words; "" where its own will do."""
    return _TYPES.get(kind.removesuffix("_type").removesuffix("_parsing"), "")


_TYPES: Final = {
    "bool": "must be true or false",
    "float": "must be a number",
    "int": "must be a whole number",
    "list": "must be a list",
    "string": "must be text",
    "tuple": "must be a list",
}
