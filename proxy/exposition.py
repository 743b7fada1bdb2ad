"""The metrics as Prometheus text, and as the page of the reference.

The only module that knows prometheus_client: a collector that reads a snapshot at each
scrape. `docs.generate` writes the page. Next: `proxy.metric_table`, the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from typing_extensions import override

from proxy.metric_table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric as Family

    from proxy.metric import Metric
    from proxy.metrics import Snapshot

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_PAGE_HEAD: Final = """\
# Metrics

All of them are served as Prometheus text at `/metrics` on the admin port. With several
workers the page shows them added up (gauges marked *max* show the worst worker). Labels
come from closed sets: roles and rule ids from the policy, kinds from pgwarden itself.
SQL text, names of people and addresses are never in a label.

`make docs` makes this page from the table in `proxy/metric_table.py`; do not edit it.

| Metric | Type | Labels | Meaning |
| --- | --- | --- | --- |
"""


def render(snapshot: Snapshot) -> bytes:
    """A snapshot in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(snapshot))
    return generate_latest(registry)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @override
    def collect(self) -> Iterator[Family]:
        for metric in TABLE:
            if metric.type == "histogram":
                yield self._histogram(metric)
            else:
                yield self._numbers(metric)

    def _numbers(self, metric: Metric) -> Family:
        family: CounterMetricFamily | GaugeMetricFamily
        if metric.type == "counter":
            family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        else:
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in self._snapshot.values.get(metric.name, ()):
            family.add_metric(labels, value)
        return family

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
        for labels, counts, total in self._snapshot.histograms.get(metric.name, ()):
            running = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(bounds, counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(labels, buckets, total)
        return family


def reference_page() -> str:
    """docs/reference/metrics.md."""
    rows = []
    for metric in TABLE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        kind = metric.type + (" (max)" if metric.merge == "max" else "")
        rows.append(f"| `{metric.name}` | {kind} | {labels} | {metric.help} |\n")
    buckets = [
        f"\nBuckets of `{metric.name}` (seconds): "
        + ", ".join(f"{bound:g}" for bound in metric.buckets)
        + ".\n"
        for metric in TABLE
        if metric.buckets
    ]
    return _PAGE_HEAD + "".join(rows) + "".join(buckets)
