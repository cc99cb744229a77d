"""The model as a `waybill.labelling.tier.Tier`: predictions in, verdicts out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from waybill.core.deadlines import Deadlines
from waybill.core.names import SlowTierName
from waybill.core.records import Verdict
from waybill.labelling.model.answer import Prediction
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.tier import Answer, Scope
from waybill.settings.schema import ModelSettings


class ModelTier:
    """One version of the model, on a `Batcher` that outlives it.

    Its threshold is ``model.threshold``, or the bundle's own. With ``model.over_budget`` ``defer``
    a batch waits ``model.budget_ms`` for it, else as long as ``deadlines`` allow.
    """

    name: SlowTierName = "model"

    def __init__(self, batcher: Batcher, settings: ModelSettings, deadlines: Deadlines) -> None:
        self._batcher = batcher
        self._policy = batcher.bundle.policy(settings.threshold)
        self.version = batcher.version
        self.wait_secs = deadlines.model
        self.most_texts = settings.queue_messages

    def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
        """One future verdict per masked message. Raises TierUnavailable."""
        futures = self._batcher.submit(texts)
        pairs = zip(futures, texts, strict=True)
        return [self._judged(future, text, scope) for future, text in pairs]

    def judge(self, prediction: Prediction, scope: Scope) -> Verdict:
        """The verdict of one prediction; not sure, not known or not permitted is Unclassified."""
        return self._policy.verdict(prediction, scope)

    async def consult(self, text: str, scope: Scope) -> Verdict:
        """The verdict on one text, past queue, cache and counters. Raises TierUnavailable."""
        (prediction,) = await asyncio.to_thread(self._bundle.predict, [text])
        return self.judge(prediction, scope)

    async def close(self) -> None:
        """Close the batcher."""
        await self._batcher.close()

    @property
    def _bundle(self) -> Bundle:
        return self._batcher.bundle

    def _judged(self, prediction: asyncio.Future[Prediction], text: str, scope: Scope) -> Answer:
        verdict: Answer = prediction.get_loop().create_future()

        def settle(done: asyncio.Future[Prediction]) -> None:
            if verdict.done():
                return
            if done.cancelled():
                verdict.cancel()
                return
            error = done.exception()
            if error is not None:
                verdict.set_exception(error)
            else:
                judged = self.judge(done.result(), scope)
                verdict.set_result(judged)
                self._batcher.note(text, judged, scope)

        prediction.add_done_callback(settle)
        return verdict
