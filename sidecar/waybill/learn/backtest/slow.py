"""What the model of a side says of masks, asked in the way in which it serves."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

from tqdm import tqdm

from waybill.core.records import Verdict
from waybill.core.turns import in_parts
from waybill.learn.backtest.result import Said
from waybill.learn.backtest.sides import Side

__all__ = ["Question", "SlowVerdicts", "said_of"]

#: Masks put to the model at once, so that the bar moves.
_AT_ONCE = 200


class Question(NamedTuple):
    """A mask, and the index of the route that its sources take."""

    path: int
    mask: str


class SlowVerdicts:
    """The model's verdicts of one side, by question."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._known: dict[Question, Said] = {}

    def __getitem__(self, question: Question) -> Said:
        """What was said; the question must have been asked."""
        return self._known[question]

    def put(self, question: Question, said: Said) -> None:
        """Take over what a sidecar has seen the same model say."""
        self._known.setdefault(question, said)

    def forget(self) -> None:
        """Let go of what was said: nobody asks for these masks again."""
        self._known.clear()

    async def ask(self, questions: Iterable[Question]) -> None:
        """Ask what is not known yet; a bar on stderr shows progress on a terminal."""
        by_path: dict[int, list[str]] = {}
        for path, mask in dict.fromkeys(questions):
            if (path, mask) not in self._known:
                by_path.setdefault(path, []).append(mask)
        total = sum(map(len, by_path.values()))
        begin = time.process_time()
        hidden = not sys.stderr.isatty() or total <= _AT_ONCE
        with tqdm(total=total, desc="model", unit="mask", disable=hidden, leave=False) as bar:
            for path, masks in by_path.items():
                for part in in_parts(masks, _AT_ONCE):
                    await self._ask(path, part)
                    bar.update(len(part))
        self._side.report.cpu_secs += time.process_time() - begin

    async def _ask(self, path: int, masks: list[str]) -> None:
        slow = self._side.pipeline.edition.paths[path]
        verdicts = [slow.route.fallback] * len(masks)
        if slow.route.tiers:
            records = {mask: [i] for i, mask in enumerate(masks)}
            await slow.decide(records, dict(enumerate(masks)), verdicts)
        for mask, verdict in zip(masks, verdicts, strict=True):
            self._known[Question(path, mask)] = said_of(verdict)
        await asyncio.sleep(0)


def said_of(verdict: Verdict) -> Said:
    """A verdict, by the rule or the tier that gave it."""
    if verdict.tier == "rule" and verdict.rule is not None:
        return Said(verdict.label, verdict.rule)
    return Said(verdict.label, verdict.tier)
