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
    DENIED,
    GATE_UNSATISFIED,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.errors import ErrorReport

_log = structlog.get_logger("upstream")

Reason = Literal["connect", "tls", "login", "protocol"]

UNTRIED: Final = "the database has not been tried yet"
_PROBLEMS: Final = {
    "connect": "the database can't be reached",
    "tls": "the database can't be reached safely",
}
_REFUSALS: Final = {
    CANNOT_CONNECT_NOW: "the database does not accept connections now",
    CONNECTION_REJECTED: "the database refuses pgwarden's own login",
    TOO_MANY_CONNECTIONS: "the database has no connection left",
}

_OF_ONE_DATABASE: Final = {INVALID_CATALOG_NAME, DENIED, GATE_UNSATISFIED}


class UpstreamError(Exception):
    """No upstream session: `report` is for the client, `note` for the operator.

    `reason` is a metric label: connect, tls, login, protocol; `sqlstate` is the
    server's own, "" where it gave none.
    """

    def __init__(
        self, report: ErrorReport, note: str, reason: Reason, sqlstate: str = ""
    ) -> None:
        super().__init__(note)
        self.report = report
        self.note = note
        self.reason = reason
        self.sqlstate = sqlstate


class Health:
    """The last word on each login; changes are logged, once."""

    def __init__(self, logins: Iterable[str], *, clock: Callable[[], float]) -> None:
        """Begin with nothing known, which is a problem until all were tried.

        Args:
            logins: the names of the upstream logins.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._problems: dict[str, str] = dict.fromkeys(logins, "")
        self._reached_s: dict[str, float] = {}
        self._all_tried = False

    def problems(self) -> list[str]:
        """What stands in the way, one short line each, fit for anyone to read."""
        return self._found() or ([] if self._all_tried else [UNTRIED])

    def all_tried(self) -> None:
        """Each login that some role uses was tried once."""
        self._all_tried = True

    def _found(self) -> list[str]:
        return sorted({problem for problem in self._problems.values() if problem})

    def is_known_good(self, login: str, within_s: float) -> bool:
        """Whether the login reached the upstream during the last seconds."""
        last_s = self._reached_s.get(login)
        return last_s is not None and self._clock() - last_s < within_s

    def succeeded(self, login: str) -> None:
        """The login got in."""
        self._reached_s[login] = self._clock()
        had_problem = bool(self._problems.get(login))
        self._problems[login] = ""
        if had_problem and not self._found():
            _log.warning("upstream_is_back")

    def failed(
        self,
        login: str,
        error: UpstreamError,
        *,
        is_probe: bool,
        is_personal: bool = False,
    ) -> None:
        """The login did not get in.

        Args:
            login: which one.
            error: how it failed.
            is_probe: nobody's settings but our own can be the reason.
            is_personal: the upstream role is one identity's own, and says nothing of
                the others': only a server that takes nobody is a problem.
        """
        sqlstate = error.report.sqlstate
        if is_personal and error.reason == "login" and sqlstate != CANNOT_CONNECT_NOW:
            self.succeeded(login)
            return
        problem = _PROBLEMS.get(error.reason) or _REFUSALS.get(sqlstate)
        if problem is None:
            if sqlstate in _OF_ONE_DATABASE:
                # Said after the login was accepted: others may well get in.
                self.succeeded(login)
                return
            if not is_probe:
                return
            problem = "pgwarden's own login to the database fails"
        self._reached_s.pop(login, None)
        # Nobody can be reached, or this one is refused: once for each is enough.
        is_general = error.reason in _PROBLEMS
        known = self._found() if is_general else [self._problems.get(login)]
        if problem not in known:
            _log.error(
                "upstream_problem", login=login, problem=problem, note=error.note
            )
        self._problems[login] = problem
