"""Puts what only a slow tier can decide to its route: each distinct masked message once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.core.turns import in_turns
from waybill.labelling.edition import Edition
from waybill.labelling.groups import UNDECIDED
from waybill.labelling.slices import slices
from waybill.labelling.slow_path import SlowPath

__all__ = ["decide_later"]

#: Messages masked between two turns of the event loop, and their characters (about 3 ms).
_MASK_SLICE = 512
_MASK_SLICE_CHARS = 512 << 10
#: Verdicts looked at between two: 0.1 us each.
_LOOK_SLICE = 32_768
#: By mask the records that share it.
Masks = Mapping[str, Sequence[int]]


async def decide_later(
    edition: Edition,
    masked: Callable[[str], str],
    messages: Sequence[str | None],
    sources: Sequence[str],
    verdicts: list[Verdict],
) -> Sequence[Masks]:
    """Fill in what is `UNDECIDED` in ``verdicts``; gives which records shared a mask, by route."""
    undecided = await _undecided(verdicts)
    waiting = [messages[i] or "" for i in undecided]
    #: By the index of the record.
    texts: dict[int, str] = {}
    by_path: dict[SlowPath, dict[str, list[int]]] = {}
    for start, stop in slices(waiting, lambda: _MASK_SLICE, _MASK_SLICE_CHARS):
        if start:
            await asyncio.sleep(0)
        prepared = prepare_all(waiting[start:stop], edition.rules.max_message_bytes)
        for i, text in zip(undecided[start:stop], prepared, strict=True):
            texts[i] = text
            masks = by_path.setdefault(edition.groups[sources[i]].path, {})
            masks.setdefault(masked(text), []).append(i)
    await asyncio.gather(*(path.decide(masks, texts, verdicts) for path, masks in by_path.items()))
    return list(by_path.values())


async def _undecided(verdicts: Sequence[Verdict]) -> list[int]:
    """The indexes of the records that are still `UNDECIDED`."""
    found: list[int] = []
    async for some in in_turns(range(len(verdicts)), _LOOK_SLICE):
        found += [i for i in some if verdicts[i] is UNDECIDED]
    return found
