"""The metrics of the upstream's hosts and of the doctor's looks. Plain numbers.

`proxy.metrics` holds one of these; `proxy.server.report` and the dialler bump it.
Next: `proxy.metric`.
"""

from __future__ import annotations

from typing import Final

from proxy.metric import Counted, Labels, Metric

UPSTREAM_TABLE: Final = (
    Metric("pgwarden_upstream_failovers_total", "counter",
           "Times a login went on to another host: connect (no answer), not-now"
           " (57P03), unsuitable (not what target_session_attrs wants).",
           ("reason",)),
    Metric("pgwarden_upstream_hosts_down", "gauge",
           "Hosts of the upstream that did not answer when they were last tried.",
           merge="max"),
    Metric("pgwarden_doctor_critical_findings", "gauge",
           "Critical findings without a waiver, at the doctor's last look while it"
           " serves. More than 0 alarms; it ends no session.", merge="max"),
)  # fmt: skip


class UpstreamMetrics:
    """The numbers of this process."""

    def __init__(self) -> None:
        self.hosts_down = 0
        self.critical_findings = 0
        self._failovers = Counted()

    def failover(self, reason: str) -> None:
        """A login went on to another host."""
        self._failovers.add((reason,))

    def values(self) -> dict[str, dict[Labels, int]]:
        """By metric and labels, as `Metrics.snapshot` wants them."""
        return {
            "pgwarden_upstream_failovers_total": self._failovers,
            "pgwarden_upstream_hosts_down": {(): self.hosts_down},
            "pgwarden_doctor_critical_findings": {(): self.critical_findings},
        }
