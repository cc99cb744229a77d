"""Metrics of further labellings, with the labelling's name as a label.

They have names of their own: what the metrics of the first labelling count is added up by
dashboards and alerts, and a record must not count twice there.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence

from waybill.core.names import TierName
from waybill.core.reasons import TierCode
from waybill.core.records import Verdict
from waybill.ops.making import Maker


class LabellingMetrics:
    """The metrics of all further labellings; their names come from the settings."""

    def __init__(self, make: Maker) -> None:
        self.records_labelled = make.counter(
            "labelling_records_labelled_total",
            "Verdicts of further labellings.",
            "labelling",
            "tier",
            "label",
        )
        self.records_unclassified = make.counter(
            "labelling_records_unclassified_total",
            "Records that further labellings could not decide, by reason.",
            "labelling",
            "reason",
        )
        self.records_kept = make.counter(
            "labelling_records_kept_total",
            "Records that came with a label in the field of a further labelling, and kept it.",
            "labelling",
        )
        self.tier_errors = make.counter(
            "labelling_tier_errors_total",
            "Tiers of further labellings that could not answer.",
            "labelling",
            "tier",
            "reason",
        )
        self.rules_loaded = make.gauge(
            "labelling_rules_loaded", "Rules of further labellings in force.", "labelling"
        )

    def count(
        self, verdicts: Mapping[Verdict, int], names: Sequence[str], not_ours: Collection[str]
    ) -> None:
        """Count what stands beside ``verdicts``, by how many records have each of them.

        ``names`` are the further labellings' in order. A reason in ``not_ours`` says that a record
        was not labelled.
        """
        by_series: Tally[tuple[str, Verdict]] = Tally()
        for verdict, count in verdicts.items():
            for name, one in zip(names, verdict.beside, strict=False):
                by_series[name, one] += count
        for (name, one), count in by_series.items():
            if one.reason == "already_labelled":
                self.records_kept.labels(name).inc(count)
            if one.reason in not_ours:
                continue
            self.records_labelled.labels(name, one.tier, one.label).inc(count)
            if one.reason:
                self.records_unclassified.labels(name, one.reason).inc(count)

    def tier_failed(self, name: str, tier: TierName, reason: TierCode) -> None:
        """Count a tier of the labelling ``name`` that could not answer."""
        self.tier_errors.labels(name, tier, reason).inc()
