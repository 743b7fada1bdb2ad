"""ErrorResponse and NoticeResponse: encoding our reports, reading a server's fields.

Reading is defensive, since fields echo what somebody typed and other servers leave
some out (PgBouncer crashed on an error without SQLSTATE, CVE-2026-6666).
Imports `codes`, `messages` and `proxy.errors`. Next: `proxy.session.upstream`.
https://www.postgresql.org/docs/18/protocol-error-fields.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import ErrorReport
from proxy.wire import codes
from proxy.wire.messages import message

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FIELD: Final = 8192
"""Longest text we put into one field, in bytes. A reason may quote user input, and
before login libpq takes errors of 30000 bytes at most (MAX_ERRLEN): three of these."""
MAX_FIELDS: Final = 64
"""Postgres has 18 kinds of field and sends each at most once."""
_ELLIPSIS: Final = "..."
_UNKNOWN_SQLSTATE: Final = "XX000"
_SQLSTATE_LENGTH: Final = 5
_MAX_DIGITS: Final = 10


def clip(text: str, limit: int = MAX_FIELD) -> bytes:
    """UTF-8 without NUL, at most `limit` bytes, cut between characters."""
    raw = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    if len(raw) <= limit:
        return raw
    cut = raw[: limit - len(_ELLIPSIS)].decode(errors="ignore")
    return cut.encode() + _ELLIPSIS.encode()


def _encode(kind: int, report: ErrorReport) -> bytes:
    severity = clip(report.severity)
    fields = [b"S" + severity, b"V" + severity, b"C" + clip(report.sqlstate)]
    fields.append(b"M" + clip(report.message))
    if report.detail:
        fields.append(b"D" + clip(report.detail))
    if report.hint:
        fields.append(b"H" + clip(report.hint))
    if report.position > 0:
        fields.append(b"P%d" % report.position)
    return message(kind, b"\0".join(fields) + b"\0\0")


def encode_error(report: ErrorReport) -> bytes:
    """A whole ErrorResponse."""
    return _encode(codes.ERROR_RESPONSE, report)


def encode_notice(report: ErrorReport) -> bytes:
    """A whole NoticeResponse; the severity is one of WARNING, NOTICE, INFO, LOG."""
    return _encode(codes.NOTICE_RESPONSE, report)


def parse_error_fields(body: bytes) -> dict[str, str]:
    """The fields of an error or notice by their letter; never raises.

    The first of a repeated letter counts, invalid UTF-8 is replaced, and what comes
    after the terminator or behind a missing NUL is ignored.
    """
    fields: dict[str, str] = {}
    for raw in body.split(b"\0", MAX_FIELDS)[:MAX_FIELDS]:
        if not raw:
            break
        fields.setdefault(chr(raw[0]), raw[1:].decode(errors="replace"))
    return fields


def report_from_fields(fields: Mapping[str, str]) -> ErrorReport:
    """An ErrorReport out of a server's fields, with defaults for what is missing."""
    sqlstate = fields.get("C", "")
    if len(sqlstate) != _SQLSTATE_LENGTH or not sqlstate.encode().isalnum():
        sqlstate = _UNKNOWN_SQLSTATE
    position = fields.get("P", "")
    is_number = position.encode().isdigit() and len(position) <= _MAX_DIGITS
    at = int(position) if is_number else 0
    return ErrorReport(
        sqlstate,
        fields.get("M") or "unknown error",
        fields.get("D", ""),
        fields.get("H", ""),
        position=at if at < 1 << 31 else 0,
        severity=fields.get("V") or fields.get("S") or "ERROR",
    )


def decode_error(body: bytes) -> ErrorReport:
    """The body of an ErrorResponse or NoticeResponse as a report; never raises."""
    return report_from_fields(parse_error_fields(body))
