"""What is told of those who did not come in: each one, or, in a flood, how many.

The first of a minute have a line in the operations log and a record in the audit log
each. Beyond that they are counted, and the count is told once the minute is over: one
line in all, one record for each address. Whoever was proven has a record of his own,
always. Next: `proxy.server.door`.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import structlog

from proxy.audit.details import SessionEnd
from proxy.audit.records import SessionRecords
from proxy.errors import CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS, ErrorReport
from proxy.session.wish import Outcome

if TYPE_CHECKING:
    from proxy.metrics import Metrics
    from proxy.server.committer import Committer

Result = Literal["ok", "denied", "refused", "error", "timeout"]

_log = structlog.get_logger("login")

TOLD_EVERY_S: Final = 60.0
"""So that an attack of an hour is sixty lines, and nobody waits long for the first."""
LINES: Final = 20
"""In the operations log within that time: enough to see what it is about."""
RECORDS_OF_ADDRESS: Final = 20
"""In the audit log, for one address: a person who can't remember has fewer."""
RECORDS: Final = 500
"""In the audit log, for all addresses."""
MOST_ADDRESSES: Final = 1_000
"""Addresses that are counted apart; those beyond share one count."""
ELSEWHERE: Final = ""
NAMES: Final = 5
"""Names that a count tells; there may be any number."""
MOST_NAME: Final = 63
"""Of a name in a count, as Postgres cuts it (NAMEDATALEN)."""
PURPOSE: Final = "logins-refused"

RESULTS: Final[dict[Outcome, Result]] = {
    Outcome.UNKNOWN_IDENTITY: "denied",
    Outcome.UNUSABLE_IDENTITY: "denied",
    Outcome.CREDENTIALS: "denied",
    Outcome.PROTOCOL: "error",
}
AFTER_PROOF: Final = (Outcome.NETWORK, Outcome.POLICY)
"""What is refused only to who was proven."""

GIVES_WAY: Final = ErrorReport(
    TOO_MANY_CONNECTIONS,
    "too many connections have not logged in yet",
    hint="try again",
    severity="FATAL",
)
SHUTS_DOWN: Final = ErrorReport(
    CANNOT_CONNECT_NOW, "pgwarden is shutting down", severity="FATAL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLogin:
    """One who did not come in.

    Attributes:
        place: the address as failures are counted, `proxy.auth.throttle.Place.address`.
        is_proven: the proof was right, so no stranger can make many of these.
    """

    address: str
    place: str
    identity: str
    role: str = ""
    database: str = ""
    application_name: str = ""
    report: ErrorReport
    result: Result
    note: str
    duration_s: float
    is_proven: bool = False


@dataclass(slots=True)
class _Count:
    """The refused logins of one address within the time."""

    records: int = 0
    more: int = 0
    results: Counter[Result] = field(default_factory=Counter)
    names: dict[str, None] = field(default_factory=dict)

    def add(self, one: RefusedLogin) -> None:
        self.more += 1
        self.results[one.result] += 1
        if len(self.names) < NAMES and one.identity:
            self.names[one.identity[:MOST_NAME]] = None


class RefusedLogins:
    """Tells metrics, operations log and audit log of one worker."""

    def __init__(self, metrics: Metrics, committer: Committer) -> None:
        """Nobody was refused yet."""
        self._metrics = metrics
        self._committer = committer
        self._begun_s: float | None = None
        self._lines = 0
        self._records = 0
        self._unlined = 0
        self._counts: dict[str, _Count] = {}

    def add(self, one: RefusedLogin, now_s: float) -> None:
        """Somebody was refused."""
        self.due(now_s)
        if self._begun_s is None:
            self._begun_s = now_s
        self._metrics.login(one.result)
        if one.is_proven or self._lines < LINES:
            self._lines += not one.is_proven
            self._line(one)
        else:
            self._unlined += 1
        count = self._count_of(one.place)
        if one.is_proven:
            self._record(one)
        elif count.records < RECORDS_OF_ADDRESS and self._records < RECORDS:
            count.records += 1
            self._records += 1
            self._record(one)
        else:
            count.add(one)

    def due(self, now_s: float) -> None:
        """Tell what was counted, if the time is over."""
        if self._begun_s is not None and now_s - self._begun_s >= TOLD_EVERY_S:
            self.tell(now_s)

    def tell(self, now_s: float) -> None:
        """Tell what was counted so far, and begin anew."""
        if self._begun_s is None:
            return
        counts = {place: each for place, each in self._counts.items() if each.more}
        if self._unlined or counts:
            most = max(counts, key=lambda place: counts[place].more, default=ELSEWHERE)
            _log.warning(
                "logins_refused",
                more=self._unlined,
                within_s=round(now_s - self._begun_s, 1),
                addresses=len(self._counts),
                most_from=most,
            )
        for place, count in counts.items():
            self._committer.record(_counted(place, count, now_s - self._begun_s))
        self._begun_s = None
        self._lines = self._records = self._unlined = 0
        self._counts.clear()

    def _count_of(self, place: str) -> _Count:
        if place not in self._counts and len(self._counts) >= MOST_ADDRESSES:
            place = ELSEWHERE
        return self._counts.setdefault(place, _Count())

    @staticmethod
    def _line(one: RefusedLogin) -> None:
        _log.info(
            "login_refused",
            client=one.address,
            identity=one.identity,
            reason=one.report.message,
            note=one.note,
        )

    def _record(self, one: RefusedLogin) -> None:
        records = SessionRecords(
            secrets.token_hex(8),
            identity=one.identity,
            role=one.role,
            database=one.database,
            application_name=one.application_name,
            client_address=one.address,
        )
        self._committer.record(
            records.end(
                SessionEnd(
                    reason=one.report.message,
                    duration_s=round(one.duration_s, 6),
                    status="refused",
                    sqlstate=one.report.sqlstate,
                )
            )
        )


def _counted(place: str, count: _Count, within_s: float) -> bytes:
    records = SessionRecords(
        secrets.token_hex(8),
        identity="",
        role="",
        database="",
        application_name="",
        client_address=place,
    )
    detail = {"more": str(count.more), "within_s": f"{within_s:.1f}"}
    detail |= {result: str(times) for result, times in sorted(count.results.items())}
    if count.names:
        detail["identities"] = ", ".join(count.names)
    return records.internal(PURPOSE, detail=detail)
