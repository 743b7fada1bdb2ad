"""An upstream's error during login, in words a client may read.

The server's own text is passed on only where it speaks of the client's own settings
and the server has proven itself; the operator gets all of it, cleaned. Before that
anybody could have written it (CVE-2024-10977). Pure. Imports `proxy.errors`.
Next: `proxy.session.upstream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import (
    CANNOT_CONNECT_NOW,
    CONNECTION_FAILURE,
    CONNECTION_REJECTED,
    DENIED,
    GATE_UNSATISFIED,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
    ErrorReport,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NOTE: Final = 500
"""Characters of a server's text in a log line."""
_UNDEFINED_OBJECT: Final = "42704"
_DATA_EXCEPTION: Final = "22"
_SETTING_WORD: Final = "parameter"
_NOT_NOW: Final = (
    CANNOT_CONNECT_NOW,
    "the database is not accepting connections now",
    "It is starting, stopping or recovering; try again in a moment.",
)
_OWN_LOGIN: Final = (
    CONNECTION_REJECTED,
    "the database refused pgwarden's own login",
    "Your password was right; tell pgwarden's operator.",
)
_ANYTHING_ELSE: Final = (CONNECTION_FAILURE, "the database refused the connection", "")
_TOLD: Final[dict[str, tuple[str, str, str]]] = {
    "28000": _OWN_LOGIN,
    "28P01": _OWN_LOGIN,
    "3D000": (INVALID_CATALOG_NAME, 'database "{database}" does not exist', ""),
    "42501": (DENIED, 'permission denied for database "{database}"', ""),
    "53300": (
        TOO_MANY_CONNECTIONS,
        "the database has too many clients already",
        "Try again in a moment.",
    ),
    "55000": (
        GATE_UNSATISFIED,
        'database "{database}" is not currently accepting connections',
        "",
    ),
    "57P01": _NOT_NOW,
    "57P02": _NOT_NOW,
    "57P03": _NOT_NOW,
    "57P05": _NOT_NOW,
}
"""What a client is told, by what the server said: SQLSTATE, message, hint."""


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:MAX_NOTE]


def explain(
    fields: Mapping[str, str], *, database: str, is_proven: bool
) -> tuple[ErrorReport, str]:
    """The report for the client and the note for the operator.

    Args:
        fields: the ErrorResponse, as `parse_error_fields` gives it.
        database: the database that was asked for.
        is_proven: the server sent AuthenticationOk after proving itself.
    """
    sqlstate = _clean(fields.get("C", ""))[:5]
    text = _clean(fields.get("M", ""))
    note = f"the upstream refused the login: {sqlstate or 'no SQLSTATE'} {text}"
    if detail := _clean(fields.get("D", "")):
        note += f" ({detail})"
    return _report(sqlstate, text, database, is_proven=is_proven), note


def explain_to_person(
    report: ErrorReport, note: str, *, user: str
) -> tuple[ErrorReport, str]:
    """The same where the upstream role belongs to one identity: it may not be there.

    Postgres does not tell a role that does not exist from a wrong password.
    """
    if report.sqlstate != CONNECTION_REJECTED:
        return report, note
    told = ErrorReport(
        CONNECTION_REJECTED,
        f'the database refused "{user}", pgwarden\'s login for you',
        hint="Your password was right; ask pgwarden's operator whether that role "
        "exists in the database and has the password that pgwarden holds for it.",
        severity="FATAL",
    )
    name = user.replace('"', '""')
    return told, (
        f'{note}; if there is no such role: CREATE ROLE "{name}" LOGIN PASSWORD ..., '
        "with the privileges of the others (deploy/person.sql)"
    )


def _report(sqlstate: str, text: str, database: str, *, is_proven: bool) -> ErrorReport:
    speaks_of_setting = _SETTING_WORD in text and (
        sqlstate.startswith(_DATA_EXCEPTION) or sqlstate in {_UNDEFINED_OBJECT, DENIED}
    )
    if is_proven and speaks_of_setting:
        return ErrorReport(sqlstate, text, severity="FATAL")
    state, message, hint = _TOLD.get(sqlstate, _ANYTHING_ELSE)
    message = message.format(database=database)
    return ErrorReport(state, message, hint=hint, severity="FATAL")
