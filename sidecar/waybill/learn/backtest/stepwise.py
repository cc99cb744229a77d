"""A backtest of two rule sets over patterns, piece by piece: for somebody who waits for it.

What was found so far can be told at any time, and most of it soon where the patterns with most
records come first. Patterns that no changed rule can match are only
counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waybill.core.pattern import Pattern
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.guard import Evidence, check_corrections
from waybill.learn.backtest.judge import Judge
from waybill.learn.backtest.over_patterns import PatternBacktest
from waybill.learn.backtest.result import Backtest
from waybill.learn.backtest.sides import Side

__all__ = ["Stepwise"]


class Stepwise:
    """Both sides, and what was found so far. Of records that keep their label it has the number."""

    def __init__(self, old: Side, new: Side, corrections: Corrections) -> None:
        self._sides = old, new
        self._corrections = corrections
        self._judge = Judge(old, new)
        self._found = Backtest("patterns", "patterns", 0, 0, 0, old.report, new.report)
        self._run = PatternBacktest(
            old, new, self._judge, self._found, corrections, only_flips=True
        )
        self._evidence = Evidence({}, {})

    def may_touch(self, text: str) -> bool:
        """See `Judge.may_touch`."""
        return self._judge.may_touch(text)

    async def take(self, patterns: Sequence[Pattern]) -> None:
        """Compare some patterns more."""
        for pattern in patterns:
            if pattern.mask in self._corrections:
                self._evidence.note(pattern.mask, pattern.examples, pattern.sources)
        await self._run.take(patterns)

    def so_far(self) -> Backtest:
        """What was found; it stays as it is while more is taken."""
        self._run.finish()
        return msgspec.structs.replace(self._found)

    async def finish(self) -> Backtest:
        """What was found in all, with the corrections that only the new side contradicts."""
        self._run.finish()
        found = self._found
        if self._corrections:
            await check_corrections(
                *self._sides, self._judge, found, self._corrections, self._evidence, only_new=True
            )
        return found
