"""The text of metrics that Prometheus reads."""

from __future__ import annotations

from waybill.ops.metrics import OPENMETRICS, Metrics
from waybill.web.metrics import BenchMetrics


def test_a_counter_is_one_series_and_not_two() -> None:
    metrics = Metrics("1.0")
    metrics.records_received.labels("http").inc(3)
    text, _ = metrics.render("text/plain")
    assert b'waybill_records_received_total{ingest="http"} 3.0' in text
    for told in (text, BenchMetrics().render()):
        assert b"# TYPE waybill_" in told
        assert b"_created" not in told
    with_times, kind = metrics.render("application/openmetrics-text")
    assert kind == OPENMETRICS
    assert b"waybill_records_received_created" in with_times
