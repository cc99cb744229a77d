"""Every metric, declared once.

Label values come from closed sets only, never from a tag or any text of a record; but for the names
of a bounded number of sources in ``source_records_total``. Counters move once per batch, not once
per record. Received is counted before any change, handed back only after the receiver has the
records.
"""

from __future__ import annotations

import math
import platform
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    ProcessCollector,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from waybill.core.names import BreakerState, LlmLookup, MemoLevel, ModelOutcome, TierName
from waybill.core.reasons import CallOutcome, ShadowSkip, StoreCode, TierCode
from waybill.core.records import Verdict
from waybill.ops.drift import LabelDrift
from waybill.ops.exposition import prometheus_text
from waybill.ops.labelling_metrics import LabellingMetrics
from waybill.ops.making import Maker
from waybill.ops.pattern_metrics import PatternMetrics
from waybill.ops.processes import SharedCollector, SiblingCollector

#: Reasons of verdicts that no record gets: it has a label already, or is no record.
_NOT_OURS = frozenset(("already_labelled", "group_marker", "action_line"))
#: The one metric of the parent, who counts beside the workers.
WORKER_RESTARTS = "worker_restarts_total"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one process, on a registry of their own.

    With ``shared``, a folder, they are those of all processes that count there.
    """

    def __init__(self, version: str, shared: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._shared = shared
        self._drift = LabelDrift()
        make = Maker(self.registry)
        self._declare_records(make)
        self._declare_flow(make)
        self._declare_loads(make)
        self._declare_labelling(make)
        self._declare_llm(make)
        self.of_patterns = PatternMetrics(make)
        self._declare_shares(make)
        self.further = LabellingMetrics(make)
        if shared is None:
            ProcessCollector(registry=self.registry)
        self.build = make.gauge("build_info", "Always 1.", "version", "python")
        self.build.labels(version, platform.python_version()).set(1)

    def _declare_records(self, make: Maker) -> None:
        """What came in and what became of it."""
        self.batches_received = make.counter(
            "batches_received_total", "Batches received.", "ingest"
        )
        self.records_received = make.counter(
            "records_received_total", "Records received.", "ingest"
        )
        self.bytes_received = make.counter(
            "received_bytes_total", "Bytes received, after inflation.", "ingest"
        )
        self.records_labelled = make.counter(
            "records_labelled_total", "Verdicts given.", "tier", "label"
        )
        self.records_unclassified = make.counter(
            "records_unclassified_total", "Unclassified, by reason.", "reason"
        )
        self.records_passed = make.counter(
            "records_passed_total",
            "Records passed on as they were or read with difficulty, by reason.",
            "reason",
        )
        self.records_handed_back = make.counter(
            "records_handed_back_total", "Records the receiver has.", "handback"
        )
        self.records_rejected = make.counter(
            "records_rejected_total",
            "Records that an OTLP receiver took the request of but rejected.",
            "handback",
        )
        self.refused = make.counter("batches_refused_total", "Batches refused.", "ingest", "reason")
        self.answers_unread = make.counter("answers_unread_total", "Answers that no shipper reads.")

    def _declare_flow(self, make: Maker) -> None:
        """The way of a batch, and its bounds."""
        self.handback_errors = make.counter(
            "handback_errors_total", "Pushes that failed.", "handback", "reason"
        )
        self.dead_letters = make.counter(
            "dead_letter_bodies_total", "Bodies kept or not kept.", "outcome"
        )
        self.batch_seconds = make.histogram(
            "batch_duration_seconds", "From body read to answer.", "ingest"
        )
        self.handback_seconds = make.histogram(
            "handback_duration_seconds", "Time of a push.", "handback"
        )
        self.inflight_bytes = make.gauge(
            "inflight_bytes", "Bytes of bodies being worked on, and of what is made of them."
        )
        self.connections = make.gauge("open_connections", "Connections from shippers.", "ingest")
        self.connections_refused = make.counter(
            "connections_refused_total", "Connections closed.", "ingest", "reason"
        )

    def _declare_loads(self, make: Maker) -> None:
        """What is in force."""
        self.reloads = make.counter(
            "reloads_total", "Reloads of rules, model, prompt and corrections.", "what", "outcome"
        )
        self.model_pulls = make.counter(
            "model_pulls_total", "Looks for a newer model version.", "outcome"
        )
        self.reload_ok = make.gauge(
            "last_reload_successful", "1 when the newest load is in force.", "what"
        )
        self.reload_time = make.gauge(
            "last_reload_success_timestamp_seconds", "When it came in force.", "what"
        )
        self.rules_loaded = make.gauge("rules_loaded", "Rules in force.")
        self.corrections_loaded = make.gauge(
            "corrections_loaded", "Corrections in force.", "labelling"
        )
        says = "Corrections that rules or model contradict."
        self.corrections_contradicted = make.gauge(
            "corrections_contradicted", says, "what", "labelling"
        )
        self.correction_pulls = make.counter(
            "correction_pulls_total", "Looks for newer corrections at a server.", "outcome"
        )
        looks = "Looks for newer rules at a workbench."
        self.rule_pulls = make.counter("rule_pulls_total", looks, "outcome")
        ends = "Corrections sent by POST, by what became of them."
        self.corrections_posted = make.counter("corrections_posted_total", ends, "outcome")
        two = "Corrections in force that two people say differently."
        self.corrections_disputed = make.gauge("corrections_disputed", two, "labelling")

    def _declare_labelling(self, make: Maker) -> None:
        """Rules, memo and model."""
        self.tier_errors = make.counter(
            "tier_errors_total", "Tiers that could not answer.", "tier", "reason"
        )
        self.rule_timeouts = make.counter(
            "rule_timeouts_total", "Rules that ran into their time limit."
        )
        self.rule_unconfirmed = make.counter(
            "rule_unconfirmed_total",
            "Matches that a rule could not confirm: out of time, or out of force.",
        )
        self.rules_out_of_force = make.gauge(
            "rules_out_of_force", "Rules that wait until they may take time again."
        )
        self.shadow_hits = make.counter(
            "rule_shadow_hits_total", "Matches of shadow rules.", "rule"
        )
        self.tier_seconds = make.histogram(
            "tier_duration_seconds", "Time a batch spends on a tier.", "tier"
        )
        self.memo_entries = make.gauge("memo_entries", "Verdicts kept in the memo.")
        self.memo_lookups = make.counter(
            "memo_lookups_total", "Records by where their verdict came from.", "level"
        )
        self.model_texts = make.counter(
            "model_messages_total", "Distinct masked messages put to the model.", "outcome"
        )
        self.model_batch_seconds = make.histogram(
            "model_batch_duration_seconds", "Time a worker of the model is busy with one batch."
        )
        self.model_queue = make.gauge("model_queued_messages", "Texts that wait for the model.")
        self.model_shadow = make.counter(
            "model_shadow_total",
            "Texts put to the candidate, by the label given and the candidate's.",
            "label",
            "shadow_label",
        )
        self.model_shadow_skips = make.counter(
            "model_shadow_skipped_total", "Texts that the candidate did not judge.", "reason"
        )

    def _declare_llm(self, make: Maker) -> None:
        """The language model."""
        self.llm_calls = make.counter("llm_calls_total", "Calls to the LLM provider.", "outcome")
        self.llm_call_seconds = make.histogram(
            "llm_call_duration_seconds", "Time of a call to the LLM provider."
        )
        self.llm_tokens = make.counter("llm_tokens_total", "Tokens used.", "direction")
        self.llm_cost = make.counter(
            "llm_cost_total", "Money spent, in the currency of the prices."
        )
        self.llm_lookups = make.counter(
            "llm_lookups_total", "Texts by where their verdict was found.", "outcome"
        )
        self.llm_refusals = make.counter(
            "llm_refused_total", "Texts that the LLM was not asked about.", "reason"
        )
        self.llm_state = make.gauge(
            "llm_breaker_state", "1 for the state that the circuit breaker is in.", "state"
        )
        self.llm_texts = make.gauge("llm_queued_messages", "Texts that wait for the LLM.")
        self.llm_store_errors = make.counter(
            "llm_store_errors_total", "Failures of the verdict store.", "reason"
        )

    def _declare_shares(self, make: Maker) -> None:
        """The shares of the labels."""
        self.label_drift = make.gauge(
            "label_drift", "Population stability index of the label shares, 5 min against a day."
        )
        self.unclassified_share = make.gauge(
            "unclassified_share", "Share of Unclassified in the last 5 min."
        )
        self.unclassified_share_baseline = make.gauge(
            "unclassified_share_baseline", "The same share over the last day."
        )
        if self._shared is not None:
            return  # of workers the latest value counts, and not that of one just started
        for unknown in (
            self.label_drift,
            self.unclassified_share,
            self.unclassified_share_baseline,
        ):
            unknown.set(math.nan)

    def count_verdicts(
        self, given: Mapping[Verdict, int], fallback: str, further: Sequence[str] = ()
    ) -> None:
        """Count one batch's verdicts, but for records that another has labelled; each series is
        moved once. ``given`` says how many records got each; ``further`` names labellings.
        """
        by_series: Tally[tuple[str, str, str | None]] = Tally()
        if further:
            self.further.count(given, further, _NOT_OURS)
        for verdict, count in given.items():
            by_series[verdict.tier, verdict.label, verdict.reason] += count
        by_label: Tally[str] = Tally()
        for (tier, label, reason), count in by_series.items():
            if reason in _NOT_OURS:
                continue
            by_label[label] += count
            self.records_labelled.labels(tier, label).inc(count)
            if reason:
                self.records_unclassified.labels(reason).inc(count)

        drift = self._drift.add(by_label, fallback)
        if drift is not None:
            self.label_drift.set(drift.psi)
            self.unclassified_share.set(drift.unclassified)
            self.unclassified_share_baseline.set(drift.unclassified_before)

    def tier_failed(self, tier: TierName, reason: TierCode) -> None:
        """Count a tier that could not answer."""
        self.tier_errors.labels(tier, reason).inc()

    def tier_took(self, tier: TierName, secs: float) -> None:
        """Note what a batch spent on a tier."""
        self.tier_seconds.labels(tier).observe(secs)

    def memo_answered(self, level: MemoLevel, count: int) -> None:
        """Count where a batch's verdicts came from."""
        if count:
            self.memo_lookups.labels(level).inc(count)

    def model_answered(self, outcome: ModelOutcome, count: int) -> None:
        """Count texts put to the model by what became of them."""
        if count:
            self.model_texts.labels(outcome).inc(count)

    def model_batch_took(self, secs: float) -> None:
        """Note how long a worker of the model was busy with one batch."""
        self.model_batch_seconds.observe(secs)

    def model_queued(self, count: int) -> None:
        """Note how many texts wait for a worker of the model."""
        self.model_queue.set(count)

    def model_shadowed(self, label: str, shadow_label: str) -> None:
        """Count what the candidate would say of a text that got ``label``."""
        self.model_shadow.labels(label, shadow_label).inc()

    def model_shadow_skipped(self, reason: ShadowSkip, count: int) -> None:
        """Count texts that the candidate did not judge."""
        self.model_shadow_skips.labels(reason).inc(count)

    def llm_called(self, outcome: CallOutcome, secs: float) -> None:
        """Count a call to the LLM provider."""
        self.llm_calls.labels(outcome).inc()
        self.llm_call_seconds.observe(secs)

    def llm_spent(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        """Count what a call used."""
        self.llm_tokens.labels("in").inc(tokens_in)
        self.llm_tokens.labels("out").inc(tokens_out)
        self.llm_cost.inc(cost)

    def llm_found(self, outcome: LlmLookup, count: int) -> None:
        """Count texts by where their verdict was found."""
        if count:
            self.llm_lookups.labels(outcome).inc(count)

    def llm_refused(self, reason: TierCode, count: int) -> None:
        """Count texts that the LLM was not asked about."""
        if count:
            self.llm_refusals.labels(reason).inc(count)

    def llm_breaker(self, state: BreakerState) -> None:
        """Note the state of the circuit breaker."""
        for name in ("closed", "half_open", "open"):
            self.llm_state.labels(name).set(name == state)

    def llm_queued(self, count: int) -> None:
        """Note how many texts wait for the LLM."""
        self.llm_texts.set(count)

    def llm_store_failed(self, code: StoreCode) -> None:
        """Count a failure of the verdict store."""
        self.llm_store_errors.labels(code).inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition text and its content type, OpenMetrics when it is asked for."""
        registry = self.registry
        if self._shared is not None:
            registry = CollectorRegistry()
            registry.register(SharedCollector(self._shared))
            registry.register(SiblingCollector())
        if "application/openmetrics-text" in accept:
            return generate_openmetrics(registry), OPENMETRICS  # type: ignore[no-untyped-call]
        return prometheus_text(registry), PROMETHEUS


def worker_restarts() -> Counter:
    """What the parent of several workers counts; it has a registry of its own and serves none."""
    return Counter(
        f"waybill_{WORKER_RESTARTS}", "Workers replaced.", ["reason"], registry=CollectorRegistry()
    )
