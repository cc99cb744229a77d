"""Merges the counts that several workers have of the same pattern or source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from waybill.core.pattern import (
    MOST_EXAMPLES,
    MOST_SOURCES,
    MOST_VERDICTS,
    Pattern,
    VerdictShare,
)

__all__ = ["merged"]


def merged(parts: Sequence[Pattern]) -> Pattern:
    """One pattern of ``parts``, which have the same id; at least one."""
    if len(parts) == 1:
        return parts[0]
    latest = max(parts, key=lambda one: one.last_seen)
    sources: Counter[str] = Counter()
    for part in parts:
        sources.update(part.sources)
    told = dict(sources.most_common(MOST_SOURCES))
    others = sum(part.other_sources for part in parts)
    examples = dict.fromkeys(text for part in parts for text in part.examples)
    return Pattern(
        id=latest.id,
        mask=latest.mask,
        count=sum(part.count for part in parts),
        error=sum(part.error for part in parts),
        sampled=any(part.sampled for part in parts),
        since=min(part.since for part in parts),
        first_seen=min(part.first_seen for part in parts),
        last_seen=latest.last_seen,
        sources=told,
        other_sources=others + sources.total() - sum(told.values()),
        verdicts=_shares(parts),
        guess=latest.guess,
        examples=tuple(examples)[:MOST_EXAMPLES],
        is_cleaned=latest.is_cleaned,
        labelling=latest.labelling,
    )


def _shares(parts: Sequence[Pattern]) -> tuple[VerdictShare, ...]:
    counts: Counter[tuple[object, ...]] = Counter()
    shares: dict[tuple[object, ...], VerdictShare] = {}
    for part in parts:
        for share in part.verdicts:
            key = (share.label, share.tier, share.rule, share.reason)
            counts[key] += share.count
            shares[key] = share
    found: list[VerdictShare] = []
    for spot, count in counts.most_common(MOST_VERDICTS):
        share = shares[spot]
        found.append(
            VerdictShare(
                label=share.label,
                tier=share.tier,
                rule=share.rule,
                confidence=share.confidence,
                reason=share.reason,
                count=count,
            )
        )
    return tuple(found)
