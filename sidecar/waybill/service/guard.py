"""The guard of a service: tells where rules and model contradict corrections, or refuses them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Literal

from waybill.core.errors import BundleError, RuleError, RuleSetError, TierUnavailable
from waybill.core.records import Verdict
from waybill.labelling.corrections.guard import Contradiction, Held, hold_model, hold_rules
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.labelling.tier import Scope
from waybill.ops.metrics import Metrics
from waybill.service.opening import Labelling

__all__ = ["CorrectionGuard", "hold_bundle"]

log = logging.getLogger(__name__)
What = Literal["rules", "model"]
_LOGGED = 10
_TOLD = 20
#: Pause between two looks, as a multiple of what the last one took: a sixth of a core at most.
_PAUSES = 5


def hold_bundle(bundle: Bundle, pipeline: Pipeline, threshold: float | None) -> Held:
    """A model against the corrections in force, on this thread. Raises TierUnavailable."""
    policy = bundle.policy(threshold)
    scope = Scope()

    def predict(texts: Sequence[str]) -> list[Verdict]:
        return [policy.verdict(prediction, scope) for prediction in bundle.predict(texts)]

    return hold_model(predict, pipeline.corrections, pipeline.taxonomy.fallback)


def _fault(found: Contradiction, rule: Rule) -> RuleError:
    told = str(found)
    return RuleError("contradicted", told, file=rule.file, line=rule.line, rule_id=rule.id)


class CorrectionGuard:
    """Holds what is loaded against the corrections of a labelling.

    With ``corrections.guard: enforce`` a new version is refused when it contradicts a correction
    that the version in force did not: a correction that overrules a rule of today must not keep
    every other change of the rules out.
    """

    def __init__(self, labelling: Labelling, metrics: Metrics) -> None:
        self._labelling = labelling.name
        self._settings = labelling.settings
        self._pipeline = labelling.pipeline
        self._metrics = metrics
        self._held: dict[What, Held] = {"rules": Held(), "model": Held()}
        self._task: asyncio.Task[None] | None = None
        #: The model to look at next, where corrections have changed since the last look.
        self._wanted: tuple[Bundle | None] | None = None

    async def check_rules(self, rules: RuleSet) -> RuleSet:
        """``rules``, held against the corrections. Raises RuleSetError (``contradicted``)."""
        if not len(self._pipeline.corrections):
            return rules
        held = await asyncio.to_thread(hold_rules, rules, self._pipeline.corrections)
        new = self._new("rules", held)
        if new:
            by_id = {rule.id: rule for rule in rules.rules}
            faults = [
                _fault(one, by_id[one.rule or ""])
                for one in held.contradictions
                if one.correction in new
            ]
            raise RuleSetError(faults[:_TOLD])
        self._note("rules", held)
        return rules

    async def check_model(self, bundle: Bundle) -> Bundle:
        """``bundle``, held against a sample of them. Raises BundleError (``contradicted``)."""
        held = await self._hold_model(bundle)
        if held is None:
            return bundle
        new = self._new("model", held)
        if new:
            told = [str(one) for one in held.contradictions if one.correction in new]
            raise BundleError("contradicted", "; ".join(told[:_TOLD]))
        self._note("model", held)
        return bundle

    def look_again(self, bundle: Bundle | None) -> None:
        """Corrections have changed: hold what is in force against them, in the background.

        One look runs and one waits, with pauses: of 100,000 corrections it takes seconds.
        """
        self._wanted = (bundle,)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """End what runs in the background."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def describe(self) -> dict[str, object]:
        """What is contradicted, as plain data."""
        described: dict[str, object] = {}
        for what, held in self._held.items():
            told = [str(one) for one in held.contradictions[:_TOLD]]
            described[what] = {
                "contradicted": len(held.contradictions),
                "looked_at": held.looked_at,
                "detail": told,
            }
        return described

    async def _look_on(self) -> None:
        while self._wanted is not None:
            (bundle,) = self._wanted
            self._wanted = None
            begun = time.monotonic()
            await self._look(bundle)
            if self._wanted is not None:
                await asyncio.sleep(_PAUSES * (time.monotonic() - begun))

    async def _look(self, bundle: Bundle | None) -> None:
        held = await asyncio.to_thread(hold_rules, self._pipeline.rules, self._pipeline.corrections)
        self._note("rules", held)
        if bundle is not None:
            of_model = await self._hold_model(bundle)
            if of_model is not None:
                self._note("model", of_model)

    async def _hold_model(self, bundle: Bundle) -> Held | None:
        threshold = self._settings.model.threshold
        try:
            return await asyncio.to_thread(hold_bundle, bundle, self._pipeline, threshold)
        except TierUnavailable as error:
            log.warning("the model is not held against corrections", extra={"reason": error.code})
            return None

    def _new(self, what: What, held: Held) -> frozenset[str]:
        """The corrections that are to be kept from being contradicted."""
        if self._settings.corrections.guard != "enforce":
            return frozenset()
        return held.ids() - self._held[what].ids()

    def _note(self, what: What, held: Held) -> None:
        before = self._held[what].ids()
        self._held[what] = held
        self._metrics.corrections_contradicted.labels(what, self._labelling).set(
            len(held.contradictions)
        )
        new = [one for one in held.contradictions if one.correction not in before]
        for one in new[:_LOGGED]:
            log.warning(
                "a correction is contradicted",
                extra={"what": what, "detail": str(one), "contradicted": len(held.contradictions)},
            )
