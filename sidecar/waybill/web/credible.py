"""Checks that what a sidecar tells is what any Waybill could tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from waybill.core.pattern import (
    MOST_EXAMPLES,
    MOST_SOURCES,
    MOST_VERDICTS,
    Pattern,
    pattern_id,
)

__all__ = ["credible"]

#: No node has seen more records, and no clock is later (the year 2200): SQLite's numbers end at
#: 2**63.
_MOST_RECORDS = 1 << 53
_LAST_MOMENT = 7_258_118_400.0
#: Masks have some hundred characters and examples some thousand; pages and their forms show them
#: whole. Names, such as those of sources, labels and rules, are short.
_MOST_CHARS = 16 << 10
_MOST_NAME = 1000
_ID = re.compile("[0-9a-f]{16}")


def credible(pattern: Pattern) -> Pattern:
    """``pattern``. Raises ValueError where no Waybill would have told it: somebody lies, or an
    address leads elsewhere.
    """
    counts = [pattern.count, pattern.error, pattern.other_sources, *pattern.sources.values()]
    counts += [share.count for share in pattern.verdicts]
    if not 0 <= min(counts) <= max(counts) <= _MOST_RECORDS:
        raise ValueError("a count that is impossible")
    times = (pattern.since, pattern.first_seen, pattern.last_seen)
    if not all(0 <= moment <= _LAST_MOMENT for moment in times):
        raise ValueError("a time that is impossible")
    if not pattern.is_cleaned and pattern.id != pattern_id(pattern.mask):
        raise ValueError(f"{pattern.id[:40]!r} is not the id of its mask")
    if not _ID.fullmatch(pattern.id):
        raise ValueError(f"{pattern.id[:40]!r} is not an id")
    names = [*pattern.sources, *_names(pattern)]
    most = (MOST_SOURCES + 1, MOST_EXAMPLES, MOST_VERDICTS + 1)
    parts = (pattern.sources, pattern.examples, pattern.verdicts)
    if any(len(part) > bound for part, bound in zip(parts, most, strict=True)):
        raise ValueError("more sources, examples or verdicts than a pattern has")
    if max(map(len, (pattern.mask, *pattern.examples))) > _MOST_CHARS:
        raise ValueError("a text that is longer than any that Waybill tells")
    if max(map(len, names), default=0) > _MOST_NAME:
        raise ValueError("a name that is longer than any that Waybill tells")
    return pattern


def _names(pattern: Pattern) -> Iterator[str]:
    """Those of labels and of what decided."""
    for share in pattern.verdicts:
        yield share.label
        yield share.rule or ""
    if pattern.guess is not None:
        yield pattern.guess.label
