"""Packs texts into calls, and keeps texts that spoil answers out for a while.

An answer that is thrown away has its lines asked again in packs of half the size, down to single
lines, so that a line which spoils answers ends up alone; such a line is quarantined.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from cachetools import LRUCache, TTLCache

from waybill.core.reasons import AnswerCode
from waybill.labelling.llm.waiting import Item

#: For so long a line that spoils answers is not asked again.
_QUARANTINE_SECS = 600.0
#: So many lines of this kind are known.
_MAX_KNOWN = 10_000


class PackQueue:
    """Items in the order in which they came.

    A pack has at most ``messages`` lines, and ``chars`` characters unless it is a single line.
    """

    def __init__(self, messages: int, chars: int) -> None:
        self._messages = messages
        self._chars = chars
        self._items: deque[Item] = deque()
        self._is_filled = asyncio.Event()
        #: Key -> the largest pack that it may be in, for lines whose packs were thrown away.
        self._limits: LRUCache[str, int] = LRUCache(_MAX_KNOWN)
        self._quarantined: TTLCache[str, AnswerCode] = TTLCache(_MAX_KNOWN, _QUARANTINE_SECS)

    def put(self, items: Sequence[Item]) -> None:
        """Append ``items``."""
        self._items.extend(items)
        if self._items:
            self._is_filled.set()

    async def wait(self, secs: float) -> None:
        """Wait until there is something, and for ``secs`` more while it does not fill a pack."""
        await self._is_filled.wait()
        if len(self._items) < self._messages:
            await asyncio.sleep(secs)

    def take(self) -> list[Item]:
        """The oldest item and others of the same kind, as many as may go into one call with it."""
        pack: list[Item] = []
        passed_over: deque[Item] = deque()
        room = self._messages
        chars = self._chars
        while self._items and len(pack) < room:
            item = self._items.popleft()
            limit = min(room, self._limits.get(item.key, room))
            if pack and not _fits(item, pack, limit, chars):
                passed_over.append(item)
                continue
            pack.append(item)
            room = limit
            chars -= len(item.text)
        self._items = passed_over + self._items
        if not self._items:
            self._is_filled.clear()
        return pack

    def take_all(self) -> list[Item]:
        """Everything: nobody can be asked for now."""
        items = list(self._items)
        self._items.clear()
        self._is_filled.clear()
        return items

    def put_halves(self, pack: Sequence[Item]) -> None:
        """Have a pack asked again in smaller ones.

        They go to the end, so that others are asked between the halves and one line that spoils
        answers cannot open the breaker.
        """
        for item in pack:
            self._limits[item.key] = len(pack) // 2
        self.put(pack)

    def forgive(self, item: Item) -> None:
        """It had an answer: it may be in a pack of any size again."""
        self._limits.pop(item.key, None)

    def quarantine(self, item: Item, code: AnswerCode) -> None:
        """Do not ask it again for ten minutes: it spoils answers, for the reason ``code``."""
        self._quarantined[item.key] = code

    def quarantined(self, item: Item) -> AnswerCode | None:
        """Why an item is not asked; None when it may be."""
        return self._quarantined.get(item.key)


def _fits(item: Item, pack: Sequence[Item], limit: int, chars: int) -> bool:
    """Whether ``item`` may go with ``pack``: same labels, same prompt, room for it."""
    first = pack[0]
    is_alike = item.labels == first.labels and item.prompt is first.prompt
    return is_alike and len(pack) < limit and len(item.text) <= chars
