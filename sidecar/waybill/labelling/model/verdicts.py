"""From predictions to verdicts: the threshold, the unknown, and what a route may answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from waybill.core.names import SlowTierName
from waybill.core.records import UNCLASSIFIED, Verdict, unclassified
from waybill.labelling.model.bundle import Prediction
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import PATIENCE_SECS, Route
from waybill.settings.schema import ModelSettings


class ModelVerdicts:
    """The model as a `SlowTier`."""

    name: SlowTierName = "model"

    def __init__(self, tier: ModelTier, settings: ModelSettings) -> None:
        self._tier = tier
        own = tier.bundle.manifest.thresholds.confidence
        self._threshold = settings.threshold if settings.threshold is not None else own
        self.version = tier.version
        self.wait_secs = (
            settings.budget_ms / 1000 if settings.over_budget == "defer" else PATIENCE_SECS
        )

    def submit(
        self, texts: Sequence[str], route: Route
    ) -> Sequence[asyncio.Future[Verdict | None]]:
        """One future verdict per masked message. Raises TierUnavailable."""
        return [self._judged(future, route) for future in self._tier.submit(texts)]

    def _judged(
        self, prediction: asyncio.Future[Prediction], route: Route
    ) -> asyncio.Future[Verdict | None]:
        verdict: asyncio.Future[Verdict | None] = prediction.get_loop().create_future()

        def settle(done: asyncio.Future[Prediction]) -> None:
            if verdict.done():
                return
            if done.cancelled():
                verdict.cancel()
            elif (error := done.exception()) is not None:
                verdict.set_exception(error)
            else:
                verdict.set_result(self.judge(done.result(), route))

        prediction.add_done_callback(settle)
        return verdict

    def judge(self, prediction: Prediction, route: Route) -> Verdict:
        """The verdict of one prediction; what is not sure, not known or not permitted is Unclassified."""
        confidence = round(float(prediction.confidence), 4)
        version = prediction.version
        if not prediction.is_known:
            return unclassified("unknown", confidence=confidence, rule=version)
        if prediction.confidence < self._threshold:
            return unclassified("low_confidence", confidence=confidence, rule=version)
        if prediction.label == UNCLASSIFIED:
            return Verdict(UNCLASSIFIED, "model", confidence, version, reason="none_of_these")
        if not route.permits(prediction.label):
            return unclassified("label_not_permitted", confidence=confidence, rule=version)
        return Verdict(prediction.label, "model", confidence, version)
