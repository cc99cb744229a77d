"""Brings gauges that nothing counts by itself up to date when they are read."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.ops.metrics import Metrics
from waybill.service.opening import Labelling
from waybill.service.patterns import Patterns


def note_state(
    labellings: Sequence[Labelling], metrics: Metrics, patterns: Patterns | None
) -> None:
    """Take the counts of the memo, of shadow rules, of rules that ran out of time and of
    patterns.

    A shadow rule of a further labelling has the labelling's name in front of its own.
    """
    if patterns is not None:
        patterns.note_state()
    entries = 0
    out_of_force = 0
    for labelling in labellings:
        pipeline = labelling.pipeline
        entries += pipeline.edition.memo_entries()
        counts = pipeline.rules.take_counts()
        for rule, count in counts.shadow_hits.items():
            name = f"{labelling.name}/{rule}" if labelling.name else rule
            metrics.shadow_hits.labels(name).inc(count)
        metrics.rule_timeouts.inc(counts.timeouts)
        metrics.rule_unconfirmed.inc(counts.unconfirmed)
        slow = pipeline.rules.slow_rules()
        out_of_force += sum(not rule["is_in_force"] for rule in slow)
    metrics.memo_entries.set(entries)
    metrics.rules_out_of_force.set(out_of_force)
