"""Asks the slow tiers of one route one after another, and remembers their verdicts."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence

from waybill.core.errors import TierUnavailable
from waybill.core.reasons import TierCode, silent
from waybill.core.records import Verdict
from waybill.core.turns import in_turns
from waybill.labelling.masking import shape
from waybill.labelling.memo import RouteMemo
from waybill.labelling.route import Route
from waybill.labelling.telemetry import Telemetry
from waybill.labelling.tier import Answer, Tier

#: Characters whose shapes are kept between two turns of the event loop (about 3 ms), and what a
#: record costs beside its own.
_TURN_CHARS = 512 << 10
_RECORD_CHARS = 256
#: Texts looked up, asked or answered between two turns (up to 5 µs each).
_TURN_TEXTS = 2048


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
        await self._count_known(records)
        answers = await self._resolve(list(records))
        spent = 0
        for masked, indexes in records.items():
            verdict = answers[masked]
            is_lasting = self.memo.masks.get(masked) is not None
            for index in indexes:
                verdicts[index] = verdict
                spent += _RECORD_CHARS
                if is_lasting:
                    text = texts[index]
                    spent += len(text)
                    self.memo.shapes.put(shape(text), verdict)
                if spent > _TURN_CHARS:
                    spent = 0
                    await asyncio.sleep(0)

    async def _count_known(self, records: Mapping[str, Sequence[int]]) -> None:
        known = 0
        unknown = 0
        async for some in in_turns(list(records), _TURN_TEXTS):
            for text in some:
                count = len(records[text])
                if text in self.memo.masks:
                    known += count
                else:
                    unknown += count
        self._telemetry.memo_answered("mask", known)
        self._telemetry.memo_answered("none", unknown)

    async def _resolve(self, texts: Sequence[str]) -> dict[str, Verdict]:
        """A verdict for each text: the memo's, or that of the first tier which decides."""
        masks = self.memo.masks
        fallback = self.route.taxonomy.fallback
        answers: dict[str, Verdict] = {}
        async for some in in_turns(texts, _TURN_TEXTS):
            for text in some:
                answers[text] = masks.get(text) or self.route.fallback
        for tier in self.route.tiers:
            undecided: list[str] = []
            async for some in in_turns(texts, _TURN_TEXTS):
                # What an earlier tier is still busy with is not asked of a later one.
                undecided += [
                    text
                    for text in some
                    if answers[text].label == fallback
                    and answers[text].tier != "pending"
                    and text not in masks
                ]
            if not undecided:
                break
            await self._ask(tier, undecided, answers)
        return answers

    async def _ask(self, tier: Tier, texts: Sequence[str], answers: dict[str, Verdict]) -> None:
        """Put what one tier says of each text within its time into ``answers``."""
        futures, refusal = await self._submit(tier, texts)
        if futures:
            begin = time.perf_counter()
            await asyncio.wait(futures, timeout=tier.wait_secs)
            self._telemetry.tier_took(tier.name, time.perf_counter() - begin)
        asked = list(zip(texts, futures, strict=False))
        async for some in in_turns(asked, _TURN_TEXTS):
            for text, future in some:
                verdict = self._outcome(tier, future)
                if verdict is not None:
                    answers[text] = verdict
        if refusal is not None:
            self._telemetry.tier_failed(tier.name, refusal)
            refused = self._unclassified(silent(tier.name, refusal))
            async for left in in_turns(texts[len(futures) :], _TURN_TEXTS):
                answers.update(dict.fromkeys(left, refused))

    async def _submit(
        self, tier: Tier, texts: Sequence[str]
    ) -> tuple[list[Answer], TierCode | None]:
        """The answers that ``tier`` owes for the first of ``texts``, and why it takes no more."""
        futures: list[Answer] = []
        if len(texts) > tier.most_texts:
            return futures, "overloaded"
        is_last = tier is self.route.tiers[-1]
        passed_on = None if is_last else self.route.taxonomy.fallback
        async for some in in_turns(texts, _TURN_TEXTS):
            try:
                owed = tier.submit(some, self.route.scope)
            except TierUnavailable as error:
                return futures, error.code
            for text, future in zip(some, owed, strict=True):
                future.add_done_callback(functools.partial(_remember, self.memo, text, passed_on))
            futures += owed
        return futures, None

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
