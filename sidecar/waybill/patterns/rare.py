"""Finds the records whose verdict is rarely given: none of them is left to a sample."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from waybill.core.clock import Clock
from waybill.core.records import Verdict
from waybill.labelling.groups import UNDECIDED

__all__ = ["RARE_RECORDS", "RARE_SECS", "RareVerdicts"]

#: A verdict is rare until so many records got it within so many seconds.
RARE_RECORDS = 16
RARE_SECS = 10.0
#: Verdicts that can be rare at a time.
_MOST_RARE = 4096
#: Rare records of one slice; counting one takes 20 µs.
_MOST_RARE_A_SLICE = 128
_NOTHING: frozenset[int] = frozenset()


class RareVerdicts:
    """Knows how often each verdict was given within the present span of `RARE_SECS`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: dict[Verdict, int] = {}
        self._common: set[Verdict] = {UNDECIDED}
        self._span_end = 0.0

    def begin_span(self) -> None:
        """Take every verdict for rare again."""
        self._span_end = self._clock() + RARE_SECS
        self._given.clear()
        self._common = {UNDECIDED}

    def find(self, verdicts: Sequence[Verdict], fresh: Sequence[int]) -> Collection[int]:
        """The indexes in ``fresh`` whose verdicts are rare. They are taken for counted."""
        if self._clock() >= self._span_end:
            self.begin_span()
        if not fresh or self._common.issuperset(verdicts):
            return _NOTHING
        rare: set[int] = set()
        for i in fresh:
            if verdicts[i] not in self._common and self._is_rare(verdicts[i]):
                rare.add(i)
                if len(rare) >= _MOST_RARE_A_SLICE:
                    break
        return rare

    def _is_rare(self, verdict: Verdict) -> bool:
        given = self._given.get(verdict, 0)
        if given >= RARE_RECORDS or len(self._given) >= _MOST_RARE:
            self._common.add(verdict)
            return False
        self._given[verdict] = given + 1
        return True
