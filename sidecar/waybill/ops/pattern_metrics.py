"""The metrics of patterns and sources; part of `waybill.ops.metrics.Metrics`."""

from __future__ import annotations

from waybill.core.reasons import PatternFault
from waybill.ops.making import Maker

__all__ = ["PatternMetrics"]


class PatternMetrics:
    """What `waybill.patterns` has to tell, declared with ``make``."""

    def __init__(self, make: Maker) -> None:
        self.patterns = make.gauge("patterns", "Patterns that have a place in the table.")
        self.evicted = make.counter(
            "patterns_evicted_total", "Patterns that made place for others."
        )
        self.new = make.counter(
            "patterns_new_total", "Patterns met for the first time, by their label.", "label"
        )
        self.errors = make.counter(
            "pattern_errors_total", "Failures of counting, keeping or telling patterns.", "reason"
        )
        self.source_records = make.counter(
            "source_records_total",
            "Records of the sources that have most, by label; all others are other.",
            "source",
            "label",
        )

    def pattern_new(self, label: str) -> None:
        """Count a pattern that was met for the first time."""
        self.new.labels(label).inc()

    def pattern_failed(self, fault: PatternFault) -> None:
        """Count a failure that cost no record anything."""
        self.errors.labels(fault).inc()
