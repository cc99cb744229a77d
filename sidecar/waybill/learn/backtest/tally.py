"""Sums of a backtest: the matrix of labels, and the masks that flip."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from waybill.core.pattern import pattern_id
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.judge import ANOTHER
from waybill.learn.backtest.result import Backtest, Change, Flip, Said, Unlisted

__all__ = ["MOST_MASKS", "SettledPair", "Tally"]

#: What the old and the new side say.
SettledPair = tuple[Said, Said]
#: Masks that are remembered while counting, and that a result tells.
MOST_MASKS = 100_000
_MOST_TOLD = 10_000
_MOST_SOURCES = 8


class Tally:
    """Counts flips; what a correction decides is held apart."""

    def __init__(
        self, found: Backtest, corrections: Corrections, most_masks: int = MOST_MASKS
    ) -> None:
        """Masks beyond the first ``most_masks`` are only counted."""
        self._found = found
        self._most_masks = most_masks
        self._corrections = corrections
        self._matrix: dict[tuple[str, str], Flip] = {}
        self._changes: dict[str, Change] = {}
        self._more = 0
        self._unlisted: dict[SettledPair, Unlisted] = {}
        self._last_unlisted = ""

    def count(
        self,
        mask: str,
        source: str,
        pairs: Iterable[SettledPair],
        records: int,
        *,
        example: str = "",
        too_many: int = 0,
    ) -> None:
        """Count ``records`` of a mask that can get each of ``pairs``.

        ``too_many`` of the records may not be there. With ``source`` ``*`` nobody knows whose they
        are.
        """
        self._found.records += records
        least = max(0, records - too_many)
        distinct = set(pairs)
        flips = set(filter(_is_flip, distinct))
        correction = self._corrections.of(mask, source)
        if correction is not None:
            if flips:
                self._found.held += records
            self._put(correction.label, correction.label, least, records)
            return
        is_open = source == "*" and self._corrections.may_decide_others(mask)
        is_certain = len(flips) == len(distinct) and not is_open
        self._put_all(distinct, least, records, is_certain=is_certain)
        if flips:
            low = least if is_certain else 0
            self._found.low += low
            self._found.high += records
            self._change(mask, source, flips, low, records, example)

    def _put_all(
        self, pairs: Iterable[SettledPair], least: int, records: int, *, is_certain: bool
    ) -> None:
        """Records into the matrix, at every place where they may belong."""
        labels: set[tuple[str, str]] = set()
        for old, new in pairs:
            if new is not ANOTHER:
                labels.add((old.label, new.label))
        for before, after in labels:
            is_only = len(labels) == 1 and (before == after or is_certain)
            self._put(before, after, least if is_only else 0, records)

    def finish(self) -> None:
        """Write the sums so far into the result."""
        found = self._found
        found.matrix = sorted(
            self._matrix.values(), key=lambda flip: (-flip.high, flip.old, flip.new)
        )
        found.changed_patterns = len(self._changes) + self._more
        found.changes = heapq.nlargest(_MOST_TOLD, self._changes.values(), key=_weight)
        found.unlisted = list(self._unlisted.values())
        if self._more:
            found.notes = [f"{self._more} further masks flip that are not listed"]

    def _put(self, old: str, new: str, low: int, high: int) -> None:
        flip = self._matrix.setdefault((old, new), Flip(old, new))
        flip.low += low
        flip.high += high

    def _change(
        self,
        mask: str,
        source: str,
        flips: Iterable[SettledPair],
        low: int,
        high: int,
        example: str,
    ) -> None:
        change = self._changes.get(mask)
        if change is None:
            if len(self._changes) >= self._most_masks:
                self._count_unlisted(mask, min(flips), low, high)
                return
            change = Change(
                id=pattern_id(mask),
                mask=mask,
                low=0,
                high=0,
                sources={},
                old=[],
                new=[],
                example=example,
            )
            self._changes[mask] = change
        change.low += low
        change.high += high
        if source in change.sources or len(change.sources) < _MOST_SOURCES:
            change.sources[source] = change.sources.get(source, 0) + high
        for old, new in sorted(flips):
            if old not in change.old:
                change.old.append(old)
            if new not in change.new:
                change.new.append(new)

    def _count_unlisted(self, mask: str, flip: SettledPair, low: int, high: int) -> None:
        """Count a mask beyond the most; the sources of one come one after the other."""
        one = self._unlisted.setdefault(flip, Unlisted(*flip))
        if mask != self._last_unlisted:
            self._last_unlisted = mask
            self._more += 1
            one.patterns += 1
        one.low += low
        one.high += high


def _is_flip(pair: SettledPair) -> bool:
    return pair[0].label != pair[1].label


def _weight(change: Change) -> tuple[int, int, str]:
    return change.high, change.low, change.mask
