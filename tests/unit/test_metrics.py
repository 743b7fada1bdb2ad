"""The numbers: counted, added up over workers, and none without a row in the table."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from proxy import metric as metric_module, metrics as module
from proxy.metric import Type
from proxy.metric_table import DECISION_BUCKETS, TABLE
from proxy.metrics import (
    Histogram,
    Metrics,
    Snapshot,
    merge,
    pack,
    unpack,
)


def busy() -> Metrics:
    metrics = Metrics(version="1.2.3", started=100.0)
    metrics.tally.statement("developer", "read", rule="", decision_s=2e-6)
    metrics.tally.statement("developer", "read", rule="", decision_s=3e-3)
    metrics.tally.statement("developer", "ddl", rule="developer.no-ddl", decision_s=9.0)
    metrics.tally.outcome("developer", "ok", 0.002)
    metrics.tally.outcome("developer", "error", 4000.0)
    metrics.tally.outcome("migrator", "ok", 0.1)
    metrics.session_opened("developer")
    metrics.session_opened("developer")
    metrics.session_closed("developer")
    metrics.login("denied")
    metrics.limit_hit("developer", "running-time")
    metrics.upstream_error("connect")
    metrics.cancel_request("forwarded")
    metrics.policy_reload("ok", "ab12")
    metrics.policy_reload("refused")
    metrics.bytes_received += 10
    metrics.bytes_sent += 20
    metrics.upstream_open += 1
    metrics.loop_lag_s = 0.25
    metrics.audit.records += 4
    metrics.audit.unavailable = 1
    return metrics


def value(snapshot: Snapshot, name: str, *labels: str) -> float:
    found = {tuple(key): number for key, number in snapshot.values[name]}
    return found[labels]


def test_what_is_bumped_is_shown() -> None:
    shown = busy().snapshot(160.0)
    for name, labels, expected in (
        ("build_info", ("1.2.3",), 1),
        ("uptime_seconds", (), 60),
        ("sessions_open", ("developer",), 1),
        ("sessions_total", ("developer",), 2),
        ("logins_total", ("denied",), 1),
        ("limit_hits_total", ("developer", "running-time"), 1),
        ("statements_total", ("developer", "read", "allow"), 2),
        ("statements_total", ("developer", "ddl", "deny"), 1),
        ("refusals_total", ("developer", "developer.no-ddl"), 1),
        ("statement_outcomes_total", ("developer", "error"), 1),
        ("upstream_errors_total", ("connect",), 1),
        ("cancel_requests_total", ("forwarded",), 1),
        ("policy_reloads_total", ("refused",), 1),
        ("policy_info", ("ab12",), 1),
        ("frontend_received_bytes_total", (), 10),
        ("frontend_sent_bytes_total", (), 20),
        ("upstream_connections_open", (), 1),
        ("event_loop_lag_seconds", (), 0.25),
        ("audit_records_total", (), 4),
        ("audit_unavailable", (), 1),
    ):
        assert value(shown, f"pgwarden_{name}", *labels) == expected
    ((_, counts, total),) = shown.histograms["pgwarden_decision_seconds"]
    assert (counts[0], counts[8], counts[-1], sum(counts)) == (1, 1, 1, 3)
    assert total == pytest.approx(9.003002)
    by_role = {
        labels[0]: sum(counts)
        for labels, counts, _ in shown.histograms["pgwarden_statement_seconds"]
    }
    assert by_role == {"developer": 2, "migrator": 1}


def test_a_value_on_a_bound_is_within_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 2.0, 2.1):
        histogram.observe_all([number])
    assert histogram.counts == [2, 2, 1]
    assert list(DECISION_BUCKETS) == sorted(DECISION_BUCKETS)


def test_the_table_and_the_snapshot_hold_the_same_names() -> None:
    shown = busy().snapshot(160.0)
    assert {m.name for m in TABLE} == shown.values.keys() | shown.histograms.keys()
    lengths = {m.name: len(m.labels) for m in TABLE}
    for name, series in shown.values.items():
        assert {len(labels) for labels, _ in series} <= {lengths[name]}


def test_names_follow_the_habits_of_prometheus() -> None:
    for metric in TABLE:
        assert metric.name.startswith("pgwarden_")
        assert (metric.type == "counter") == metric.name.endswith("_total")
        assert bool(metric.buckets) == (metric.type == "histogram")
        assert metric.help.endswith(".")
        assert metric.type in get_args(Type)


def test_workers_add_up() -> None:
    one, two = busy(), busy()
    two.policy_reload("ok", "cd34")
    two.loop_lag_s = 0.5
    total = merge([unpack(pack(one.snapshot(160.0))), two.snapshot(110.0)])
    for name, labels, expected in (
        ("workers", (), 2),
        ("uptime_seconds", (), 60),
        ("build_info", ("1.2.3",), 1),
        ("statements_total", ("developer", "read", "allow"), 4),
        ("sessions_open", ("developer",), 2),
        ("event_loop_lag_seconds", (), 0.5),
        ("audit_unavailable", (), 2),
        ("policy_info", ("ab12",), 1),
        ("policy_info", ("cd34",), 1),
    ):
        assert value(total, f"pgwarden_{name}", *labels) == expected
    ((_, counts, seconds),) = total.histograms["pgwarden_decision_seconds"]
    assert sum(counts) == 6
    assert seconds == pytest.approx(18.006004)


def test_a_merge_changes_no_snapshot() -> None:
    snapshot = busy().snapshot(1.0)
    before = pack(snapshot)
    merge([snapshot, snapshot])
    assert pack(snapshot) == before


def test_what_is_no_snapshot_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(b"\x00")


def test_series_have_a_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_module, "MAX_SERIES", 3)
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    metrics = Metrics(version="1", started=0.0)
    for number in range(10):
        metrics.tally.statement(f"r{number}", "read", rule=f"x{number}", decision_s=0)
        metrics.tally.outcome(f"r{number}", "ok", 0.1)
    shown: Any = metrics.snapshot(0.0)
    for name in ("statements_total", "refusals_total", "statement_outcomes_total"):
        series = shown.values[f"pgwarden_{name}"]
        assert len(series) == 4
        assert sum(number for _, number in series) == 10
    histograms = shown.histograms["pgwarden_statement_seconds"]
    assert len(histograms) == 4
    assert sum(sum(counts) for _, counts, _ in histograms) == 10


def test_hosts_and_findings_are_counted() -> None:
    metrics = Metrics(version="1", started=0.0)
    metrics.upstream.failover("connect")
    metrics.upstream.hosts_down = 1
    metrics.upstream.critical_findings = 2
    both = merge([metrics.snapshot(0.0), metrics.snapshot(0.0)])
    assert value(both, "pgwarden_upstream_failovers_total", "connect") == 2
    # Every worker sees the same hosts.
    assert value(both, "pgwarden_upstream_hosts_down") == 1
    assert value(both, "pgwarden_doctor_critical_findings") == 2


def test_issuers_and_their_tokens_are_counted() -> None:
    metrics = Metrics(version="1", started=0.0)
    metrics.issuers.token("forge", "ok")
    metrics.issuers.token("forge", "expired")
    metrics.issuers.fetch("forge", is_ok=False)
    metrics.issuers.ages = lambda: {"forge": 61.7}
    shown = metrics.snapshot(0.0)
    assert value(shown, "pgwarden_tokens_total", "forge", "expired") == 1
    assert value(shown, "pgwarden_issuer_fetches_total", "forge", "failed") == 1
    both = merge([shown, shown])
    assert value(both, "pgwarden_tokens_total", "forge", "ok") == 2
    assert value(both, "pgwarden_issuer_keys_age_seconds", "forge") == 61
