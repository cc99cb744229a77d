"""Counts what the pipeline labels, by pattern and by source, at little cost.

Three kinds of records are counted one by one: what slow tiers decided, since its mask is at hand;
the first records of each second; and those whose verdict is rarely given (`waybill.patterns.rare`).
So the first record of a new kind is never left to chance, as long as its rule decides less than
some records a second.

Of all others one record in ``sample_every`` is looked at, from a random start in each slice, so
that neither the place in a batch nor the size of batches matters. How many records got each verdict
is known (`Watch.counted`), so those that were looked at stand for all records of their verdict. The
sum over patterns is exact for each label, and so is a pattern that has its verdict for itself, as
with a model. Where patterns share a rule, the relative standard error is at most
``sqrt(sample_every / count)``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from waybill.core.batch import MAX_SOURCE_CHARS
from waybill.core.clock import MONOTONIC, Clock
from waybill.core.prepare import prepare_all
from waybill.core.reasons import PatternFault
from waybill.core.records import Verdict
from waybill.labelling.groups import UNDECIDED
from waybill.labelling.masking import RAW_CHARS, mask, shape
from waybill.labelling.memo import BoundedMap
from waybill.patterns.rare import RareVerdicts
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import PatternTable

__all__ = ["PatternTelemetry", "Watch", "new_masks"]

log = logging.getLogger(__name__)
#: Records a second that are all counted one by one: where little is logged, every record.
SPARE_RECORDS = 256
#: Records counted between two turns of the event loop (3 ms), and what a mask costs in records.
_TURN_RECORDS = 8192
_MASK_RECORDS = 64
#: Sources that are told apart for one mask of so many records.
_MOST_SOURCES = 32
#: A sample is put aside until it has so many records or characters, or is so old: counted together,
#: records that are alike cost what one costs.
_LEAST_HELD = 128
_HELD_CHARS = 256 << 10
_HELD_SECS = 1.0
#: So many records while fewer than one shape in `_KNOWN_ONE_IN` is new: counting takes 3 ms then.
_MOST_HELD = 512
_KNOWN_ONE_IN = 8
#: Verdicts with records that no sample stands for yet; beyond it those records are not counted.
_MOST_OWED = 20_000
#: Shapes whose mask is remembered: masking costs 100 times as much as finding it.
_SHAPE_BYTES = 1 << 20


class PatternTelemetry(Protocol):
    """Is told what happens to the patterns."""

    def pattern_new(self, label: str) -> None:
        """A pattern was met for the first time; its first record got ``label``."""

    def pattern_failed(self, fault: PatternFault) -> None:
        """Patterns were not counted, kept or told; records are not touched by that."""


class _Held:
    """A sample that is not counted yet."""

    __slots__ = ("chars", "messages", "sources", "verdicts")

    def __init__(self) -> None:
        self.messages: list[str | None] = []
        self.sources: list[str] = []
        self.verdicts: list[Verdict] = []
        self.chars = 0

    def is_full(self, records: int) -> bool:
        """Whether it has ``records``, or about as many characters."""
        return len(self.messages) >= records or self.chars >= _HELD_CHARS


def new_masks() -> BoundedMap[str]:
    """Room for the masks of shapes."""
    return BoundedMap(_SHAPE_BYTES)


class Watch:
    """A `waybill.labelling.observer.Observer` that fills a table of patterns and one of sources."""

    def __init__(
        self,
        table: PatternTable,
        sources: SourceTable,
        telemetry: PatternTelemetry,
        *,
        sample_every: int,
        message_chars: int,
        spare: int = SPARE_RECORDS,
        masks: BoundedMap[str] | None = None,
        chance: random.Random | None = None,
        clock: Clock = MONOTONIC,
    ) -> None:
        """``masks`` is where several, which see the same messages, remember the mask of a shape."""
        self.table = table
        self.sources = sources
        self._telemetry = telemetry
        self._every = sample_every
        self._chars = min(message_chars, RAW_CHARS)
        self._random = (chance or random.Random()).random  # noqa: S311 - a sample, no secret
        self._clock = clock
        self._masks = masks if masks is not None else new_masks()
        self._rare = RareVerdicts(clock)
        self._most_spare = self._spare = spare
        self._held = _Held()
        self._hold = _LEAST_HELD
        #: Records of each verdict that were given and not counted; below zero: counted too early.
        self._owed: defaultdict[Verdict, float] = defaultdict(float)
        self._held_until = clock() + _HELD_SECS
        self._has_failed = False

    def edition_changed(self) -> None:
        """Count verdicts anew."""
        self._rare.begin_span()
        self.table.forget_verdicts()

    def saw_at_once(
        self,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
        fresh: Sequence[int],
    ) -> None:
        """Count a sample of one slice, and all that is rare among what is ``fresh``."""
        try:
            if self._clock() >= self._held_until:
                self.settle()
            if len(messages) <= self._spare:
                self._spare -= len(messages)
                for message, source, verdict in zip(messages, sources, verdicts, strict=True):
                    if verdict is not UNDECIDED:
                        self._count(message, source, verdict)
                return
            rare = self._rare.find(verdicts, fresh)
            for i in rare:
                self._count(messages[i], sources[i], verdicts[i])
            self._take_sample(messages, sources, verdicts, rare)
            if self._held.is_full(self._hold):
                self.settle()
        except Exception as error:  # noqa: BLE001 - counted and logged; records go on
            self._note_failure(error)

    async def saw_later(
        self,
        masks: Mapping[str, Sequence[int]],
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
    ) -> None:
        """Count every record of the slow way."""
        spent = 0
        for masked, indexes in masks.items():
            for start in range(0, len(indexes), _TURN_RECORDS):
                some = indexes[start : start + _TURN_RECORDS]
                try:
                    self._count_all(masked, some, messages, sources, verdicts)
                except Exception as error:  # noqa: BLE001 - counted and logged; records go on
                    self._note_failure(error)
                spent += _MASK_RECORDS + len(some)
                if spent > _TURN_RECORDS:
                    spent = 0
                    await asyncio.sleep(0)

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """Take how many records of a batch got each verdict, by any way."""
        owed = self._owed
        if len(owed) > _MOST_OWED:
            owed.clear()
        for verdict, count in given.items():
            owed[verdict] += count

    def _take_sample(
        self,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
        rare: Collection[int],
    ) -> None:
        """Put one record in so many aside; the ``rare`` ones are counted already."""
        every = self._every
        start = int(self._random() * every)
        taken = messages[start::every]
        if not taken:
            return
        given = list(verdicts[start::every])
        for i in rare:
            place, is_between = divmod(i - start, every)
            if not is_between and place >= 0:
                given[place] = UNDECIDED
        held = self._held
        held.messages += taken
        held.sources += sources[start::every]
        held.verdicts += given
        held.chars += sum(map(len, filter(None, taken)))

    def settle(self) -> None:
        """Count what is put aside. To be called before somebody looks at the tables."""
        now = self._clock()
        if now >= self._held_until:
            self._held_until = now + _HELD_SECS
            self._spare = self._most_spare
        held = self._held
        if not held.messages:
            return
        self._held = _Held()
        # All that is done for each record is done in C: the loops run over kinds of records.
        shares = self._shares(Counter(held.verdicts))
        found = Counter(zip(held.sources, held.verdicts, strict=True))
        for (name, verdict), count in found.items():
            if verdict in shares:
                self.sources.add(name[:MAX_SOURCE_CHARS], verdict, shares[verdict] * count)
        masks = self._masks_of(held.messages)
        # Of each mask one message stands for all.
        examples = dict(zip(masks, held.messages, strict=True))
        kinds = Counter(zip(masks, held.sources, held.verdicts, strict=True))
        for (masked, name, verdict), count in kinds.items():
            if masked and verdict in shares:
                source = name[:MAX_SOURCE_CHARS]
                example = examples[masked] or ""
                stands_for = shares[verdict] * count
                self.table.add(masked, stands_for, verdict, source, example, is_exact=False)

    def _shares(self, looked_at: Mapping[Verdict, int]) -> dict[Verdict, float]:
        """For how many records each of those stands that were looked at, by verdict."""
        shares: dict[Verdict, float] = {}
        for verdict, count in looked_at.items():
            if verdict is UNDECIDED:
                continue
            owed = self._owed[verdict]
            # Nothing is owed while a batch is still under way: what it gets is put right after it.
            share = owed / count if owed > 0 else self._every
            self._owed[verdict] -= share * count
            shares[verdict] = share
        return shares

    def _masks_of(self, messages: Sequence[str | None]) -> list[str | None]:
        """The mask of each message; None without one."""
        texts = [message or "" for message in messages]
        if max(map(len, texts)) > self._chars:
            texts = [text[: self._chars] for text in texts]
        keys = list(map(shape, texts))
        masks = list(map(self._masks.recent.get, keys))
        unknown = masks.count(None)
        if unknown:
            for i, key in enumerate(keys):
                if masks[i] is None and key:
                    masks[i] = self._mask(key, texts[i])
        is_known = unknown * _KNOWN_ONE_IN < len(masks)
        self._hold = min(2 * self._hold, _MOST_HELD) if is_known else _LEAST_HELD
        return masks

    def _count(self, message: str | None, source: str, verdict: Verdict) -> None:
        """Count one record."""
        source = source[:MAX_SOURCE_CHARS]
        self.sources.add(source, verdict, 1)
        self._owed[verdict] -= 1
        if message is None:
            return
        text = message[: self._chars]
        masked = self._mask(shape(text), text)
        if masked:
            self.table.add(masked, 1, verdict, source, message, is_exact=True)

    def _mask(self, key: str, text: str) -> str:
        """The mask of a message whose shape is ``key``."""
        masked = self._masks.get(key)
        if masked is None:
            masked = mask(prepare_all([text], self._chars)[0])
            self._masks.put(key, masked)
        return masked

    def _count_all(
        self,
        masked: str,
        indexes: Sequence[int],
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
    ) -> None:
        verdict = verdicts[indexes[0]]
        message = messages[indexes[0]] or ""
        by_source = Counter(map(sources.__getitem__, indexes))
        rest = len(indexes)
        self._owed[verdict] -= rest
        for name, count in by_source.most_common(_MOST_SOURCES):
            source = name[:MAX_SOURCE_CHARS]
            self.sources.add(source, verdict, count)
            self.table.add(masked, count, verdict, source, message, is_exact=True)
            rest -= count
        if rest:
            self.sources.add_others(verdict, rest)
            self.table.add(masked, rest, verdict, None, message, is_exact=True)

    def _note_failure(self, error: Exception) -> None:
        self._telemetry.pattern_failed("count")
        if not self._has_failed:
            self._has_failed = True
            message = "patterns are not counted as they should be; records are not touched by it"
            log.error(message, extra={"reason": "count"}, exc_info=error)
