"""The Prometheus text, read back by prometheus_client's own parser; the docs page."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from proxy.exposition import CONTENT_TYPE, reference_page, render
from proxy.metric_table import TABLE
from proxy.metrics import Metrics

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_a_scrape_reads_back() -> None:
    metrics = Metrics(version="1.2.3", started=0.0)
    metrics.tally.statement("developer", "ddl", rule='a"b\\\n', decision_s=3e-3)
    text = render(metrics.snapshot(7.0)).decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert families.keys() == {m.name.removesuffix("_total") for m in TABLE}
    (sample,) = families["pgwarden_refusals"].samples
    assert sample.labels == {"role": "developer", "rule": 'a"b\\\n'}
    buckets = {
        each.labels["le"]: each.value
        for each in families["pgwarden_decision_seconds"].samples
        if each.name.endswith("_bucket")
    }
    assert buckets["0.0025"] == 0
    assert buckets["0.01"] == buckets["+Inf"] == 1
    names = {s.name for s in families["pgwarden_decision_seconds"].samples}
    assert {"pgwarden_decision_seconds_sum", "pgwarden_decision_seconds_count"} <= names
    assert "_created" not in text
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_the_reference_is_that_of_the_table() -> None:
    assert PAGE.read_text() == reference_page(), "run: make docs"
    assert set(re.findall(r"`(pgwarden_\w+)`", PAGE.read_text())) == {
        metric.name for metric in TABLE
    }
