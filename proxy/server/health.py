"""What is known about the upstream: does each of our logins get in?

Every dial reports here, those for clients and those of the probe, so that a busy
pgwarden needs no probe. Next: `proxy.server.probe`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import structlog

from proxy.errors import (
    CANNOT_CONNECT_NOW,
    CONNECTION_REJECTED,
    TOO_MANY_CONNECTIONS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.errors import ErrorReport

_log = structlog.get_logger("upstream")

Reason = Literal["connect", "tls", "login", "protocol"]

_PROBLEMS: Final = {
    "connect": "the database can't be reached",
    "tls": "the database can't be reached safely",
}
_REFUSALS: Final = {
    CANNOT_CONNECT_NOW: "the database does not accept connections now",
    CONNECTION_REJECTED: "the database refuses pgwarden's own login",
    TOO_MANY_CONNECTIONS: "the database has no connection left",
}


class UpstreamError(Exception):
    """No upstream session: `report` is for the client, `note` for the operator.

    `reason` is a metric label: connect, tls, login, protocol.
    """

    def __init__(self, report: ErrorReport, note: str, reason: Reason) -> None:
        super().__init__(note)
        self.report = report
        self.note = note
        self.reason = reason


class Health:
    """The last word on each login; changes are logged, once."""

    def __init__(self, logins: Iterable[str], *, clock: Callable[[], float]) -> None:
        """Begin with nothing known, which counts as well.

        Args:
            logins: the names of the upstream logins.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._problems: dict[str, str] = dict.fromkeys(logins, "")
        self._succeeded_s: dict[str, float] = {}

    def problems(self) -> list[str]:
        """What stands in the way, one short line each, fit for anyone to read."""
        return sorted({problem for problem in self._problems.values() if problem})

    def is_known_good(self, login: str, within_s: float) -> bool:
        """Whether the login got in during the last seconds."""
        last_s = self._succeeded_s.get(login)
        return last_s is not None and self._clock() - last_s < within_s

    def succeeded(self, login: str) -> None:
        """The login got in."""
        self._succeeded_s[login] = self._clock()
        if self._problems.get(login):
            _log.warning("upstream_is_back", login=login)
        self._problems[login] = ""

    def failed(self, login: str, error: UpstreamError) -> None:
        """The login did not get in; what only concerns one client does not count."""
        problem = _PROBLEMS.get(error.reason) or _REFUSALS.get(error.report.sqlstate)
        if problem is None:
            return
        self._succeeded_s.pop(login, None)
        if problem != self._problems.get(login):
            _log.error(
                "upstream_problem", login=login, problem=problem, note=error.note
            )
        self._problems[login] = problem
