"""The metrics of patterns and sources; part of `waybill.ops.metrics.Metrics`.

Those of further labellings have names of their own, as in `waybill.ops.labelling_metrics`.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from waybill.core.reasons import PatternFault
from waybill.ops.making import Maker

__all__ = ["PatternCounts", "PatternMetrics"]

_NEW = "Patterns met for the first time, by their label."
_EVICTED = "Patterns that made place for others."
_PLACES = "Patterns that have a place in the table."
_SOURCES = "Records of the sources that have most, by label; all others are other."


class PatternMetrics:
    """What `waybill.patterns` has to tell, declared with ``make``."""

    def __init__(self, make: Maker) -> None:
        self.patterns = make.gauge("patterns", _PLACES)
        self.evicted = make.counter("patterns_evicted_total", _EVICTED)
        self.new = make.counter("patterns_new_total", _NEW, "label")
        self.errors = make.counter(
            "pattern_errors_total", "Failures of counting, keeping or telling patterns.", "reason"
        )
        self.source_records = make.counter("source_records_total", _SOURCES, "source", "label")
        name = "labelling"
        self.further_patterns = make.gauge("labelling_patterns", _PLACES, name)
        self.further_evicted = make.counter("labelling_patterns_evicted_total", _EVICTED, name)
        self.further_new = make.counter("labelling_patterns_new_total", _NEW, name, "label")
        self.further_source_records = make.counter(
            "labelling_source_records_total", _SOURCES, name, "source", "label"
        )

    def of(self, labelling: str) -> PatternCounts:
        """The metrics of one labelling; the first one's name is empty."""
        if not labelling:
            return PatternCounts(
                self.patterns, self.evicted, self.new, self.source_records, self.errors, ()
            )
        return PatternCounts(
            self.further_patterns,
            self.further_evicted,
            self.further_new,
            self.further_source_records,
            self.errors,
            (labelling,),
        )

    def pattern_failed(self, fault: PatternFault) -> None:
        """Count a failure that cost no record anything, whatever labelling it was about."""
        self.errors.labels(fault).inc()


class PatternCounts:
    """The metrics of one labelling; ``named`` are the labels that come before their own."""

    def __init__(
        self,
        places: Gauge,
        evicted: Counter,
        new: Counter,
        source_records: Counter,
        errors: Counter,
        named: tuple[str, ...],
    ) -> None:
        self._places = places.labels(*named) if named else places
        self._evicted = evicted.labels(*named) if named else evicted
        self._new = new
        self._source_records = source_records
        self._errors = errors
        self._named = named

    def pattern_new(self, label: str) -> None:
        """Count a pattern that was met for the first time."""
        self._new.labels(*self._named, label).inc()

    def pattern_failed(self, fault: PatternFault) -> None:
        """See `PatternMetrics`."""
        self._errors.labels(fault).inc()

    def note_table(self, places: int, evicted: int) -> None:
        """``places`` are taken; ``evicted`` patterns made place since the last call."""
        self._places.set(places)
        self._evicted.inc(evicted)

    def count_source(self, source: str, label: str, records: float) -> None:
        """Count records of one source."""
        self._source_records.labels(*self._named, source, label).inc(records)
