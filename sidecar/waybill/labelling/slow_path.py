"""The slow tiers of one route, asked one after another, and what they said before."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence

from waybill.core.errors import TierUnavailable
from waybill.core.reasons import TierCode, silent
from waybill.core.records import Verdict
from waybill.labelling.masking import shape
from waybill.labelling.memo import RouteMemo
from waybill.labelling.route import Route
from waybill.labelling.telemetry import Telemetry
from waybill.labelling.tier import Answer, Tier


class SlowPath:
    """A route with its memo. No rule has a part in it, so it outlives a reload of the rules."""

    def __init__(self, route: Route, memo: RouteMemo, telemetry: Telemetry) -> None:
        self.route = route
        self.memo = memo
        self._telemetry = telemetry
        self._unclassified = route.taxonomy.unclassified

    async def decide(
        self,
        records: Mapping[str, Sequence[int]],
        texts: Mapping[int, str],
        verdicts: list[Verdict],
    ) -> None:
        """Fill in ``verdicts``; ``records`` are the indexes of those that share a masked text.

        ``texts`` are the prepared messages by index.
        """
        self._count_known(records)
        answers = await self._resolve(list(records))
        for masked, indexes in records.items():
            verdict = answers[masked]
            is_lasting = self.memo.masks.get(masked) is not None
            for index in indexes:
                verdicts[index] = verdict
                if is_lasting:
                    self.memo.shapes.put(shape(texts[index]), verdict)

    def _count_known(self, records: Mapping[str, Sequence[int]]) -> None:
        known = 0
        unknown = 0
        for text, indexes in records.items():
            if text in self.memo.masks:
                known += len(indexes)
            else:
                unknown += len(indexes)
        self._telemetry.memo_answered("mask", known)
        self._telemetry.memo_answered("none", unknown)

    async def _resolve(self, texts: Sequence[str]) -> dict[str, Verdict]:
        """A verdict for each text: the memo's, or that of the first tier which decides."""
        masks = self.memo.masks
        fallback = self.route.taxonomy.fallback
        answers = {text: masks.get(text) or self.route.fallback for text in texts}
        for tier in self.route.tiers:
            # What an earlier tier is still busy with is not asked of a later one.
            undecided = [
                text
                for text, verdict in answers.items()
                if verdict.label == fallback and verdict.tier != "pending" and text not in masks
            ]
            if not undecided:
                break
            said = await self._ask(tier, undecided)
            decided = zip(undecided, said, strict=True)
            answers |= {text: verdict for text, verdict in decided if verdict is not None}
        return answers

    async def _ask(self, tier: Tier, texts: Sequence[str]) -> list[Verdict | None]:
        """What one tier says of each text within its time; None where it has nothing to say."""
        try:
            futures = tier.submit(texts, self.route.scope)
        except TierUnavailable as error:
            self._telemetry.tier_failed(tier.name, error.code)
            return [self._unclassified(silent(tier.name, error.code))] * len(texts)
        is_last = tier is self.route.tiers[-1]
        fallback = self.route.taxonomy.fallback
        for text, future in zip(texts, futures, strict=True):
            future.add_done_callback(
                functools.partial(_remember, self.memo, text, None if is_last else fallback)
            )
        begin = time.perf_counter()
        await asyncio.wait(futures, timeout=tier.wait_secs)
        self._telemetry.tier_took(tier.name, time.perf_counter() - begin)
        return [self._outcome(tier, future) for future in futures]

    def _outcome(self, tier: Tier, future: Answer) -> Verdict | None:
        if not future.done():
            return self._unclassified(silent(tier.name, "over_budget"), "pending")
        code = _failure(future)
        if code is None:
            return future.result()
        self._telemetry.tier_failed(tier.name, code)
        return self._unclassified(silent(tier.name, code))


def _failure(future: Answer) -> TierCode | None:
    """Why a finished future has no result, as a bounded code; None when it has one."""
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return None
    return error.code if isinstance(error, TierUnavailable) else "failed"


def _remember(memo: RouteMemo, text: str, passed_on: str | None, done: Answer) -> None:
    """Keep a verdict, even one that came after its batch had to go.

    ``passed_on`` is the label that a later tier may still overrule; None after the last tier.
    """
    if _failure(done) is not None:
        return
    verdict = done.result()
    if verdict is not None and verdict.label != passed_on:
        memo.masks.put(text, verdict)
