"""Metrics that nothing moves by itself: they are brought up to date when somebody looks."""

from __future__ import annotations

from waybill.labelling.pipeline import Pipeline
from waybill.ops.metrics import Metrics


def note_state(pipeline: Pipeline, metrics: Metrics) -> None:
    """Take the counts of the memo, of shadow rules and of rules that ran out of time."""
    metrics.memo_entries.set(pipeline.edition.memo_entries())
    counts = pipeline.rules.take_counts()
    for rule, count in counts.shadow_hits.items():
        metrics.shadow_hits.labels(rule).inc(count)
    metrics.rule_timeouts.inc(counts.timeouts)
    metrics.rule_unconfirmed.inc(counts.unconfirmed)
    slow = pipeline.rules.slow_rules()
    metrics.rules_out_of_force.set(sum(not rule["is_in_force"] for rule in slow))
