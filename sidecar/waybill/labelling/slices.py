"""Work on large batches cut into slices, so that the event loop turns between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from waybill.core.errors import NOT_OF_A_RECORD
from waybill.labelling.groups import SourceGroup, SourceGroups

#: Looking up what new sources are takes so long at a time, in seconds.
_TURN_SECS = 0.003
#: Sources between two looks at the clock.
_LOOKS_EVERY = 16


def slices(
    messages: Sequence[str | None], most: Callable[[], int], chars: int
) -> Iterator[tuple[int, int]]:
    """Start and stop of pieces of at most ``most()`` messages and about ``chars`` characters.

    ``most`` is asked before each piece: what is measured meanwhile may change it.

    A message that is longer by itself is a piece of its own, or the last of one.
    """
    start = 0
    while start < len(messages):
        stop = min(start + most(), len(messages))
        if _chars(messages[start:stop]) <= chars:
            yield start, stop
        else:
            yield from _cut(messages, start, stop, chars)
        start = stop


def _chars(messages: Sequence[str | None]) -> int:
    """The characters of all ``messages``, counted in C."""
    try:
        return len("".join(cast("Sequence[str]", messages)))
    except TypeError:  # there are records without a message
        return len("".join(filter(None, messages)))


def _cut(
    messages: Sequence[str | None], start: int, stop: int, chars: int
) -> Iterator[tuple[int, int]]:
    room = chars
    for at in range(start, stop):
        room -= len(messages[at] or "")
        if room <= 0:
            yield start, at + 1
            start = at + 1
            room = chars
    if start < stop:
        yield start, stop


async def find_groups(groups: SourceGroups, sources: Sequence[str]) -> list[SourceGroup]:
    """The group of each source, some of them new; other work goes on in between.

    A source on which the look-up fails gets a group that raises the same when it is asked.
    """
    known = list(map(groups.get, sources))
    if all(known):
        return cast("list[SourceGroup]", known)
    found: list[SourceGroup] = []
    begin = time.perf_counter()
    for count, source in enumerate(sources, 1):
        try:
            found.append(groups[source])
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - raised again where its record is labelled
            found.append(groups.failed(error))
        if count % _LOOKS_EVERY == 0 and time.perf_counter() - begin > _TURN_SECS:
            await asyncio.sleep(0)
            begin = time.perf_counter()
    return found
