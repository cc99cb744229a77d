"""What is reported of a source: plain structs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from waybill.core.pattern import Kind

__all__ = ["SourceReport", "joined"]


class SourceReport(msgspec.Struct):
    """A source: ``records`` at the least since it got its place, at most ``error`` more before.

    ``labels`` and ``kinds`` sum up to ``records``. An empty name: records without a source.
    """

    source: str
    records: int
    error: int = 0
    last_seen: float = 0.0
    labels: dict[str, int] = {}
    kinds: dict[Kind, int] = {}

    @property
    def undecided_share(self) -> float:
        """The share of records that nobody could decide, in [0, 1]."""
        return self.kinds.get("undecided", 0) / self.records if self.records else 0.0


def joined(parts: Iterable[SourceReport]) -> list[SourceReport]:
    """Sources that several report, each once; the one with the most records first."""
    found: dict[str, SourceReport] = {}
    for part in parts:
        one = found.get(part.source)
        if one is None:
            found[part.source] = msgspec.structs.replace(
                part, labels=dict(part.labels), kinds=dict(part.kinds)
            )
            continue
        one.records += part.records
        one.error += part.error
        one.last_seen = max(one.last_seen, part.last_seen)
        for label, count in part.labels.items():
            one.labels[label] = one.labels.get(label, 0) + count
        for kind, count in part.kinds.items():
            one.kinds[kind] = one.kinds.get(kind, 0) + count
    return sorted(found.values(), key=lambda one: -one.records)
