"""What Postgres reports of a session's parameters: an alarm, or another name.

Reports come at ReadyForQuery, and not for every parameter: they prove nothing, but
what should never be seen is seen. Pure. Next: `proxy.session.replies`, which calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import PROTOCOL_VIOLATION, ErrorReport
from proxy.wire.frames import HEADER_BYTES

if TYPE_CHECKING:
    from proxy.session.session import Session

APPLICATION_NAME: Final = "application_name"

JUDGED_REPORTS: Final = frozenset({"search_path", "session_authorization"})
"""Watched parameters that a client may set where its policy says so. PostgreSQL 18 is
the first to report search_path."""


def on_parameter_status(
    session: Session, data: bytes, start: int, end: int
) -> bytes | None:
    """Compare with what the session was set up with: another value is an alarm.

    What the policy lets a client set, it may be set to: by whom, no report says.
    """
    name, _, value = data[start + HEADER_BYTES : end - 1].partition(b"\0")
    key = name.decode("utf-8", "replace")
    wanted = session.watched.get(key)
    shown = value.decode("utf-8", "replace")
    if key == APPLICATION_NAME:
        _renamed(session, shown)
    if wanted is None or shown == wanted:
        return None
    if key not in JUDGED_REPORTS or not session.judge.permits_setting(key, shown):
        session.records.append(
            session.made.internal(
                "parameter-alarm",
                detail={"parameter": key, "expected": wanted, "reported": shown},
            )
        )
        session.end(
            f"the server reported a changed {key}",
            ErrorReport(
                PROTOCOL_VIOLATION,
                f'parameter "{key}" was changed in a way that pgwarden does not allow',
                hint="the session ends here; what happened is in the audit log",
                severity="FATAL",
            ),
        )
    return None


def _renamed(session: Session, reported: str) -> None:
    """The client calls itself otherwise: a hint that rules may ask for, and a fact.

    Postgres reports it at ReadyForQuery, so what was sent before is judged by the
    name before.
    """
    surroundings = session.surroundings
    if surroundings is not None and surroundings.renamed(reported):
        name = surroundings.application
        session.records.append(
            session.made.internal("application-name", detail={APPLICATION_NAME: name})
        )
        if session.may_change:
            session.look_again()
