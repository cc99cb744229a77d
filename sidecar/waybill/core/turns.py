"""Long work in parts, so that the event loop can serve others in between.

    async for some in in_turns(records, 4096):
        ...

A part is what takes a few milliseconds; the caller knows how many things that are.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["count_in_turns", "in_parts", "in_turns"]

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)
#: Things counted at once: 50 ns each.
_COUNTED = 32_768


def in_parts(things: Iterable[T], most: int) -> Iterator[list[T]]:
    """``things`` in order, ``most`` at a time; the last part may have fewer.

    >>> list(in_parts("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(things)
    while part := list(itertools.islice(rest, most)):
        yield part


async def in_turns(things: Sequence[T], most: int) -> AsyncIterator[Sequence[T]]:
    """``things`` in order, ``most`` at a time: all at once where there are not more."""
    if 0 < len(things) <= most:
        yield things
        return
    for start in range(0, len(things), most):
        if start:
            await asyncio.sleep(0)
        yield things[start : start + most]


async def count_in_turns(things: Sequence[H]) -> Counter[H]:
    """How often each occurs."""
    found: Counter[H] = Counter()
    async for some in in_turns(things, _COUNTED):
        found.update(some)
    return found
