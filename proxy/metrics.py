"""The plain numbers behind the metrics.

What statements add comes from `proxy.tally`; Prometheus types are made at a scrape
(`proxy.exposition`). A ceiling on series holds even if a caller forgets that labels
come from closed sets. Workers hand over snapshots, which the parent sums.
Next: `proxy.metric_table`, which says what there is; `proxy.exposition`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from proxy.issuer_metrics import IssuerMetrics
from proxy.metric import MAX_SERIES, Counted as _Counted, Labels
from proxy.metric_table import DECISION_BUCKETS, STATEMENT_BUCKETS, TABLE
from proxy.tally import Tally
from proxy.upstream_metrics import UpstreamMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

Throttled = Literal[
    "identity",
    "address",
    "network",
    "address-places",
    "places",
    "gave-way",
    "delayed",
]


class Histogram:
    """Counts by fixed upper bounds (the last one is +Inf), and a sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe_all(self, values: list[float]) -> None:
        """Count values; the list is sorted on the way."""
        values.sort()
        before = 0
        for index, bound in enumerate(self.bounds):
            upto = bisect_right(values, bound)
            self.counts[index] += upto - before
            before = upto
        self.counts[-1] += len(values) - before
        self.total += sum(values)


class AuditCounters:
    """What `proxy.audit.writer` counts."""

    __slots__ = (
        "bytes",
        "foreign_changes",
        "lag_s",
        "lost",
        "records",
        "unavailable",
        "write_errors",
    )

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.write_errors = 0
        self.unavailable = 0
        self.foreign_changes = 0
        self.lost = 0
        self.lag_s = 0.0


class Snapshot(Struct):
    """All values of one process, or of several added up; plain data."""

    values: dict[str, list[tuple[list[str], float]]]
    histograms: dict[str, list[tuple[list[str], list[int], float]]]


class Metrics:
    """The numbers of this process. Plain attributes may be bumped directly."""

    def __init__(self, *, version: str, started: float) -> None:
        """Begin at zero.

        Args:
            version: of pgwarden.
            started: monotonic seconds when the process began to serve.
        """
        self.version = version
        self.started = started
        self.policy_version = ""
        self.audit = AuditCounters()
        self.upstream = UpstreamMetrics()
        self.issuers = IssuerMetrics()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.upstream_open = 0
        self.loop_lag_s = 0.0
        self.login_addresses_held = 0
        self._open = _Counted()
        self._sessions = _Counted()
        self._logins = _Counted()
        self._throttled = _Counted()
        self._statements = _Counted()
        self._refusals = _Counted()
        self._limit_hits = _Counted()
        self._shadows = _Counted()
        self._outcomes = _Counted()
        self._upstream_errors = _Counted()
        self._cancels = _Counted()
        self._migrations = _Counted()
        self._reloads = _Counted()
        self._catalog_loads = _Counted()
        self._decision_s = Histogram(DECISION_BUCKETS)
        self._statement_s: dict[str, Histogram] = {}
        self.webhooks = _Counted()
        self.lent: dict[Labels, int] = {}
        self.tally = Tally(self._fold)

    def _fold(self) -> None:
        """Count what has gathered, many at once: in C, at a tenth of the cost."""
        tally = self.tally
        for labels, amount in Counter(tally.judged).items():
            self._statements.add(labels, amount)
        for labels, amount in Counter(tally.refused).items():
            self._refusals.add(labels, amount)
        for labels, amount in Counter(tally.shadowed).items():
            self._shadows.add(labels, amount)
        for labels, amount in Counter(tally.ended).items():
            self._outcomes.add(labels, amount)
        self._decision_s.observe_all(tally.decided_s)
        for role, seconds in tally.ended_s.items():
            self._histogram_of(role).observe_all(seconds)
        tally.clear()

    def _histogram_of(self, role: str) -> Histogram:
        if role not in self._statement_s and len(self._statement_s) >= MAX_SERIES:
            role = "other"
        return self._statement_s.setdefault(role, Histogram(STATEMENT_BUCKETS))

    def session_opened(self, role: str) -> None:
        """A client logged in."""
        self._open.add((role,))
        self._sessions.add((role,))

    def session_closed(self, role: str) -> None:
        """A session that had logged in is over."""
        self._open.add((role,), -1)

    def login(
        self, result: Literal["ok", "denied", "refused", "error", "timeout"]
    ) -> None:
        """A login came to its end."""
        self._logins.add((result,))

    def login_throttled(self, reason: Throttled) -> None:
        """A login was refused untried, or its answer waits."""
        self._throttled.add((reason,))

    def limit_hit(self, role: str, limit: str) -> None:
        """A limit of the role took effect; `limit` is its name in a rule id."""
        self._limit_hits.add((role, limit))

    def upstream_error(
        self, reason: Literal["connect", "tls", "login", "lost", "protocol"]
    ) -> None:
        """An upstream could not be reached or failed a session."""
        self._upstream_errors.add((reason,))

    def cancel_request(self, result: Literal["forwarded", "unknown", "failed"]) -> None:
        """A CancelRequest arrived."""
        self._cancels.add((result,))

    def migration(self, step: str) -> None:
        """A migration was recorded, or a proven one has come so far.

        Args:
            step: one of those that the table of metrics names.
        """
        self._migrations.add((step,))

    def policy_reload(
        self, result: Literal["ok", "refused"], version: str = ""
    ) -> None:
        """A policy was read again; `version` of the one now in force."""
        self._reloads.add((result,))
        self.policy_version = version or self.policy_version

    def catalog_load(self, result: Literal["loaded", "unchanged", "failed"]) -> None:
        """A database was asked for its catalog."""
        self._catalog_loads.add((result,))

    def snapshot(self, now: float) -> Snapshot:
        """All values as plain data. `now` is monotonic, like `started`."""
        self._fold()
        one: dict[str, float] = {
            "pgwarden_uptime_seconds": now - self.started,
            "pgwarden_workers": 1,
            "pgwarden_frontend_received_bytes_total": self.bytes_received,
            "pgwarden_frontend_sent_bytes_total": self.bytes_sent,
            "pgwarden_upstream_connections_open": self.upstream_open,
            "pgwarden_audit_records_total": self.audit.records,
            "pgwarden_audit_written_bytes_total": self.audit.bytes,
            "pgwarden_audit_write_errors_total": self.audit.write_errors,
            "pgwarden_audit_unavailable": self.audit.unavailable,
            "pgwarden_audit_lag_seconds": self.audit.lag_s,
            "pgwarden_audit_foreign_changes_total": self.audit.foreign_changes,
            "pgwarden_audit_lost_records_total": self.audit.lost,
            "pgwarden_login_addresses_held": self.login_addresses_held,
            "pgwarden_event_loop_lag_seconds": self.loop_lag_s,
        }
        many: dict[str, dict[Labels, int]] = {
            "pgwarden_build_info": {(self.version,): 1},
            "pgwarden_sessions_open": self._open,
            "pgwarden_sessions_total": self._sessions,
            "pgwarden_logins_total": self._logins,
            "pgwarden_login_throttled_total": self._throttled,
            "pgwarden_statements_total": self._statements,
            "pgwarden_refusals_total": self._refusals,
            "pgwarden_limit_hits_total": self._limit_hits,
            "pgwarden_shadow_refusals_total": self._shadows,
            "pgwarden_statement_outcomes_total": self._outcomes,
            "pgwarden_upstream_errors_total": self._upstream_errors,
            "pgwarden_cancel_requests_total": self._cancels,
            "pgwarden_migrations_total": self._migrations,
            "pgwarden_policy_reloads_total": self._reloads,
            "pgwarden_catalog_loads_total": self._catalog_loads,
            "pgwarden_access_grants": self.lent,
            "pgwarden_access_webhook_total": self.webhooks,
            "pgwarden_policy_info": (
                {(self.policy_version,): 1} if self.policy_version else {}
            ),
            **self.upstream.values(),
            **self.issuers.values(),
        }
        values: dict[str, list[tuple[list[str], float]]] = {
            name: [([], value)] for name, value in one.items()
        }
        for name, counted in many.items():
            values[name] = [(list(labels), n) for labels, n in counted.items()]
        decision, by_role = self._decision_s, self._statement_s
        return Snapshot(
            values,
            {
                "pgwarden_decision_seconds": [([], [*decision.counts], decision.total)],
                "pgwarden_statement_seconds": [
                    ([role], [*each.counts], each.total)
                    for role, each in by_role.items()
                ],
            },
        )


_SNAPSHOTS: Final = msgspec.msgpack.Decoder(Snapshot)


def pack(snapshot: Snapshot) -> bytes:
    """For a pipe from a worker to its parent."""
    return msgspec.msgpack.encode(snapshot)


def unpack(data: bytes) -> Snapshot:
    """The snapshot that `pack` made.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    return _SNAPSHOTS.decode(data)


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several workers' values as those of one process (see `Metric.merge`)."""
    takes_max = {metric.name for metric in TABLE if metric.merge == "max"}
    values: dict[str, dict[Labels, float]] = {}
    histograms: dict[str, dict[Labels, tuple[list[int], float]]] = {}
    for snapshot in snapshots:
        for name, series in snapshot.values.items():
            into = values.setdefault(name, {})
            for labels, value in series:
                key = tuple(labels)
                old = into.get(key, 0.0)
                into[key] = max(old, value) if name in takes_max else old + value
        for name, observed in snapshot.histograms.items():
            sums = histograms.setdefault(name, {})
            for labels, counts, total in observed:
                key = tuple(labels)
                before, old = sums.get(key, ([0] * len(counts), 0.0))
                added = [a + b for a, b in zip(before, counts, strict=True)]
                sums[key] = (added, old + total)
    return Snapshot(
        {
            name: [(list(key), value) for key, value in series.items()]
            for name, series in values.items()
        },
        {
            name: [(list(key), counts, total) for key, (counts, total) in sums.items()]
            for name, sums in histograms.items()
        },
    )
