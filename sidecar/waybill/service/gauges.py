"""Metrics that nothing moves by itself: they are brought up to date when somebody looks."""

from __future__ import annotations

from waybill.labelling.pipeline import Pipeline
from waybill.ops.metrics import Metrics


def note_state(pipeline: Pipeline, metrics: Metrics) -> None:
    """Take the counts of the memo, of shadow rules and of rules that ran out of time."""
    metrics.memo_entries.set(pipeline.edition.memo_entries())
    shadow_hits, timeouts = pipeline.rules.take_counts()
    for rule, count in shadow_hits.items():
        metrics.shadow_hits.labels(rule).inc(count)
    metrics.rule_timeouts.inc(timeouts)
