"""What labelling reports: one protocol, and two implementations that need no metrics server.

`waybill.ops.metrics.Metrics` is the third, and the one that serves. Calls are made per batch or per
call to a service, never per record; names and reasons come from closed sets, never from a text.

>>> telemetry = Recording()
>>> telemetry.tier_failed("model", "overloaded")
>>> telemetry.counts["tier_failed", "model", "overloaded"]
1
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Protocol

from waybill.core.names import BreakerState, LlmLookup, MemoLevel, ModelOutcome, TierName
from waybill.core.reasons import CallOutcome, ShadowSkip, StoreCode, TierCode


class Telemetry(Protocol):
    """Is told what labelling did."""

    def tier_failed(self, tier: TierName, reason: TierCode) -> None:
        """A tier could not answer."""

    def tier_took(self, tier: TierName, secs: float) -> None:
        """A batch spent ``secs`` on a tier (``rule`` includes the memo)."""

    def memo_answered(self, level: MemoLevel, count: int) -> None:
        """``count`` records of a batch have their verdicts from ``level``."""

    def model_answered(self, outcome: ModelOutcome, count: int) -> None:
        """``count`` texts put to the model ended so."""

    def model_batch_took(self, secs: float) -> None:
        """A worker of the model was busy for ``secs`` with one batch."""

    def model_queued(self, count: int) -> None:
        """``count`` texts wait for a worker of the model."""

    def model_shadowed(self, label: str, shadow_label: str) -> None:
        """A text got ``label``, and would get ``shadow_label`` from the candidate."""

    def model_shadow_skipped(self, reason: ShadowSkip, count: int) -> None:
        """``count`` texts of the sample that the candidate did not judge."""

    def llm_called(self, outcome: CallOutcome, secs: float) -> None:
        """A call to the LLM provider ended: ``ok``, or the code of what went wrong."""

    def llm_spent(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        """What a call used; ``cost`` is in the currency of the prices."""

    def llm_found(self, outcome: LlmLookup, count: int) -> None:
        """Where ``count`` texts put to the LLM were found."""

    def llm_refused(self, reason: TierCode, count: int) -> None:
        """``count`` texts that the LLM was not asked about."""

    def llm_breaker(self, state: BreakerState) -> None:
        """The circuit breaker's state after a call or a refusal."""

    def llm_queued(self, count: int) -> None:
        """``count`` texts wait for the LLM."""

    def llm_store_failed(self, code: StoreCode) -> None:
        """The verdict store could not answer."""


class Silent:
    """A `Telemetry` that forgets everything: for tools, and for explaining."""

    def tier_failed(self, tier: TierName, reason: TierCode) -> None: ...
    def tier_took(self, tier: TierName, secs: float) -> None: ...
    def memo_answered(self, level: MemoLevel, count: int) -> None: ...
    def model_answered(self, outcome: ModelOutcome, count: int) -> None: ...
    def model_batch_took(self, secs: float) -> None: ...
    def model_queued(self, count: int) -> None: ...
    def model_shadowed(self, label: str, shadow_label: str) -> None: ...
    def model_shadow_skipped(self, reason: ShadowSkip, count: int) -> None: ...
    def llm_called(self, outcome: CallOutcome, secs: float) -> None: ...
    def llm_spent(self, tokens_in: int, tokens_out: int, cost: float) -> None: ...
    def llm_found(self, outcome: LlmLookup, count: int) -> None: ...
    def llm_refused(self, reason: TierCode, count: int) -> None: ...
    def llm_breaker(self, state: BreakerState) -> None: ...
    def llm_queued(self, count: int) -> None: ...
    def llm_store_failed(self, code: StoreCode) -> None: ...


class Recording:
    """A `Telemetry` that keeps sums and last values, for tests.

    ``counts`` are keyed by method and labels, ``secs`` by method (and tier), ``last`` by method.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.secs: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.last: dict[str, int | str] = {}
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost = 0.0

    def tier_failed(self, tier: TierName, reason: TierCode) -> None:
        self.counts["tier_failed", tier, reason] += 1

    def tier_took(self, tier: TierName, secs: float) -> None:
        self._took("tier_took", tier, secs=secs)

    def memo_answered(self, level: MemoLevel, count: int) -> None:
        self.counts["memo_answered", level] += count

    def model_answered(self, outcome: ModelOutcome, count: int) -> None:
        self.counts["model_answered", outcome] += count

    def model_batch_took(self, secs: float) -> None:
        self._took("model_batch_took", secs=secs)

    def model_queued(self, count: int) -> None:
        self.last["model_queued"] = count

    def model_shadowed(self, label: str, shadow_label: str) -> None:
        self.counts["model_shadowed", label, shadow_label] += 1

    def model_shadow_skipped(self, reason: ShadowSkip, count: int) -> None:
        self.counts["model_shadow_skipped", reason] += count

    def llm_called(self, outcome: CallOutcome, secs: float) -> None:
        self._took("llm_called", outcome, secs=secs)

    def llm_spent(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cost += cost

    def llm_found(self, outcome: LlmLookup, count: int) -> None:
        self.counts["llm_found", outcome] += count

    def llm_refused(self, reason: TierCode, count: int) -> None:
        self.counts["llm_refused", reason] += count

    def llm_breaker(self, state: BreakerState) -> None:
        self.last["llm_breaker"] = state

    def llm_queued(self, count: int) -> None:
        self.last["llm_queued"] = count

    def llm_store_failed(self, code: StoreCode) -> None:
        self.counts["llm_store_failed", code] += 1

    def _took(self, *key: str, secs: float) -> None:
        self.counts[key] += 1
        self.secs[key] += secs
