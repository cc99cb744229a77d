"""The patterns of a whole node: those of this process and of the workers beside it, as one."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from waybill.core.pattern import Pattern
from waybill.patterns.merging import merged
from waybill.patterns.query import Query, Rank, Row
from waybill.patterns.source_report import SourceReport, joined

__all__ = ["NodePatterns", "Page", "PatternPart", "SourcePage"]

T = TypeVar("T")
#: Rows that are put in order on a thread: twenty thousand take the event loop 50 ms.
_MANY = 1_000


class PatternPart(Protocol):
    """What one worker tells; see `waybill.patterns.view.PatternView`."""

    async def rows(self, query: Query) -> list[Row]:
        """Every pattern that is asked for."""
        ...

    async def patterns(self, numbers: Sequence[int]) -> list[Pattern]:
        """Those patterns in full."""
        ...

    async def sources(self) -> list[SourceReport]:
        """Every source, and all others last."""
        ...


class Page(msgspec.Struct):
    """Patterns in order; ``cursor`` is where the next page begins, empty behind the last.

    ``workers`` answered of ``of_workers``: where it is fewer, the counts are too low.
    """

    patterns: list[Pattern]
    cursor: str
    workers: int
    of_workers: int


class SourcePage(msgspec.Struct):
    """Sources, the one with the most records first, and all others together."""

    sources: list[SourceReport]
    other: SourceReport
    workers: int
    of_workers: int


class NodePatterns:
    """Asks ``own`` and ``others``, and makes one answer of theirs.

    ``others`` may raise OSError when a worker does not answer: it is left out, and ``on_fault``
    told.
    """

    def __init__(
        self,
        own: PatternPart,
        others: Sequence[PatternPart],
        on_fault: Callable[[], None],
    ) -> None:
        self._own = own
        self._others = others
        self._on_fault = on_fault

    async def page(self, query: Query) -> Page:
        """The patterns that are asked for.

        Raises:
            MalformedError: ``query.after`` is not a cursor.
        """
        start = query.start()
        answers = await self._ask(lambda part: part.rows(query))
        if sum(map(len, answers)) > _MANY:
            first, has_more = await asyncio.to_thread(_first, answers, query, start)
        else:
            first, has_more = _first(answers, query, start)
        numbers = [rank[2] for rank in first]
        parts: defaultdict[str, list[Pattern]] = defaultdict(list)
        for answered in await self._ask(lambda part: part.patterns(numbers)):
            for pattern in answered:
                parts[pattern.id].append(pattern)
        same = [parts.get(f"{number:016x}") for number in numbers]
        found = [merged(one) for one in same if one]
        cursor = query.cursor(first[-1]) if has_more else ""
        return Page(found, cursor, len(answers), 1 + len(self._others))

    async def sources(self, limit: int) -> SourcePage:
        """The ``limit`` sources with the most records."""
        answers = await self._ask(lambda part: part.sources())
        named: list[SourceReport] = []
        others: list[SourceReport] = []
        for answer in answers:
            named += answer[:-1]
            others.append(msgspec.structs.replace(answer[-1], source=""))
        found = joined(named)
        others += [msgspec.structs.replace(one, source="") for one in found[limit:]]
        return SourcePage(found[:limit], joined(others)[0], len(answers), 1 + len(self._others))

    async def _ask(self, ask: Callable[[PatternPart], Awaitable[T]]) -> list[T]:
        answers = [await ask(self._own)]
        for other in self._others:
            try:
                answers.append(await ask(other))
            except OSError:
                self._on_fault()
        return answers


def _first(
    answers: Sequence[Sequence[Row]], query: Query, start: Rank | None
) -> tuple[list[Rank], bool]:
    """The ranks of one page, and whether there are more behind it."""
    rows: dict[int, Row] = {}
    for answer in answers:
        for row in answer:
            known = rows.get(row.number)
            rows[row.number] = row if known is None else known.joined(row)
    ranks: list[Rank] = []
    for row in rows.values():
        rank = row.rank(query.order)
        if start is None or rank > start:
            ranks.append(rank)
    first = heapq.nsmallest(query.limit, ranks)
    return first, len(ranks) > len(first)
