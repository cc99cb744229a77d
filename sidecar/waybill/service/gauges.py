"""Metrics that nothing moves by itself: they are brought up to date when somebody looks."""

from __future__ import annotations

from waybill.labelling.pipeline import Pipeline
from waybill.ops.metrics import Metrics
from waybill.service.patterns import Patterns


def note_state(pipeline: Pipeline, metrics: Metrics, patterns: Patterns | None) -> None:
    """Take the counts of the memo, of shadow rules, of rules that ran out of time and of
    patterns.
    """
    if patterns is not None:
        patterns.note_state()
    metrics.memo_entries.set(pipeline.edition.memo_entries())
    counts = pipeline.rules.take_counts()
    for rule, count in counts.shadow_hits.items():
        metrics.shadow_hits.labels(rule).inc(count)
    metrics.rule_timeouts.inc(counts.timeouts)
    metrics.rule_unconfirmed.inc(counts.unconfirmed)
    slow = pipeline.rules.slow_rules()
    metrics.rules_out_of_force.set(sum(not rule["is_in_force"] for rule in slow))
