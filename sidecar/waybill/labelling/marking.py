"""Puts the pattern's id into each verdict (``fields.pattern``): every codec can write it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from waybill.core.pattern import pattern_id
from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.labelling.masking import RAW_CHARS, mask, shape
from waybill.labelling.memo import BoundedMap
from waybill.labelling.slices import slices

__all__ = ["Marker"]

#: Messages whose pattern is looked up between two turns of the event loop, and their characters:
#: about 3 ms where all are known, 10 ms where none is.
_TURN = 512
_TURN_CHARS = 512 << 10
_SHAPE_BYTES = 4 << 20
#: Marked verdicts that are kept: records that are alike share one, and so its rendering.
_MOST_MARKED = 16_384


class Marker:
    """Gives verdicts that carry the pattern of their record.

    Ids are remembered by shape, so a message whose digits alone are new costs 1 µs, others 20 µs.
    """

    def __init__(self, max_chars: int) -> None:
        self._max_chars = min(max_chars, RAW_CHARS)
        self._ids: BoundedMap[str] = BoundedMap(_SHAPE_BYTES)
        self._marked: dict[tuple[Verdict, str], Verdict] = {}
        self._origins: dict[Verdict, Verdict] = {}

    async def mark(
        self, messages: Sequence[str | None], verdicts: Sequence[Verdict]
    ) -> list[Verdict]:
        """A verdict for each message, with its pattern where there is one."""
        marked: list[Verdict] = []
        for start, stop in slices(messages, lambda: _TURN, _TURN_CHARS):
            if start:
                await asyncio.sleep(0)
            for message, verdict in zip(messages[start:stop], verdicts[start:stop], strict=True):
                marked.append(self._mark(message, verdict))
        return marked

    def unmarked(self, given: Mapping[Verdict, int]) -> dict[Verdict, int]:
        """Counts of verdicts as they were before they were marked."""
        found: dict[Verdict, int] = {}
        for verdict, count in given.items():
            origin = self._origins.get(verdict, verdict)
            found[origin] = found.get(origin, 0) + count
        return found

    def _mark(self, message: str | None, verdict: Verdict) -> Verdict:
        number = self._id(message) if message else ""
        if not number:
            return verdict
        known = self._marked.get((verdict, number))
        if known is None:
            if len(self._marked) >= _MOST_MARKED:
                self._marked.clear()
                self._origins.clear()
            known = msgspec.structs.replace(verdict, pattern=number)
            self._marked[verdict, number] = known
            self._origins[known] = verdict
        return known

    def _id(self, message: str) -> str:
        text = message[: self._max_chars]
        key = shape(text)
        number = self._ids.get(key)
        if number is None:
            masked = mask(prepare_all([text])[0])
            number = pattern_id(masked) if masked else ""
            self._ids.put(key, number)
        return number
