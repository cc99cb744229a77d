"""The table of patterns: as many as have a place, and the heavy ones always.

Space-Saving (Metwally, Agrawal and El Abbadi, 2005): a mask that finds no place takes that of the
pattern with the fewest records, whose count it inherits as its possible error. So every pattern
with more than ``records / places`` records has a place, whatever else is logged, and a count is at
most its error too high. Patterns that nobody could decide weigh `UNDECIDED_WEIGHT` times as much,
so a fourth of that is enough for them and four times as much for the others.

Columns instead of objects: 20,000 patterns of 80 characters with an example each are 8 MB. What is
rare (a second source, a second verdict) is kept beside the columns.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace

import msgspec

from waybill.core.clock import EPOCH, Clock
from waybill.core.pattern import MOST_EXAMPLES, MOST_SOURCES, MOST_VERDICTS, pattern_number
from waybill.core.records import Verdict
from waybill.patterns.words import VerdictKey, Vocabulary

__all__ = ["EXAMPLE_CHARS", "Entry", "PatternTable"]

#: Patterns that nobody could decide are kept as if they had so many times their records.
UNDECIDED_WEIGHT = 4
#: Of an example: what the cleaning looks at (`waybill.labelling.llm.privacy.MAX_CHARS`).
EXAMPLE_CHARS = 512
#: Bytes for each place, all columns and texts included; 20,000 of them are 10 MB. What is beyond
#: it costs places: long masks mean fewer patterns.
BYTES_PER_PATTERN = 490
#: Below this share of the bytes a pattern keeps more than one example.
_ROOMY = 0.6
#: Columns, heap and dictionary slot of one pattern (tracemalloc, CPython 3.11).
_PLACE_BYTES = 238
#: A second source or verdict: a dictionary of up to eight small integers.
_BESIDE_BYTES = 500
_SLOT_BITS = 20
_SLOT_MASK = (1 << _SLOT_BITS) - 1


class Entry(msgspec.Struct, gc=False):
    """One pattern as the table has it, uncleaned; see `waybill.core.pattern.Pattern`.

    ``verdicts`` are verdicts, how often each was given, and the latest confidence.
    """

    number: int
    mask: str
    count: int
    error: int
    is_sampled: bool
    first_seen: float
    last_seen: float
    sources: dict[str, int]
    other_sources: int
    verdicts: list[tuple[VerdictKey, int, float | None]]
    examples: tuple[str, ...]


class PatternTable:
    """Counts records by mask; ``on_new(number, key, now)`` gives a mask's first moment.

    Not for several threads at once. All times are Unix seconds.
    """

    def __init__(
        self,
        size: int,
        fallback: str,
        *,
        on_new: Callable[[int, VerdictKey, int], int] = lambda _number, _key, now: now,
        has_examples: bool = True,
        clock: Clock = EPOCH,
    ) -> None:
        self.size = size
        self.since = float(int(clock()))
        self.evicted = 0
        self._on_new = on_new
        self._has_examples = has_examples
        self._clock = clock
        self._limit_bytes = size * BYTES_PER_PATTERN
        self.used_bytes = 0
        #: The most records that a pattern without a place can have.
        self._floor = 0.0
        self._edition = 0
        self._words = Vocabulary(fallback)
        self._slot_of: dict[str, int] = {}
        self._masks: list[str] = []
        self._numbers = array("Q")
        self._counts = array("d")
        self._errors = array("d")
        self._first = array("I")
        self._last = array("I")
        self._sampled = bytearray()
        self._codes = array("H")
        self._code_counts = array("d")
        self._confidences = array("f")
        self._editions = array("H")
        self._sources: list[str | dict[str, float]] = []
        self._examples: list[tuple[str, ...]] = []
        #: Verdicts other than the column's, by slot: count and latest confidence.
        self._beside: dict[int, dict[int, tuple[float, float]]] = {}
        self._heap: list[int] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, mask: str) -> bool:
        return mask in self._slot_of

    def forget_verdicts(self) -> None:
        """Begin to count verdicts anew: another edition gives them now."""
        self._edition = (self._edition + 1) & 0xFFFF

    def add(
        self,
        mask: str,
        count: float,
        verdict: Verdict,
        source: str | None,
        example: str,
        *,
        is_exact: bool,
    ) -> None:
        """Count records of one mask; ``example`` is one of their messages.

        Of several sources that are not worth telling ``source`` is None.
        """
        code = self._words.code(verdict)
        slot = self._slot_of.get(mask)
        if slot is None:
            slot = self._admit(mask, code, source)
        self._counts[slot] += count
        self._last[slot] = int(self._clock())
        if not is_exact:
            self._sampled[slot] = 1
        self._count_source(slot, source, count)
        is_other = self._count_verdict(slot, code, count, verdict.confidence)
        if self._has_examples and (is_other or len(self._examples[slot]) < MOST_EXAMPLES):
            self._keep_example(slot, mask, example[:EXAMPLE_CHARS], is_wanted=is_other)

    def _count_source(self, slot: int, source: str | None, count: float) -> None:
        sources = self._sources[slot]
        if sources == source:
            return  # the only one: it has them all
        if isinstance(sources, str):
            before = self._counts[slot] - self._errors[slot] - count
            sources = {sources: before} if before > 0 else {}
            self._sources[slot] = sources
            self.used_bytes += _BESIDE_BYTES
        if source is None:
            return
        if source in sources or len(sources) < MOST_SOURCES:
            name = sys.intern(source)
            sources[name] = sources.get(name, 0) + count

    def _count_verdict(self, slot: int, code: int, count: float, confidence: float | None) -> bool:
        """Whether it is one that the pattern did not have."""
        if self._editions[slot] != self._edition:
            self._editions[slot] = self._edition
            self._codes[slot] = code
            self._code_counts[slot] = 0
            self._drop_beside(slot)
        sure = -1.0 if confidence is None else confidence
        if self._codes[slot] == code:
            self._code_counts[slot] += count
            self._confidences[slot] = sure
            return False
        beside = self._beside.get(slot)
        if beside is None:
            beside = self._beside[slot] = {}
            self.used_bytes += _BESIDE_BYTES
        is_new = code not in beside
        if not is_new or len(beside) < MOST_VERDICTS - 1:
            beside[code] = (beside.get(code, (0, 0.0))[0] + count, sure)
        return is_new

    def _drop_beside(self, slot: int) -> None:
        if self._beside.pop(slot, None) is not None:
            self.used_bytes -= _BESIDE_BYTES

    def _keep_example(self, slot: int, mask: str, text: str, *, is_wanted: bool) -> None:
        kept = self._examples[slot]
        if kept:
            has_room = self.used_bytes < self._limit_bytes * _ROOMY
            if text in kept or not (has_room or is_wanted):
                return
            if is_wanted and len(kept) >= MOST_EXAMPLES:
                self.used_bytes -= sys.getsizeof(kept[-1])
                kept = kept[:-1]
        # A text that is its own mask is not kept twice.
        text = mask if text == mask else text
        self._examples[slot] = (*kept, text)
        self.used_bytes += 8 + (0 if text is mask else sys.getsizeof(text))

    def _admit(self, mask: str, code: int, source: str | None) -> int:
        """A place for ``mask``, if need be that of the lightest pattern."""
        now = int(self._clock())
        self.used_bytes += _PLACE_BYTES + sys.getsizeof(mask)
        while len(self._slot_of) >= self.size or self._is_crowded():
            self._evict()
        number = pattern_number(mask)
        first = self._on_new(number, self._words.key(code), now)
        slot = self._free.pop() if self._free else self._grow()
        self._slot_of[mask] = slot
        self._masks[slot] = mask
        self._numbers[slot] = number
        self._counts[slot] = self._errors[slot] = self._floor
        self._first[slot] = first
        self._sampled[slot] = 0
        self._codes[slot] = code
        self._code_counts[slot] = 0
        self._editions[slot] = self._edition
        # Each batch has texts of its own: one of them for each source is enough.
        self._sources[slot] = sys.intern(source or "")
        self._examples[slot] = ()
        heappush(self._heap, self._key(slot) << _SLOT_BITS | slot)
        return slot

    def _is_crowded(self) -> bool:
        return self.used_bytes > self._limit_bytes and bool(self._slot_of)

    def _grow(self) -> int:
        self._masks.append("")
        self._sources.append("")
        self._examples.append(())
        self._sampled.append(0)
        for numbers in (self._numbers, self._first, self._last, self._codes, self._editions):
            numbers.append(0)
        for amounts in (self._counts, self._errors, self._code_counts, self._confidences):
            amounts.append(0.0)
        return len(self._masks) - 1

    def _key(self, slot: int) -> int:
        count = int(self._counts[slot])
        if self._words.is_undecided(self._codes[slot]):
            return count * UNDECIDED_WEIGHT
        return count

    def _evict(self) -> None:
        """Free the place of the lightest pattern. The heap is put right only here: counting costs
        nothing, and each count is put right at most once.
        """
        heap = self._heap
        while True:
            item = heap[0]
            slot = item & _SLOT_MASK
            key = self._key(slot)
            if key <= item >> _SLOT_BITS:
                break
            heapreplace(heap, key << _SLOT_BITS | slot)
        heappop(heap)
        mask = self._masks[slot]
        del self._slot_of[mask]
        self._floor = max(self._floor, self._counts[slot])
        self.evicted += 1
        self._free.append(slot)
        self.used_bytes -= _PLACE_BYTES + sys.getsizeof(mask)
        for text in self._examples[slot]:
            self.used_bytes -= 8 + (0 if text is mask else sys.getsizeof(text))
        if not isinstance(self._sources[slot], str):
            self.used_bytes -= _BESIDE_BYTES
        self._drop_beside(slot)
        self._masks[slot] = self._sources[slot] = ""
        self._examples[slot] = ()

    def slots(self) -> list[int]:
        """The places that are taken, for `entry`; a place may be another's later."""
        return list(self._slot_of.values())

    def numbers(self, slots: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Id and first moment of the patterns in ``slots``."""
        for slot in slots:
            yield self._numbers[slot], self._first[slot]

    def entry_of(self, mask: str) -> Entry | None:
        """The pattern of a mask; None where it has no place."""
        slot = self._slot_of.get(mask)
        return None if slot is None else self.entry(slot)

    def entry(self, slot: int) -> Entry | None:
        """The pattern in ``slot``; None where it has lost its place."""
        mask = self._masks[slot]
        if self._slot_of.get(mask) != slot:
            return None
        sources = self._sources[slot]
        least = self._counts[slot] - self._errors[slot]
        shares = {sources: least} if isinstance(sources, str) else sources
        told = {name: round(count) for name, count in shares.items()}
        return Entry(
            number=self._numbers[slot],
            mask=mask,
            count=round(self._counts[slot]),
            error=round(self._errors[slot]),
            is_sampled=bool(self._sampled[slot]),
            first_seen=float(self._first[slot]),
            last_seen=float(self._last[slot]),
            sources=told,
            other_sources=max(0, round(least) - sum(told.values())),
            verdicts=self._verdicts(slot),
            examples=self._examples[slot],
        )

    def _verdicts(self, slot: int) -> list[tuple[VerdictKey, int, float | None]]:
        found = [(self._codes[slot], self._code_counts[slot], self._confidences[slot])]
        for code, (count, sure) in self._beside.get(slot, {}).items():
            found.append((code, count, sure))
        found.sort(key=lambda one: -one[1])
        shares: list[tuple[VerdictKey, int, float | None]] = []
        for code, count, sure in found:
            confidence = round(sure, 4) if sure >= 0 else None
            shares.append((self._words.key(code), round(count), confidence))
        return shares
