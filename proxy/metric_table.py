"""Every metric of pgwarden, in one table.

Labels come from closed sets (roles and rules of the policy, kinds of
`proxy.sql.facts.Kind`), never from SQL text or from anything a client can invent.
Next: `proxy.metrics`, the numbers behind it; `proxy.exposition`.
"""

from __future__ import annotations

from typing import Final

from proxy.issuer_metrics import ISSUER_TABLE
from proxy.metric import Metric
from proxy.upstream_metrics import UPSTREAM_TABLE

DECISION_BUCKETS: Final = (
    10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 50e-3, 250e-3,
    1.0,
)  # fmt: skip
"""Seconds. A cached text takes a microsecond, a large new one milliseconds."""

STATEMENT_BUCKETS: Final = (
    250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
"""Seconds. From an index look-up to a long report."""


TABLE: Final = (
    Metric("pgwarden_build_info", "gauge", "Version of pgwarden; always 1.",
           ("version",), merge="max"),
    Metric("pgwarden_uptime_seconds", "gauge", "Seconds since pgwarden began to serve.",
           merge="max"),
    Metric("pgwarden_workers", "gauge", "Worker processes that answered this scrape."),
    Metric("pgwarden_sessions_open", "gauge", "Sessions logged in now.", ("role",)),
    Metric("pgwarden_sessions_total", "counter", "Sessions that logged in.", ("role",)),
    Metric("pgwarden_logins_total", "counter",
           "Finished logins: ok, denied (unknown user or wrong password), refused (by"
           " policy, setting or ceiling), error (protocol, TLS, upstream), timeout.",
           ("result",)),
    Metric("pgwarden_login_throttled_total", "counter",
           "Logins refused untried or answered late: too many failures (identity: of"
           " the name from that address, address, network), no place (address-places,"
           " places), gave-way (its place was given to another), delayed.",
           ("reason",)),
    Metric("pgwarden_login_addresses_held", "gauge",
           "Addresses that are refused now for their failed logins."),
    Metric("pgwarden_statements_total", "counter",
           "Statements judged; the kind is that of the statement that decided.",
           ("role", "kind", "decision")),
    Metric("pgwarden_refusals_total", "counter", "Statements refused, by rule.",
           ("role", "rule")),
    Metric("pgwarden_limit_hits_total", "counter",
           "Times that a limit of a role refused a session (sessions,"
           " sessions-per-identity, reserved-slots), cancelled a statement"
           " (running-time) or ended a session (idle-in-transaction). Statements that"
           " are too many in a minute are in pgwarden_refusals_total.",
           ("role", "limit")),
    Metric("pgwarden_shadow_refusals_total", "counter",
           "Statements and start-up settings that passed and that a rule in shadow"
           " would have refused, by rule.", ("role", "rule")),
    Metric("pgwarden_decision_seconds", "histogram",
           "Time from a statement's text to the decision, facts included.",
           buckets=DECISION_BUCKETS),
    Metric("pgwarden_statement_seconds", "histogram",
           "Time from forwarding a statement to its end.", ("role",),
           STATEMENT_BUCKETS),
    Metric("pgwarden_statement_outcomes_total", "counter",
           "Forwarded statements by their end: ok, error, skipped, unknown.",
           ("role", "status")),
    Metric("pgwarden_frontend_received_bytes_total", "counter",
           "Bytes received from clients, after TLS."),
    Metric("pgwarden_frontend_sent_bytes_total", "counter",
           "Bytes sent to clients, before TLS."),
    Metric("pgwarden_upstream_connections_open", "gauge",
           "Connections to upstream servers right now."),
    Metric("pgwarden_upstream_errors_total", "counter",
           "Upstream failures: connect, tls, login, lost, protocol.", ("reason",)),
    Metric("pgwarden_cancel_requests_total", "counter",
           "CancelRequests: forwarded, unknown (no such key), failed.", ("result",)),
    Metric("pgwarden_migrations_total", "counter",
           "Migrations: recorded, unrecorded (on staging); of proven ones begun,"
           " committed, rolled_back, partial, unknown (how they ended), drifted (the"
           " schema is another one behind it), gate (kept from beginning).", ("step",)),
    Metric("pgwarden_policy_reloads_total", "counter",
           "Attempts to load a changed policy: ok, refused (the old one stays).",
           ("result",)),
    Metric("pgwarden_policy_info", "gauge", "The policy in force; always 1.",
           ("version",), merge="max"),
    Metric("pgwarden_catalog_loads_total", "counter",
           "Looks at a database's catalog: loaded (it had changed), unchanged, failed"
           " (the old one stays for an hour, then verdicts are strict).",
           ("result",)),
    Metric("pgwarden_audit_records_total", "counter",
           "Audit records written, checkpoints excluded."),
    Metric("pgwarden_audit_written_bytes_total", "counter",
           "Bytes appended to audit files."),
    Metric("pgwarden_audit_write_errors_total", "counter",
           "Appends to the audit log that failed; their statements were refused."),
    Metric("pgwarden_audit_unavailable", "gauge",
           "Workers that can't write their audit log now; they refuse statements."),
    Metric("pgwarden_audit_lag_seconds", "gauge",
           "Age of the oldest record that should be on disk and is not.", merge="max"),
    Metric("pgwarden_audit_foreign_changes_total", "counter",
           "Times an open audit file was moved, removed or changed by someone else."),
    Metric("pgwarden_audit_lost_records_total", "counter",
           "Outcomes and ends of sessions lost in an outage that outgrew the memory for"
           " them; the log states the number."),
    Metric("pgwarden_access_grants", "gauge",
           "Requests for lent roles: pending, active, unreviewed (over by now).",
           ("state",), merge="max"),
    Metric("pgwarden_access_webhook_total", "counter",
           "Calls of the access webhook: ok, failed, dropped.", ("result",)),
    Metric("pgwarden_event_loop_lag_seconds", "gauge",
           "How late the event loop ran a timer, worst of the last interval.",
           merge="max"),
    *UPSTREAM_TABLE,
    *ISSUER_TABLE,
)  # fmt: skip
"""The order is that of the exposition and of docs/reference/metrics.md."""
