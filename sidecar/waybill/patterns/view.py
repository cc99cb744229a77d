"""What one process tells of its patterns and sources: cleaned, and some at a time.

Looking settles what is put aside, and gives the event loop its turns; nothing is counted by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

from waybill.core.pattern import Guess, Kind, Pattern, VerdictShare, kind_of
from waybill.patterns.query import Query, Row
from waybill.patterns.shown import Shown
from waybill.patterns.source_report import SourceReport
from waybill.patterns.sources import SourceCount
from waybill.patterns.table import Entry
from waybill.patterns.watch import Watch

__all__ = ["PatternView"]

#: Patterns looked at, and patterns made fit to be shown, between two turns (2 to 5 ms).
_TURN_ROWS = 500
_TURN_PATTERNS = 8


class PatternView:
    """The patterns and sources of one `Watch`, cleaned by ``shown``, of one labelling."""

    def __init__(self, watch: Watch, shown: Shown, fallback: str, labelling: str = "") -> None:
        self._labelling = labelling
        self._watch = watch
        self._shown = shown
        self._fallback = fallback

    async def rows(self, query: Query) -> list[Row]:
        """Every pattern that is asked for, in no order."""
        self._watch.settle()
        rows: list[Row] = []
        for number, entry in enumerate(self._entries(), 1):
            if query.fits(entry):
                least = entry.count - entry.error
                rows.append(Row(entry.number, query.need(entry), least, entry.first_seen))
            if number % _TURN_ROWS == 0:
                await asyncio.sleep(0)
        return rows

    async def patterns(self, numbers: Collection[int]) -> list[Pattern]:
        """The patterns with these ``numbers`` that have a place here, in no order."""
        wanted = set(numbers)
        found: list[Pattern] = []
        for count, entry in enumerate(self._entries(), 1):
            if entry.number in wanted:
                found.append(self._pattern(entry))
                if len(found) % _TURN_PATTERNS == 0:
                    await asyncio.sleep(0)
            elif count % _TURN_ROWS == 0:
                await asyncio.sleep(0)
        return found

    async def sources(self) -> list[SourceReport]:
        """Every source that has a place, and last, with an empty name, all others together."""
        self._watch.settle()
        told: list[SourceReport] = []
        table = self._watch.sources
        for number, one in enumerate((*table.counts(), table.others), 1):
            told.append(self._source(one))
            if number % _TURN_PATTERNS == 0:
                await asyncio.sleep(0)
        return told

    def _entries(self) -> Iterator[Entry]:
        table = self._watch.table
        for slot in table.slots():
            entry = table.entry(slot)
            if entry is not None:
                yield entry

    def _pattern(self, entry: Entry) -> Pattern:
        shown = self._shown.text
        mask = shown(entry.mask)
        sources: dict[str, int] = {}
        for name, count in entry.sources.items():
            clean = self._shown.source(name)
            sources[clean] = sources.get(clean, 0) + count
        return Pattern(
            id=f"{entry.number:016x}",
            mask=mask,
            is_cleaned=mask != entry.mask,
            count=entry.count,
            error=entry.error,
            sampled=entry.is_sampled,
            since=self._watch.table.since,
            first_seen=entry.first_seen,
            last_seen=entry.last_seen,
            sources=sources,
            other_sources=entry.other_sources,
            verdicts=tuple(_shares(entry)),
            guess=self._guess(entry),
            examples=tuple(dict.fromkeys(map(shown, entry.examples))),
            labelling=self._labelling,
        )

    def _guess(self, entry: Entry) -> Guess | None:
        for said, _, confidence in entry.verdicts:
            if said.guess not in (None, self._fallback) and confidence is not None:
                return Guess(said.guess or "", confidence)
        return None

    def _source(self, one: SourceCount) -> SourceReport:
        labels: dict[str, int] = {}
        kinds: dict[Kind, int] = {}
        for (label, reason), count in one.given.items():
            labels[label] = labels.get(label, 0) + round(count)
            kind = kind_of(reason)
            if reason is None and label == self._fallback:
                kind = "no_event"
            kinds[kind] = kinds.get(kind, 0) + round(count)
        name = self._shown.source(one.source)
        records = round(one.count - one.error)
        return SourceReport(name, records, round(one.error), one.last_seen, labels, kinds)


def _shares(entry: Entry) -> Iterator[VerdictShare]:
    for said, count, confidence in entry.verdicts:
        yield VerdictShare(
            label=said.label,
            tier=said.tier,
            rule=said.rule,
            confidence=confidence,
            reason=said.reason,
            count=count,
        )
