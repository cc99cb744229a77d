"""What was seen, by mask: how often, from where, some lines of it, and what its label is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from waybill.core.pattern import Pattern
from waybill.core.prepare import prepare
from waybill.labelling.masking import mask
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.chain import Line

__all__ = ["Seen", "gather", "known_labels", "of_patterns"]

#: Lines kept of a mask, and masks kept at all; what comes later is counted as left out.
_EXAMPLES = 8
_MOST_MASKS = 50_000


class Seen(msgspec.Struct):
    """One mask. ``labels`` are known: people said so; ``verdicts`` are what was given to it."""

    mask: str
    count: int = 0
    sources: Counter[str] = msgspec.field(default_factory=Counter)
    examples: list[str] = []
    labels: Counter[str] = msgspec.field(default_factory=Counter)
    llm: str | None = None
    #: What a rule in force says, and its id.
    ruled: tuple[str, str] | None = None

    @property
    def texts(self) -> list[str]:
        """Prepared lines of it; the mask where no line was kept."""
        return [prepare(one) for one in self.examples] or [self.mask]


def gather(lines: Iterable[Line]) -> tuple[list[Seen], int]:
    """Messages by mask, most records first, and how many were left out."""
    by_mask: dict[str, Seen] = {}
    left_out = 0
    for line in lines:
        text = line.message or ""
        masked = mask(text)
        if not masked:
            continue
        seen = by_mask.get(masked)
        if seen is None:
            if len(by_mask) >= _MOST_MASKS:
                left_out += 1
                continue
            seen = by_mask[masked] = Seen(masked)
        seen.count += 1
        seen.sources[line.source] += 1
        if len(seen.examples) < _EXAMPLES and text not in seen.examples:
            seen.examples.append(text)
    return _most_first(by_mask.values()), left_out


def of_patterns(patterns: Iterable[Pattern]) -> list[Seen]:
    """Patterns as what was seen, most records first; those without a message are left out."""
    return _most_first(map(_of_pattern, filter(_is_read, patterns)))


def _is_read(pattern: Pattern) -> bool:
    return bool(pattern.mask) and pattern.kind != "unreadable"


def _of_pattern(pattern: Pattern) -> Seen:
    sources = Counter(pattern.sources)
    if pattern.other_sources:
        sources["*"] += pattern.other_sources
    llm = None
    for share in pattern.verdicts:
        if share.tier == "llm":
            llm = llm or share.label
    examples = list(pattern.examples)
    return Seen(pattern.mask, pattern.count, sources, examples, llm=llm)


def known_labels(seen: Iterable[Seen], corrections: Corrections, labelled: Iterable[Line]) -> int:
    """Note what people said: corrections, and lines whose labels are right.

    Gives the number of masks that somebody spoke of.
    """
    by_mask: dict[str, Counter[str]] = {}
    for line in labelled:
        if line.message and line.label:
            by_mask.setdefault(mask(line.message), Counter())[line.label] += 1
    known = 0
    for one in seen:
        one.labels.update(by_mask.get(one.mask, {}))
        for source in one.sources:
            correction = corrections.of(one.mask, source)
            if correction is not None:
                one.labels[correction.label] += one.sources[source]
        if one.labels:
            known += 1
    return known


def _most_first(found: Iterable[Seen]) -> list[Seen]:
    return sorted(found, key=lambda one: (-one.count, one.mask))


def lines_of(seen: Iterable[Seen]) -> Iterator[tuple[int, str]]:
    """Every prepared line, with the index of its mask."""
    for index, one in enumerate(seen):
        for text in one.texts:
            yield index, text
