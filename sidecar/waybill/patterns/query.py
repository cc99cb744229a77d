"""Queries of patterns: which are asked for, and in which order."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

from waybill.core.errors import MalformedError
from waybill.core.pattern import kind_of
from waybill.patterns.table import Entry

__all__ = ["MOST_PATTERNS", "Order", "Query", "Rank", "Row"]

#: ``need``: what nobody could decide, then what is unsure, then the rest, each by records.
#: ``count``: by records. ``new``: the latest first. ``id``: by id, so that going through all pages
#: gives each pattern once whatever happens meanwhile.
Order: TypeAlias = Literal["need", "count", "new", "id"]
#: Of one answer.
MOST_PATTERNS = 1000
_CURSOR = re.compile(r"(-?\d{1,18})_(-?\d{1,18})_([0-9a-f]{16})")

#: Where a pattern stands in an order: two numbers of which less is earlier, and its id.
Rank: TypeAlias = tuple[int, int, int]


class Query(msgspec.Struct, frozen=True):
    """Which patterns, and how many of them. ``since`` is when they were first met (Unix seconds);
    ``after`` is where the last answer ended.
    """

    order: Order = "need"
    limit: int = 100
    after: str = ""
    undecided: bool = False
    since: float = 0.0
    label: str = ""
    source: str = ""
    id: str = ""
    unsure_below: float = 0.6

    def fits(self, entry: Entry) -> bool:
        """Whether a pattern is asked for."""
        if self.id and f"{entry.number:016x}" != self.id:
            return False
        if entry.first_seen < self.since:
            return False
        if self.undecided and self.need(entry) > 0:
            return False
        if self.source and self.source not in entry.sources:
            return False
        return not self.label or any(said.label == self.label for said, _, _ in entry.verdicts)

    def need(self, entry: Entry) -> int:
        """0: somebody must decide; 1: what was decided is unsure; 2: neither."""
        if any(kind_of(said.reason) == "undecided" for said, _, _ in entry.verdicts):
            return 0
        for _, _, confidence in entry.verdicts:
            if confidence is not None and confidence < self.unsure_below:
                return 1
        return 2

    def cursor(self, rank: Rank) -> str:
        """Where an answer ended."""
        return f"{rank[0]}_{rank[1]}_{rank[2]:016x}"

    def start(self) -> Rank | None:
        """What the next answer comes after.

        Raises:
            MalformedError: ``after`` is not a cursor.
        """
        if not self.after:
            return None
        found = _CURSOR.fullmatch(self.after)
        if found is None:
            raise MalformedError(
                "fields", "after is not a cursor; send what Waybill-Cursor of the last answer says"
            )
        return int(found[1]), int(found[2]), int(found[3], 16)


class Row(msgspec.Struct, array_like=True):
    """What one worker has of a pattern: enough to put it in order with those of others."""

    number: int
    need: int
    least: int
    first_seen: float

    def rank(self, order: Order) -> Rank:
        """Where it stands."""
        match order:
            case "need":
                return self.need, -self.least, self.number
            case "count":
                return 0, -self.least, self.number
            case "new":
                return 0, -int(self.first_seen), self.number
            case "id":
                return 0, 0, self.number

    def joined(self, other: Row) -> Row:
        """The same pattern, seen by two workers."""
        return Row(
            self.number,
            min(self.need, other.need),
            self.least + other.least,
            min(self.first_seen, other.first_seen),
        )
