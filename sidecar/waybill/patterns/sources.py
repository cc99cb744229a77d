"""Which labels the sources produce: counts by source for as many as have a place.

The same algorithm as that of the patterns (`waybill.patterns.table`): a source without a place
takes that of the lightest, and what the lightest had is counted as that of others from then on.
"""

from __future__ import annotations

import sys
from heapq import heappop, heappush, heapreplace
from typing import TypeAlias

import msgspec

from waybill.core.clock import EPOCH, Clock
from waybill.core.reasons import Reason
from waybill.core.records import Verdict

__all__ = ["OTHER", "Given", "SourceCount", "SourceTable"]

Given: TypeAlias = tuple[str, Reason | None]

#: What all sources without a place are called in metrics.
OTHER = "other"
#: Sources that have a place; 256 characters each at most, with up to 200 labels.
PLACES = 200
#: The last source that has metrics of its own needs so many records for them.
_LEAST_FOR_LAST = 1000


class SourceCount(msgspec.Struct):
    """What became of the records of one source: estimates where records were sampled.

    ``given`` are records by label, and by reason where there is one.
    """

    source: str
    count: float = 0.0
    error: float = 0.0
    last_seen: float = 0.0
    given: dict[Given, float] = {}

    def add(self, given: Given, count: float) -> None:
        """Count records."""
        self.count += count
        self.given[given] = self.given.get(given, 0) + count

    def absorb(self, other: SourceCount) -> None:
        """Take what ``other`` counted, its possible error aside."""
        for given, count in other.given.items():
            self.add(given, count)


class SourceTable:
    """Counts records by source. At most ``named`` sources have metrics of their own."""

    def __init__(self, *, named: int, places: int = PLACES, clock: Clock = EPOCH) -> None:
        self.since = clock()
        self.others = SourceCount("")
        self._counts: dict[str, SourceCount] = {}
        #: Counts as they were; put right only when a place is needed.
        self._heap: list[tuple[float, str]] = []
        self._named: set[str] = set()
        self._most_named = named
        self._moves: dict[tuple[str, str], float] = {}
        self._places = places
        self._clock = clock

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, source: str, verdict: Verdict, count: float) -> None:
        """Count records of one source."""
        entry = self._counts.get(source)
        if entry is None:
            entry = self._admit(source)
        entry.add((verdict.label, verdict.reason), count)
        entry.last_seen = self._clock()
        self._move(self._name(entry), verdict.label, count)

    def add_others(self, verdict: Verdict, count: float) -> None:
        """Count records of sources that are too many to be told apart."""
        self.others.add((verdict.label, verdict.reason), count)
        self._move(OTHER, verdict.label, count)

    def _move(self, name: str, label: str, count: float) -> None:
        if self._most_named:
            self._moves[name, label] = self._moves.get((name, label), 0) + count

    def take_moves(self) -> dict[tuple[str, str], float]:
        """Records by source and label since the last call, for metrics."""
        moves, self._moves = self._moves, {}
        return moves

    def _name(self, entry: SourceCount) -> str:
        """What metrics call the source: the more have names already, the more records it takes, so
        that few sources have theirs at once and the heavy ones of many find a place.
        """
        if entry.source in self._named:
            return entry.source
        share = (len(self._named) + 1) / max(1, self._most_named)
        if share > 1 or not entry.source:
            return OTHER
        if entry.count - entry.error < _LEAST_FOR_LAST * share**3:
            return OTHER
        self._named.add(entry.source)
        return entry.source

    def _admit(self, source: str) -> SourceCount:
        source = sys.intern(source)
        error = 0.0
        if len(self._counts) >= self._places:
            lightest = self._evict()
            self.others.absorb(lightest)
            error = lightest.count
        entry = SourceCount(source, error, error)
        self._counts[source] = entry
        heappush(self._heap, (error, source))
        return entry

    def _evict(self) -> SourceCount:
        heap = self._heap
        while True:
            before, source = heap[0]
            count = self._counts[source].count
            if count == before:
                break
            heapreplace(heap, (count, source))
        heappop(heap)
        return self._counts.pop(source)

    def counts(self) -> list[SourceCount]:
        """All sources that have a place, the one with the most records first."""
        return sorted(self._counts.values(), key=lambda one: one.error - one.count)
